//! An order with all of its lines and what became of them.

use tally_api::orders::v1::{ItemStatus, Order, OrderItem, OrderStatus};
use tally_domain::order::Event as OrderEvent;
use tally_domain::product::Event as ProductEvent;
use tally_domain::{Event, Item};
use tally_read_model::projections;

use crate::projection::{Handles, Projection, Unfoldable, Unread};
use crate::{Recorded, proto};

/// Orders by order_id.
pub(crate) struct Orders;

impl Projection for Orders {
    type View = Order;

    const NAME: &'static str = projections::ORDER;

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

    fn fold(view: Option<Order>, recorded: &Recorded) -> Result<Option<Order>, Unfoldable> {
        match recorded.event()? {
            Event::Order(event) => of_order(view, event, recorded),
            Event::Product(event) => match view {
                Some(order) => of_product(order, event).map(Some),
                // A line of an order that is kept elsewhere.
                None => Ok(None),
            },
            Event::Batch(_) => Ok(view),
        }
    }
}

fn of_order(view: Option<Order>, event: &OrderEvent, recorded: &Recorded) -> Result<Option<Order>, Unfoldable> {
    let recorded_at = Some(proto::timestamp(recorded.recorded_at));
    let version = proto::number(recorded.version);
    match (event, view) {
        (OrderEvent::OrderCreated { order_id, customer_id, items, total, shipping_address }, None) => Ok(Some(Order {
            order_id: order_id.clone(),
            customer_id: customer_id.clone(),
            items: items.iter().map(item).collect(),
            shipping_address: Some(proto::address(shipping_address)),
            status: OrderStatus::Open.into(),
            total: Some(proto::money(total)),
            create_time: recorded_at,
            ship_time: None,
            cancel_time: None,
            cancel_reason: String::new(),
            version,
        })),
        (OrderEvent::OrderCreated { .. }, Some(_)) => Err(Unfoldable::Unexpected("the order is there already")),
        (OrderEvent::OrderCancelled { reason, .. }, Some(order)) => Ok(Some(Order {
            status: OrderStatus::Cancelled.into(),
            cancel_time: recorded_at,
            cancel_reason: reason.clone(),
            version,
            ..order
        })),
        (OrderEvent::OrderShipped { .. }, Some(order)) => {
            Ok(Some(Order { status: OrderStatus::Shipped.into(), ship_time: recorded_at, version, ..order }))
        }
        (OrderEvent::OrderCancelled { .. } | OrderEvent::OrderShipped { .. }, None) => {
            Err(Unfoldable::Unexpected("there is no such order"))
        }
        (OrderEvent::ExternalOrderRegistered { .. }, view) => Ok(view),
    }
}

/// What a product says of one of the order's lines. It does not change the order's version, which is that of the order's own stream.
fn of_product(mut order: Order, event: &ProductEvent) -> Result<Order, Unfoldable> {
    let (sku, status, batch_ref) = match event {
        ProductEvent::Allocated { sku, batch_ref, .. } => (sku, ItemStatus::Allocated, batch_ref.as_str()),
        ProductEvent::Shipped { sku, batch_ref, .. } => (sku, ItemStatus::Shipped, batch_ref.as_str()),
        ProductEvent::OutOfStock { sku, .. } => (sku, ItemStatus::Backordered, ""),
        ProductEvent::Deallocated { sku, .. } => (sku, ItemStatus::Released, ""),
        ProductEvent::BatchCreated { .. }
        | ProductEvent::BatchQuantityChanged { .. }
        | ProductEvent::BatchReceived { .. } => return Ok(order),
    };
    let item = order.items.iter_mut().find(|item| item.sku == *sku);
    let item = item.ok_or(Unfoldable::Unexpected("the order has no such line"))?;
    item.status = status.into();
    item.batch_ref = batch_ref.to_owned();
    Ok(order)
}

/// Its status follows in the same commit, and a batch of events never ends within a commit.
fn item(item: &Item) -> OrderItem {
    OrderItem {
        sku: item.sku.clone(),
        quantity: proto::pieces(item.quantity),
        unit_price: Some(proto::money(&item.unit_price)),
        status: ItemStatus::Unspecified.into(),
        batch_ref: String::new(),
    }
}

#[cfg(test)]
mod tests;
