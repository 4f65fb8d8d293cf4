//! Answers that hold a view as it is stored, and the services that give them.
//!
//! What the projector stores is the encoded message that the answer holds, so a look-up needs neither decode nor encode it: on the wire a field of
//! bytes and a field with a message are the same. Only servers use these; a client gets the messages that the protos describe.

use bytes::Bytes;

use crate::consistency::v1::Freshness;

/// `tally.orders.v1.GetOrderResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetOrderResponse {
    /// An encoded `tally.orders.v1.Order`.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub order: Option<Bytes>,
    #[prost(message, optional, tag = "2")]
    pub freshness: Option<Freshness>,
}

/// `tally.allocation.v1.GetStockResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetStockResponse {
    /// An encoded `tally.allocation.v1.Stock`.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub stock: Option<Bytes>,
    #[prost(message, optional, tag = "2")]
    pub freshness: Option<Freshness>,
}

mod generated {
    include!(concat!(env!("OUT_DIR"), "/stored/tally.rs"));
}

pub use generated::tally::{allocation, orders};

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::allocation::v1 as allocation;
    use crate::orders::v1 as orders;

    fn freshness() -> Option<Freshness> {
        Some(Freshness { position: 7, may_be_stale: true, token: "t".to_owned(), parked_position: 0 })
    }

    #[test]
    fn a_stored_order_is_on_the_wire_what_the_protos_say() {
        let order = orders::Order { order_id: "o".to_owned(), version: 3, ..Default::default() };
        let stored = GetOrderResponse { order: Some(order.encode_to_vec().into()), freshness: freshness() };
        let told = orders::GetOrderResponse { order: Some(order), freshness: freshness() };
        assert_eq!(stored.encode_to_vec(), told.encode_to_vec());
    }

    #[test]
    fn a_stored_stock_is_on_the_wire_what_the_protos_say() {
        let stock = allocation::Stock { sku: "s".to_owned(), version: 3, ..Default::default() };
        let stored = GetStockResponse { stock: Some(stock.encode_to_vec().into()), freshness: freshness() };
        let told = allocation::GetStockResponse { stock: Some(stock), freshness: freshness() };
        assert_eq!(stored.encode_to_vec(), told.encode_to_vec());
    }
}
