//! Orders as lists show them: a customer's, all of them and by status, and everybody's by status.
//!
//! Stored format: the fields of `OrderSummary`, followed by those of [`Stored`], which a reader of `OrderSummary` skips as unknown. Lists are
//! in the order in which orders were created, and an order must be found in its lists from its view alone.

use prost::Message;
use tally_api::orders::v1::{OrderStatus, OrderSummary};
use tally_domain::Event;
use tally_domain::order::Event as OrderEvent;
use tally_read_model::{list_member, lists, projections};

use crate::projection::{Handles, Projection, Unfoldable, Unread, View};
use crate::{Recorded, proto};

/// Order summaries by order_id.
pub(crate) struct OrderSummaries;

/// An order as lists show it, and where it stands in them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListedOrder {
    /// What a reader sees.
    pub(crate) summary: OrderSummary,
    /// The position of the event that created the order.
    pub(crate) created_position: u64,
}

/// What is stored beside the summary. Its number is one that `OrderSummary` will not come to.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(uint64, tag = "1000")]
    created_position: u64,
}

impl View for ListedOrder {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.summary.encode_to_vec();
        bytes.extend(Stored { created_position: self.created_position }.encode_to_vec());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unfoldable> {
        let summary = OrderSummary::decode(bytes).map_err(|_| Unfoldable::View)?;
        let stored = Stored::decode(bytes).map_err(|_| Unfoldable::View)?;
        Ok(Self { summary, created_position: stored.created_position })
    }
}

impl ListedOrder {
    /// Its place in every list.
    fn member(&self) -> String {
        list_member(self.created_position, &self.summary.order_id)
    }

    /// Its status as lists are named by it: `OPEN`.
    fn status_name(&self) -> &'static str {
        let name = self.summary.status().as_str_name();
        name.strip_prefix("ORDER_STATUS_").unwrap_or(name)
    }
}

impl Projection for OrderSummaries {
    type View = ListedOrder;

    const NAME: &'static str = projections::ORDER_SUMMARIES;

    const HANDLES: Handles = Handles::Types(&["OrderCreated", "OrderCancelled", "OrderShipped"]);

    fn key(recorded: &Recorded) -> Option<String> {
        match recorded.event.as_ref().ok()? {
            Event::Order(
                OrderEvent::OrderCreated { order_id, .. }
                | OrderEvent::OrderCancelled { order_id, .. }
                | OrderEvent::OrderShipped { order_id, .. },
            ) => Some(order_id.clone()),
            Event::Order(OrderEvent::ExternalOrderRegistered { .. }) | Event::Product(_) | Event::Batch(_) => None,
        }
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        match recorded.stream_id.split_once('-') {
            Some(("order", order_id)) => Unread::View(order_id.to_owned()),
            Some(("product" | "batch", _)) => Unread::Nothing,
            _ => Unread::AnyView,
        }
    }

    fn fold(view: Option<ListedOrder>, recorded: &Recorded) -> Result<Option<ListedOrder>, Unfoldable> {
        let event = match recorded.event()? {
            Event::Order(event) => event,
            Event::Product(_) | Event::Batch(_) => return Ok(view),
        };
        match (event, view) {
            (OrderEvent::OrderCreated { order_id, customer_id, items, total, .. }, None) => Ok(Some(ListedOrder {
                summary: OrderSummary {
                    order_id: order_id.clone(),
                    customer_id: customer_id.clone(),
                    status: OrderStatus::Open.into(),
                    total: Some(proto::money(total)),
                    // At most 200.
                    item_count: items.len() as i32,
                    create_time: Some(proto::timestamp(recorded.recorded_at)),
                    version: proto::number(recorded.version),
                },
                created_position: recorded.position,
            })),
            (OrderEvent::OrderCreated { .. }, Some(_)) => Err(Unfoldable::Unexpected("the order is there already")),
            (OrderEvent::OrderCancelled { .. }, Some(order)) => {
                Ok(Some(closed(order, OrderStatus::Cancelled, recorded)))
            }
            (OrderEvent::OrderShipped { .. }, Some(order)) => Ok(Some(closed(order, OrderStatus::Shipped, recorded))),
            (OrderEvent::OrderCancelled { .. } | OrderEvent::OrderShipped { .. }, None) => {
                Err(Unfoldable::Unexpected("there is no such order"))
            }
            (OrderEvent::ExternalOrderRegistered { .. }, view) => Ok(view),
        }
    }

    fn lists(order: &ListedOrder) -> Vec<(String, String)> {
        let (customer_id, status, member) = (&order.summary.customer_id, order.status_name(), order.member());
        vec![
            (lists::customer(customer_id), member.clone()),
            (lists::customer_with_status(customer_id, status), member.clone()),
            (lists::status(status), member),
        ]
    }
}

fn closed(mut order: ListedOrder, status: OrderStatus, recorded: &Recorded) -> ListedOrder {
    order.summary.set_status(status);
    order.summary.version = proto::number(recorded.version);
    order
}

#[cfg(test)]
mod tests;
