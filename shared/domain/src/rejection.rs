use thiserror::Error;

use crate::{BATCHES_PER_SKU_MAX, EVENTS_PER_COMMAND_MAX};

/// Why a command is refused. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the ids that the text names")]
pub enum Rejection {
    /// No batch of the SKU was ever created.
    #[error("Invalid sku {sku}")]
    InvalidSku { sku: String },
    /// The batch reference is taken, by whichever SKU.
    #[error("Batch {batch_ref} exists already")]
    BatchExists { batch_ref: String },
    /// No batch has this reference.
    #[error("There is no batch {batch_ref}")]
    BatchNotFound { batch_ref: String },
    /// The SKU has as many batches as one may have.
    #[error("Sku {sku} has {BATCHES_PER_SKU_MAX} batches, and may have no more")]
    TooManyBatches { sku: String },
    /// The line is there, with another quantity.
    #[error("The line of sku {sku} in order {order_id} has the quantity {quantity}")]
    LineDiffers { order_id: String, sku: String, quantity: u32 },
    /// The line has neither stock nor a place among the backorders.
    #[error("Nothing of sku {sku} is allocated to order {order_id}")]
    AllocationNotFound { order_id: String, sku: String },
    /// The order, one of Tally's own, has no such line.
    #[error("Order {order_id} has no line of sku {sku}")]
    NotInOrder { order_id: String, sku: String },
    /// The order id is taken.
    #[error("Order {order_id} exists already")]
    OrderExists { order_id: String },
    /// Tally keeps no order with this id.
    #[error("There is no order {order_id}")]
    OrderNotFound { order_id: String },
    /// The order was called off.
    #[error("Order {order_id} is cancelled")]
    OrderCancelled { order_id: String },
    /// The order has left the warehouse.
    #[error("Order {order_id} is shipped")]
    OrderShipped { order_id: String },
    /// A line is not allocated, or its batch has not arrived. Names the first such line.
    #[error("Order {order_id} can't be shipped: its line of sku {sku} is not allocated from stock")]
    ItemsNotInStock { order_id: String, sku: String },
    /// The order's total can't be written down in its currency.
    #[error("The order's total is too large")]
    TotalOverflow,
    /// The command would move more lines than one commit may hold.
    #[error("The command would make more than {EVENTS_PER_COMMAND_MAX} changes at once")]
    CommandTooLarge,
}

impl Rejection {
    /// The reason as machines read it. Part of the API.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::InvalidSku { .. } => "INVALID_SKU",
            Rejection::BatchExists { .. } => "BATCH_EXISTS",
            Rejection::BatchNotFound { .. } => "BATCH_NOT_FOUND",
            Rejection::TooManyBatches { .. } => "TOO_MANY_BATCHES",
            Rejection::LineDiffers { .. } => "LINE_DIFFERS",
            Rejection::AllocationNotFound { .. } => "ALLOCATION_NOT_FOUND",
            Rejection::NotInOrder { .. } => "NOT_IN_ORDER",
            Rejection::OrderExists { .. } => "ORDER_EXISTS",
            Rejection::OrderNotFound { .. } => "ORDER_NOT_FOUND",
            Rejection::OrderCancelled { .. } => "ORDER_CANCELLED",
            Rejection::OrderShipped { .. } => "ORDER_SHIPPED",
            Rejection::ItemsNotInStock { .. } => "ITEMS_NOT_IN_STOCK",
            Rejection::TotalOverflow => "TOTAL_OVERFLOW",
            Rejection::CommandTooLarge => "COMMAND_TOO_LARGE",
        }
    }
}
