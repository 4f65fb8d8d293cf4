use serde::Serialize;

use crate::{Date, Item, PostalAddress};

/// What may be asked of Tally. The edge has checked every field by itself: lengths and ranges, an order's SKUs distinct and its
/// prices in one currency, UUIDs in lower case, the id of an order that is to be created a UUID.
///
/// The serialized form is the content that a repeated `command_id` is compared by, and its hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the RPCs, which describe them")]
pub enum Command {
    /// Adds stock, in the warehouse (no `eta`) or on its way.
    CreateBatch { batch_ref: String, sku: String, quantity: u32, eta: Option<Date> },
    /// The shipment has arrived.
    ReceiveBatch { batch_ref: String },
    /// Sets what is in the batch, allocated or not.
    ChangeBatchQuantity { batch_ref: String, quantity: u32 },
    /// Reserves stock for a line.
    Allocate { order_id: String, sku: String, quantity: u32 },
    /// Frees a line.
    Deallocate { order_id: String, sku: String },
    /// Creates an order and allocates its lines.
    CreateOrder { order_id: String, customer_id: String, items: Vec<Item>, shipping_address: Box<PostalAddress> },
    /// Calls an order off and frees its lines.
    CancelOrder { order_id: String, reason: String },
    /// Sends an order out, whole.
    ShipOrder { order_id: String },
}

/// Whether an order with this id may be one that Tally keeps: a UUID in the form 8-4-4-4-12. Every other order is kept elsewhere.
pub fn is_own_order_id(order_id: &str) -> bool {
    order_id.len() == 36
        && order_id.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _digit => byte.is_ascii_hexdigit(),
        })
}
