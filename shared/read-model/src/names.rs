//! The names that the projector writes under and the query-service reads by.

/// The projections.
pub mod projections {
    /// View key order_id, view `tally.orders.v1.Order`.
    pub const ORDER: &str = "order";
    /// View key order_id, view `tally.orders.v1.OrderSummary`; lists [`super::lists::customer`].
    pub const ORDERS_BY_CUSTOMER: &str = "orders_by_customer";
    /// View key order_id, view `tally.orders.v1.OrderSummary`; lists [`super::lists::status`].
    pub const ORDERS_BY_STATUS: &str = "orders_by_status";
    /// View key order_id, view `tally.allocation.v1.GetAllocationsResponse` without its freshness; no view where it would be empty.
    pub const ALLOCATIONS: &str = "allocations";
    /// View key SKU, view `tally.allocation.v1.Stock`.
    pub const STOCK: &str = "stock";
    /// View key stream id, view 16 bytes: the stream's version and the position of that event, both u64 big-endian.
    pub const STREAMS: &str = "streams";

    /// All of them.
    pub const ALL: [&str; 6] = [ORDER, ORDERS_BY_CUSTOMER, ORDERS_BY_STATUS, ALLOCATIONS, STOCK, STREAMS];
}

/// The lists of views. A status is written as in `OrderStatus` without its prefix: `OPEN`, `SHIPPED`, `CANCELLED`.
pub mod lists {
    /// All orders of a customer.
    pub fn customer(customer_id: &str) -> String {
        format!("customer/{}", segment(customer_id))
    }

    /// The orders of a customer that have this status.
    pub fn customer_with_status(customer_id: &str, status: &str) -> String {
        format!("customer/{}/{status}", segment(customer_id))
    }

    /// Everybody's orders that have this status.
    pub fn status(status: &str) -> String {
        format!("status/{status}")
    }

    /// Without this the customer `a/OPEN` would read the open orders of the customer `a`.
    fn segment(id: &str) -> String {
        id.replace('%', "%25").replace('/', "%2F")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn no_customer_id_reaches_into_another_customers_lists() {
            let lists = [
                customer("a"),
                customer("a/OPEN"),
                customer("a%2FOPEN"),
                customer_with_status("a", "OPEN"),
                customer_with_status("a/OPEN", "OPEN"),
            ];
            let distinct: std::collections::BTreeSet<_> = lists.iter().collect();
            assert_eq!(distinct.len(), lists.len(), "{lists:?}");
        }
    }
}
