//! What happened to an order and its lines, the oldest first.
//!
//! One view an order, written whole at each change: a usual order has about ten. So that one which is changed for ever does not grow for
//! ever, the oldest are let go above a limit, and the view says how many; the log has them all.

use tally_api::orders::v1::{GetOrderHistoryResponse, OrderChange};
use tally_domain::Event;
use tally_domain::order::Event as OrderEvent;
use tally_domain::product::Event as ProductEvent;
use tally_read_model::projections;

use crate::projection::{Handles, Projection, Unfoldable, Unread};
use crate::{Recorded, proto};

/// Changes that an order's history keeps: of each of its lines, of which there are at most 200, about ten. Protos quote it.
const CHANGES_KEPT_MAX: usize = 2_000;

/// Changes by order_id, of orders that Tally keeps.
pub(crate) struct OrderHistories;

impl Projection for OrderHistories {
    /// The answer, but for how fresh it is, and with all pages in one.
    type View = GetOrderHistoryResponse;

    const NAME: &'static str = projections::ORDER_HISTORY;

    const HANDLES: Handles = Handles::Types(&[
        "OrderCreated",
        "OrderCancelled",
        "OrderShipped",
        "Allocated",
        "Deallocated",
        "OutOfStock",
        "Shipped",
    ]);

    fn key(recorded: &Recorded) -> Option<String> {
        match recorded.event.as_ref().ok()? {
            Event::Order(
                OrderEvent::OrderCreated { order_id, .. }
                | OrderEvent::OrderCancelled { order_id, .. }
                | OrderEvent::OrderShipped { order_id, .. },
            )
            | Event::Product(
                ProductEvent::Allocated { order_id, .. }
                | ProductEvent::Deallocated { order_id, .. }
                | ProductEvent::OutOfStock { order_id, .. }
                | ProductEvent::Shipped { order_id, .. },
            ) => Some(order_id.clone()),
            Event::Order(OrderEvent::ExternalOrderRegistered { .. })
            | Event::Product(
                ProductEvent::BatchCreated { .. }
                | ProductEvent::BatchQuantityChanged { .. }
                | ProductEvent::BatchReceived { .. },
            )
            | Event::Batch(_) => None,
        }
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        match recorded.stream_id.split_once('-') {
            Some(("order", order_id)) => Unread::View(order_id.to_owned()),
            Some(("product", _)) => Unread::view(recorded.named.order_id.as_ref()),
            Some(("batch", _)) => Unread::Nothing,
            _ => Unread::AnyView,
        }
    }

    fn fold(
        view: Option<GetOrderHistoryResponse>,
        recorded: &Recorded,
    ) -> Result<Option<GetOrderHistoryResponse>, Unfoldable> {
        let event = recorded.event()?;
        let is_creation = matches!(event, Event::Order(OrderEvent::OrderCreated { .. }));
        let mut history = match (view, event) {
            (Some(_), _) if is_creation => return Err(Unfoldable::Unexpected("the order is there already")),
            (Some(history), _) => history,
            (None, _) if is_creation => GetOrderHistoryResponse::default(),
            (None, Event::Order(OrderEvent::OrderCancelled { .. } | OrderEvent::OrderShipped { .. })) => {
                return Err(Unfoldable::Unexpected("there is no such order"));
            }
            // A line of an order that is kept elsewhere.
            (None, _) => return Ok(None),
        };
        if let Event::Order(OrderEvent::OrderCreated { customer_id, .. }) = event {
            history.customer_id.clone_from(customer_id);
        }
        if let Some(change) = change(event) {
            history.changes.push(OrderChange {
                position: proto::number(recorded.position),
                change_time: Some(proto::timestamp(recorded.recorded_at)),
                event_type: recorded.event_type.clone(),
                command_id: recorded.command_id.to_string(),
                ..change
            });
        }
        let surplus = history.changes.len().saturating_sub(CHANGES_KEPT_MAX);
        history.changes.drain(..surplus);
        history.omitted_count = history.omitted_count.saturating_add(surplus as i64);
        Ok(Some(history))
    }
}

/// What the event alone says. Never where the order goes: personal data is in no view but the order's.
fn change(event: &Event) -> Option<OrderChange> {
    let change = match event {
        Event::Order(OrderEvent::OrderCreated { items, .. }) => match items.as_slice() {
            [_] => whole("created with 1 line"),
            items => whole(format!("created with {} lines", items.len())),
        },
        Event::Order(OrderEvent::OrderCancelled { reason, .. }) => whole(format!("cancelled: {reason}")),
        Event::Order(OrderEvent::OrderShipped { .. }) => whole("shipped"),
        Event::Product(ProductEvent::Allocated { sku, batch_ref, quantity, from_backorder, .. }) => {
            let after = if *from_backorder { " after waiting" } else { "" };
            line(sku, *quantity, batch_ref, &format!("allocated from batch {batch_ref}{after}"))
        }
        Event::Product(ProductEvent::OutOfStock { sku, quantity, .. }) => line(sku, *quantity, "", "backordered"),
        Event::Product(ProductEvent::Deallocated { sku, quantity, batch_ref: Some(batch_ref), .. }) => {
            line(sku, *quantity, batch_ref, &format!("released from batch {batch_ref}"))
        }
        Event::Product(ProductEvent::Deallocated { sku, quantity, batch_ref: None, .. }) => {
            line(sku, *quantity, "", "no longer backordered")
        }
        Event::Product(ProductEvent::Shipped { sku, batch_ref, quantity, .. }) => {
            line(sku, *quantity, batch_ref, &format!("shipped from batch {batch_ref}"))
        }
        Event::Order(OrderEvent::ExternalOrderRegistered { .. })
        | Event::Product(
            ProductEvent::BatchCreated { .. }
            | ProductEvent::BatchQuantityChanged { .. }
            | ProductEvent::BatchReceived { .. },
        )
        | Event::Batch(_) => return None,
    };
    Some(change)
}

fn whole(description: impl Into<String>) -> OrderChange {
    OrderChange { description: description.into(), ..OrderChange::default() }
}

fn line(sku: &str, quantity: u32, batch_ref: &str, happened: &str) -> OrderChange {
    OrderChange {
        description: format!("{quantity} × {sku} {happened}"),
        sku: sku.to_owned(),
        quantity: proto::pieces(quantity),
        batch_ref: batch_ref.to_owned(),
        ..OrderChange::default()
    }
}

#[cfg(test)]
mod tests;
