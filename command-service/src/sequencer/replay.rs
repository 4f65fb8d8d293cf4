//! The outcome of a command that came before, from what is stored of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tally_domain::{Command, Event, StoredEventError, StreamId};
use tally_event_store::{StoredCommand, StoredEvent, Unchanged};
use uuid::Uuid;

use super::ticket::Ticket;
use super::{Failure, Outcome, Receipt};

/// What the first attempt was answered, or a refusal if the content isn't the same.
pub(super) fn outcome(log_id: Uuid, ticket: &Ticket, stored: StoredCommand) -> Result<Outcome, Failure> {
    if stored.content_hash != ticket.content_hash {
        return Err(Failure::CommandIdReused);
    }
    let replayed = match stored.outcome {
        tally_event_store::Outcome::Appended(events) => appended(log_id, &ticket.submission.command, events),
        tally_event_store::Outcome::Unchanged(unchanged) => remembered(log_id, unchanged),
    };
    replayed.map_err(|error| {
        tracing::error!(%error, command_id = %stored.command_id, "a stored outcome can't be read");
        Failure::Unreadable
    })
}

fn appended(log_id: Uuid, command: &Command, stored: Vec<StoredEvent>) -> Result<Outcome, StoredEventError> {
    let about = about(command);
    let last_of_stream = stored.iter().rev().find(|event| about(&event.stream_id));
    let receipt = Receipt {
        log_id,
        stream_id: last_of_stream.map(|event| event.stream_id.clone()).unwrap_or_default(),
        stream_version: last_of_stream.map_or(0, |event| event.version),
        position: stored.last().map_or(0, |event| event.position),
    };
    let events: Result<Vec<Event>, _> =
        stored.into_iter().map(|event| Event::from_stored(&event.event_type, &event.payload)).collect();
    Ok(Outcome { receipt: Some(receipt), events: Arc::new(events?) })
}

/// Which of the written streams the receipt names: the order's for commands about an order, else the product's.
fn about(command: &Command) -> impl Fn(&str) -> bool + use<> {
    let order = match command {
        Command::CreateOrder { order_id, .. }
        | Command::CancelOrder { order_id, .. }
        | Command::ShipOrder { order_id } => Some(StreamId::Order(order_id.clone()).to_string()),
        Command::CreateBatch { .. }
        | Command::ReceiveBatch { .. }
        | Command::ChangeBatchQuantity { .. }
        | Command::Allocate { .. }
        | Command::Deallocate { .. } => None,
    };
    move |stream: &str| match &order {
        Some(order) => stream == order,
        None => matches!(stream.parse(), Ok(StreamId::Product(_))),
    }
}

fn remembered(log_id: Uuid, unchanged: Unchanged) -> Result<Outcome, StoredEventError> {
    let receipt = Receipt {
        log_id,
        stream_id: unchanged.stream_id,
        stream_version: unchanged.version,
        position: unchanged.position,
    };
    let standing: Vec<Standing> =
        serde_json::from_str(&unchanged.standing).map_err(|_| StoredEventError::BadShape("standing".to_owned()))?;
    let events: Result<Vec<Event>, _> =
        standing.iter().map(|event| Event::from_stored(&event.event_type, event.payload.get())).collect();
    Ok(Outcome { receipt: Some(receipt), events: Arc::new(events?) })
}

/// A stored format: what already held when a command changed nothing, as a list of events with their types.
#[derive(Serialize, Deserialize)]
struct Standing {
    #[serde(rename = "type")]
    event_type: String,
    payload: Box<RawValue>,
}

pub(super) fn encode_standing(standing: &[Event]) -> String {
    let events = standing.iter().map(|event| Standing {
        event_type: event.event_type().to_owned(),
        payload: RawValue::from_string(event.payload()).expect("a payload is JSON"),
    });
    serde_json::to_string(&events.collect::<Vec<_>>()).expect("a list of JSON is JSON")
}
