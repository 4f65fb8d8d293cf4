//! Tally as a client sees it: one interface, so that a story is written once, and three real clients behind it.

mod details;
mod error;
mod grpcurl;
mod json;
mod python;
mod raw;
mod reads;
mod rust;
mod types;

use async_trait::async_trait;

pub use error::{Answer, Error};
pub use grpcurl::{Grpcurl, grpcurl};
pub use json::{JsonClient, JsonTransport};
pub use python::Python;
pub use raw::{call, call_path};
pub use reads::{Backorder, BackorderPage, Event, EventMetadata, EventPage, HistoryPage, OrderChange, PageOf};
pub use rust::{RustClient, read_after};
pub use types::{
    Address, Allocation, Allocations, AvailableByDate, Batch, Date, Freshness, Line, Money, NewItem, NewOrder, Order,
    OrderFilter, OrderItem, OrderPage, OrderSummary, Outcome, ReadAfter, Receipt, Stock, WaitFor,
};

/// All calls; of those that answer with a stream, as much of it as a test wants.
#[async_trait]
pub trait TallyClient: Send + Sync {
    /// Adds a batch; without an ETA it is in the warehouse.
    async fn create_batch(&self, batch_ref: &str, sku: &str, quantity: i32, eta: Option<Date>) -> Answer<Outcome>;
    /// The shipment has arrived.
    async fn receive_batch(&self, batch_ref: &str) -> Answer<Outcome>;
    /// Sets what is in a batch.
    async fn change_batch_quantity(&self, batch_ref: &str, quantity: i32) -> Answer<Outcome>;
    /// Allocates stock to a line.
    async fn allocate(&self, order_id: &str, sku: &str, quantity: i32) -> Answer<Outcome>;
    /// Frees a line.
    async fn deallocate(&self, order_id: &str, sku: &str) -> Answer<Outcome>;
    /// Creates an order and allocates its lines.
    async fn create_order(&self, order: &NewOrder) -> Answer<Outcome>;
    /// Cancels an order.
    async fn cancel_order(&self, order_id: &str, reason: &str) -> Answer<Outcome>;
    /// Ships an order.
    async fn ship_order(&self, order_id: &str) -> Answer<Outcome>;
    /// What is allocated to an order.
    async fn get_allocations(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Allocations>;
    /// A SKU's stock.
    async fn get_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock>;
    /// An order.
    async fn get_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order>;
    /// A page of orders.
    async fn list_orders(&self, filter: &OrderFilter, read_after: &ReadAfter) -> Answer<OrderPage>;
    /// A page of what happened to an order.
    async fn get_order_history(&self, order: PageOf<'_>, read_after: &ReadAfter) -> Answer<HistoryPage>;
    /// A page of the lines that wait, of a SKU or of all.
    async fn list_backorders(&self, sku: PageOf<'_>, read_after: &ReadAfter) -> Answer<BackorderPage>;
    /// An order as a watch of it begins.
    async fn watch_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order>;
    /// A SKU's stock as a watch of it begins.
    async fn watch_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock>;
    /// A stream's newest events, the newest first.
    async fn read_stream_backwards(&self, stream_id: &str, page_size: i32) -> Answer<EventPage>;
    /// The first `count` events of a subscription to what comes after a position.
    async fn subscribe(&self, after_position: i64, count: usize) -> Answer<Vec<Event>>;
}
