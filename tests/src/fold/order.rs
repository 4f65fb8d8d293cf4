//! An order that Tally keeps, folded naively.

use prost_types::Timestamp;

use crate::StoredEvent;
use crate::client::{Address, Money, Order, OrderItem};

#[derive(Debug)]
pub(super) struct PlacedOrder {
    pub(super) view: Order,
    /// What happened to it and its lines: positions and types, the oldest first.
    pub(super) changes: Vec<(i64, String)>,
}

impl PlacedOrder {
    pub(super) fn new(event: &StoredEvent) -> Self {
        let items: Vec<OrderItem> = event.payload["items"].as_array().into_iter().flatten().map(item).collect();
        let total = total(&items);
        assert_eq!(total, money(&event.payload["total"]), "the total is the sum: {event:?}");
        let view = Order {
            order_id: event.text("order_id").to_owned(),
            customer_id: event.text("customer_id").to_owned(),
            items,
            shipping_address: address(&event.payload["shipping_address"]),
            status: "ORDER_STATUS_OPEN".to_owned(),
            total,
            create_time: time(event),
            version: event.version,
            ..Order::default()
        };
        Self { view, changes: vec![change(event)] }
    }

    /// An event of the order's own stream.
    pub(super) fn take(&mut self, event: &StoredEvent) {
        assert_eq!(self.view.status, "ORDER_STATUS_OPEN", "nothing happens to a closed order: {event:?}");
        self.view.version = event.version;
        self.changes.push(change(event));
        match event.event_type.as_str() {
            "OrderCancelled" => {
                self.view.status = "ORDER_STATUS_CANCELLED".to_owned();
                self.view.cancel_time = time(event);
                self.view.cancel_reason = event.text("reason").to_owned();
            }
            "OrderShipped" => {
                self.view.status = "ORDER_STATUS_SHIPPED".to_owned();
                self.view.ship_time = time(event);
            }
            other => panic!("an event of no known type {other}"),
        }
    }

    /// What happened to one of its lines, in the SKU's stream.
    pub(super) fn take_line(&mut self, event: &StoredEvent) {
        let item = self.view.items.iter_mut().find(|item| item.sku == event.text("sku"));
        let item = item.unwrap_or_else(|| panic!("the order has no such line: {event:?}"));
        let (status, batch_ref) = match event.event_type.as_str() {
            "Allocated" => ("ITEM_STATUS_ALLOCATED", event.text("batch_ref")),
            "OutOfStock" => ("ITEM_STATUS_BACKORDERED", ""),
            "Deallocated" => ("ITEM_STATUS_RELEASED", ""),
            "Shipped" => ("ITEM_STATUS_SHIPPED", event.text("batch_ref")),
            other => panic!("no line has an event of type {other}"),
        };
        item.status = status.to_owned();
        item.batch_ref = batch_ref.to_owned();
        self.changes.push(change(event));
    }
}

fn change(event: &StoredEvent) -> (i64, String) {
    (event.position, event.event_type.clone())
}

fn item(item: &serde_json::Value) -> OrderItem {
    OrderItem {
        sku: item["sku"].as_str().unwrap_or_default().to_owned(),
        quantity: item["quantity"]
            .as_i64()
            .and_then(|quantity| i32::try_from(quantity).ok())
            .expect("an item has a quantity"),
        unit_price: money(&item["unit_price"]),
        ..OrderItem::default()
    }
}

fn money(money: &serde_json::Value) -> Money {
    Money {
        currency_code: money["currency_code"].as_str().unwrap_or_default().to_owned(),
        units: money["units"].as_i64().expect("money has units"),
        nanos: money["nanos"].as_i64().and_then(|nanos| i32::try_from(nanos).ok()).expect("money has nanos"),
    }
}

/// The sum in billionths: an i128 holds any sum that 200 lines can make.
fn total(items: &[OrderItem]) -> Money {
    let billionths = |item: &OrderItem| {
        i128::from(item.quantity)
            * (i128::from(item.unit_price.units) * 1_000_000_000 + i128::from(item.unit_price.nanos))
    };
    let sum: i128 = items.iter().map(billionths).sum();
    Money {
        currency_code: items[0].unit_price.currency_code.clone(),
        units: i64::try_from(sum / 1_000_000_000).expect("a total fits"),
        nanos: i32::try_from(sum % 1_000_000_000).expect("a remainder fits"),
    }
}

fn address(address: &serde_json::Value) -> Address {
    let text = |name: &str| address[name].as_str().unwrap_or_default().to_owned();
    let list = |name: &str| {
        let texts = address[name].as_array().into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    Address {
        region_code: text("region_code"),
        postal_code: text("postal_code"),
        locality: text("locality"),
        address_lines: list("address_lines"),
        recipients: list("recipients"),
        organization: text("organization"),
    }
}

fn time(event: &StoredEvent) -> Option<String> {
    let at = event.recorded_at;
    let nanos = i32::try_from(at.nanosecond()).expect("below a second");
    Some(Timestamp { seconds: at.unix_timestamp(), nanos }.to_string())
}
