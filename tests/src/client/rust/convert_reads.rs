//! From the generated messages of the further reads.

use tally_api::{allocation::v1 as allocation, events::v1 as events, orders::v1 as orders};

use crate::client::{Backorder, BackorderPage, Event, EventMetadata, EventPage, HistoryPage, OrderChange};

impl From<orders::GetOrderHistoryResponse> for HistoryPage {
    fn from(answer: orders::GetOrderHistoryResponse) -> Self {
        let change = |change: orders::OrderChange| OrderChange {
            position: change.position,
            change_time: change.change_time.map(|time| time.to_string()),
            event_type: change.event_type,
            description: change.description,
            sku: change.sku,
            quantity: change.quantity,
            batch_ref: change.batch_ref,
            command_id: change.command_id,
        };
        Self {
            changes: answer.changes.into_iter().map(change).collect(),
            next_page_token: answer.next_page_token,
            freshness: answer.freshness.into(),
        }
    }
}

impl From<allocation::ListBackordersResponse> for BackorderPage {
    fn from(answer: allocation::ListBackordersResponse) -> Self {
        let line = |line: allocation::Backorder| Backorder {
            order_id: line.order_id,
            sku: line.sku,
            quantity: line.quantity,
            position: line.position,
        };
        Self {
            backorders: answer.backorders.into_iter().map(line).collect(),
            next_page_token: answer.next_page_token,
            freshness: answer.freshness.into(),
        }
    }
}

impl From<events::Event> for Event {
    fn from(event: events::Event) -> Self {
        Self {
            position: event.position,
            stream_id: event.stream_id,
            version: event.version,
            event_type: event.event_type,
            payload_json: event.payload_json,
            metadata: EventMetadata { command_id: event.metadata.unwrap_or_default().command_id },
        }
    }
}

impl From<events::ReadStreamResponse> for EventPage {
    fn from(answer: events::ReadStreamResponse) -> Self {
        Self {
            events: answer.events.into_iter().map(Event::from).collect(),
            next_version: answer.next_version,
            freshness: answer.freshness.into(),
        }
    }
}
