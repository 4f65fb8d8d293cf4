use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Names a stream of events. Its text is stored: `order-{order_id}`, `product-{sku}`, `batch-{batch_ref}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// An order that Tally keeps, or the note that one with this UUID is kept elsewhere.
    Order(String),
    /// A SKU's batches, allocations and backorders.
    Product(String),
    /// The claim on a batch reference, unique over all SKUs.
    Batch(String),
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamId::Order(order_id) => write!(f, "order-{order_id}"),
            StreamId::Product(sku) => write!(f, "product-{sku}"),
            StreamId::Batch(batch_ref) => write!(f, "batch-{batch_ref}"),
        }
    }
}

/// Not the name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a stream is named order-…, product-… or batch-…")]
pub struct ParseStreamIdError;

impl FromStr for StreamId {
    type Err = ParseStreamIdError;

    fn from_str(text: &str) -> Result<StreamId, ParseStreamIdError> {
        match text.split_once('-') {
            None | Some((_, "")) => Err(ParseStreamIdError),
            Some(("order", order_id)) => Ok(StreamId::Order(order_id.to_owned())),
            Some(("product", sku)) => Ok(StreamId::Product(sku.to_owned())),
            Some(("batch", batch_ref)) => Ok(StreamId::Batch(batch_ref.to_owned())),
            Some((_unknown_kind, _)) => Err(ParseStreamIdError),
        }
    }
}
