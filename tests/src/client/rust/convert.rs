//! The generated messages as plain values.

use tally_api::allocation::v1::{self as allocation, LineStatus};
use tally_api::consistency::v1 as consistency;
use tally_api::google::r#type as google;
use tally_api::orders::v1::{self as orders, ItemStatus, OrderStatus};

use crate::client::{
    Address, Allocation, Allocations, AvailableByDate, Batch, Date, Freshness, Line, Money, NewOrder, Order, OrderItem,
    OrderPage, OrderSummary, Outcome, Receipt, Stock,
};

pub(super) fn create_order(order: &NewOrder) -> orders::CreateOrderRequest {
    let item = |item: &crate::client::NewItem| orders::Item {
        sku: item.sku.clone(),
        quantity: item.quantity,
        unit_price: Some(google::Money {
            currency_code: item.unit_price.currency_code.clone(),
            units: item.unit_price.units,
            nanos: item.unit_price.nanos,
        }),
    };
    orders::CreateOrderRequest {
        order_id: order.order_id.clone(),
        customer_id: order.customer_id.clone(),
        items: order.items.iter().map(item).collect(),
        shipping_address: Some(google::PostalAddress {
            region_code: order.shipping_address.region_code.clone(),
            postal_code: order.shipping_address.postal_code.clone(),
            locality: order.shipping_address.locality.clone(),
            address_lines: order.shipping_address.address_lines.clone(),
            recipients: order.shipping_address.recipients.clone(),
            organization: order.shipping_address.organization.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl From<consistency::Receipt> for Receipt {
    fn from(receipt: consistency::Receipt) -> Self {
        let consistency::Receipt { token, stream_id, stream_version, position } = receipt;
        Self { token, stream_id, stream_version, position }
    }
}

impl From<Option<consistency::Freshness>> for Freshness {
    fn from(freshness: Option<consistency::Freshness>) -> Self {
        let consistency::Freshness { position, may_be_stale, token, parked_position: _ } =
            freshness.expect("every answer says how fresh it is");
        Self { position, may_be_stale, token }
    }
}

impl From<allocation::LineOutcome> for Line {
    fn from(line: allocation::LineOutcome) -> Self {
        let status = line.status();
        let allocation::LineOutcome { order_id, sku, quantity, status: _, batch_ref, previous_batch_ref } = line;
        let status = name(status == LineStatus::Unspecified, status.as_str_name());
        Self { order_id, sku, quantity, status, batch_ref, previous_batch_ref }
    }
}

/// proto3's JSON leaves a default out.
fn name(is_default: bool, name: &str) -> String {
    if is_default { String::new() } else { name.to_owned() }
}

/// The answers of commands differ in what they have besides a receipt.
macro_rules! outcome {
    ($($answer:path { $($field:ident),* };)*) => {
        $(impl From<$answer> for Outcome {
            fn from(answer: $answer) -> Self {
                Self { receipt: answer.receipt.map(Receipt::from), $($field: outcome!(@ $field answer),)* ..Self::default() }
            }
        })*
    };
    (@ order_id $answer:ident) => { $answer.order_id };
    (@ line $answer:ident) => { $answer.line.map(Line::from) };
    (@ lines $answer:ident) => { $answer.lines.into_iter().map(Line::from).collect() };
}

outcome! {
    allocation::CreateBatchResponse { lines };
    allocation::ReceiveBatchResponse {};
    allocation::ChangeBatchQuantityResponse { lines };
    allocation::AllocateResponse { line };
    allocation::DeallocateResponse { lines };
    orders::CreateOrderResponse { order_id, lines };
    orders::CancelOrderResponse { lines };
    orders::ShipOrderResponse { lines };
}

impl From<google::Date> for Date {
    fn from(date: google::Date) -> Self {
        Self::new(date.year, date.month, date.day)
    }
}

impl From<google::Money> for Money {
    fn from(money: google::Money) -> Self {
        Self { currency_code: money.currency_code, units: money.units, nanos: money.nanos }
    }
}

impl From<google::PostalAddress> for Address {
    fn from(address: google::PostalAddress) -> Self {
        Self {
            region_code: address.region_code,
            postal_code: address.postal_code,
            locality: address.locality,
            address_lines: address.address_lines,
            recipients: address.recipients,
            organization: address.organization,
        }
    }
}

impl From<allocation::GetAllocationsResponse> for Allocations {
    fn from(answer: allocation::GetAllocationsResponse) -> Self {
        let row =
            |row: allocation::Allocation| Allocation { sku: row.sku, batch_ref: row.batch_ref, quantity: row.quantity };
        Self { allocations: answer.allocations.into_iter().map(row).collect(), freshness: answer.freshness.into() }
    }
}

impl From<allocation::GetStockResponse> for Stock {
    fn from(answer: allocation::GetStockResponse) -> Self {
        let stock = answer.stock.expect("an answer has the stock");
        let batch = |batch: allocation::Batch| Batch {
            batch_ref: batch.batch_ref,
            quantity: batch.quantity,
            allocated: batch.allocated,
            available: batch.available,
            eta: batch.eta.map(Date::from),
            arrival: batch.arrival,
        };
        let by_date = |row: allocation::AvailableByDate| AvailableByDate {
            date: row.date.expect("a row has a date").into(),
            available: row.available,
        };
        Self {
            sku: stock.sku,
            batches: stock.batches.into_iter().map(batch).collect(),
            available_now: stock.available_now,
            available_by_date: stock.available_by_date.into_iter().map(by_date).collect(),
            allocated: stock.allocated,
            backordered: stock.backordered,
            version: stock.version,
            freshness: answer.freshness.into(),
        }
    }
}

impl From<orders::OrderItem> for OrderItem {
    fn from(item: orders::OrderItem) -> Self {
        let status = name(item.status() == ItemStatus::Unspecified, item.status().as_str_name());
        Self {
            sku: item.sku,
            quantity: item.quantity,
            unit_price: item.unit_price.unwrap_or_default().into(),
            status,
            batch_ref: item.batch_ref,
        }
    }
}

impl From<orders::GetOrderResponse> for Order {
    fn from(answer: orders::GetOrderResponse) -> Self {
        let order = answer.order.expect("an answer has the order");
        let status = name(order.status() == OrderStatus::Unspecified, order.status().as_str_name());
        let text = |time: prost_types::Timestamp| time.to_string();
        Self {
            order_id: order.order_id,
            customer_id: order.customer_id,
            items: order.items.into_iter().map(OrderItem::from).collect(),
            shipping_address: order.shipping_address.unwrap_or_default().into(),
            status,
            total: order.total.unwrap_or_default().into(),
            create_time: order.create_time.map(text),
            ship_time: order.ship_time.map(text),
            cancel_time: order.cancel_time.map(text),
            cancel_reason: order.cancel_reason,
            version: order.version,
            freshness: answer.freshness.into(),
        }
    }
}

impl From<orders::ListOrdersResponse> for OrderPage {
    fn from(answer: orders::ListOrdersResponse) -> Self {
        let summary = |order: orders::OrderSummary| OrderSummary {
            status: name(order.status() == OrderStatus::Unspecified, order.status().as_str_name()),
            order_id: order.order_id,
            customer_id: order.customer_id,
            total: order.total.unwrap_or_default().into(),
            item_count: order.item_count,
            create_time: order.create_time.map(|time| time.to_string()),
            version: order.version,
        };
        Self {
            orders: answer.orders.into_iter().map(summary).collect(),
            next_page_token: answer.next_page_token,
            freshness: answer.freshness.into(),
        }
    }
}
