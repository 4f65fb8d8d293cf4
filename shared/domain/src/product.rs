//! A product: one SKU's batches, and the order lines that hold stock in them or wait for it. What it decides is in `decide`, what it
//! remembers in `state`.

mod backorders;
mod decide;
mod open_batches;
#[cfg(test)]
mod picture;
mod snapshot;
mod state;
mod undo;

use serde::{Deserialize, Serialize};

use crate::Date;

pub(crate) use decide::Placement;
#[cfg(test)]
pub(crate) use picture::{BatchPicture, Picture};
pub(crate) use snapshot::Snapshot;
pub use state::Product;
pub use undo::Undo;

/// What happens to a SKU's stock. A line is (order_id, sku).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are named by what they hold")]
pub enum Event {
    /// There is a new batch: in the warehouse, or due on a date.
    BatchCreated {
        batch_ref: String,
        sku: String,
        quantity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        eta: Option<Date>,
    },
    /// The batch has more or less in it. What no longer fits was deallocated before.
    BatchQuantityChanged { batch_ref: String, sku: String, quantity: u32, previous_quantity: u32 },
    /// The shipment has arrived.
    BatchReceived { batch_ref: String, sku: String },
    /// The line holds stock of this batch.
    Allocated { order_id: String, sku: String, batch_ref: String, quantity: u32, from_backorder: bool },
    /// The line holds no stock and waits for none. No `batch_ref`: it was waiting.
    Deallocated {
        order_id: String,
        sku: String,
        quantity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch_ref: Option<String>,
    },
    /// The line waits, behind all that wait already.
    OutOfStock { order_id: String, sku: String, quantity: u32 },
    /// What the line held has left the batch and the warehouse.
    Shipped { order_id: String, sku: String, batch_ref: String, quantity: u32 },
}

impl Event {
    /// The name that it is stored under.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::BatchCreated { .. } => "BatchCreated",
            Event::BatchQuantityChanged { .. } => "BatchQuantityChanged",
            Event::BatchReceived { .. } => "BatchReceived",
            Event::Allocated { .. } => "Allocated",
            Event::Deallocated { .. } => "Deallocated",
            Event::OutOfStock { .. } => "OutOfStock",
            Event::Shipped { .. } => "Shipped",
        }
    }
}
