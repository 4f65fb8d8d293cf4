//! The names that the projector writes under and the query-service reads by.

/// The projections.
pub mod projections {
    /// View key order_id, view `tally.orders.v1.Order`.
    pub const ORDER: &str = "order";
    /// View key order_id, view `tally.orders.v1.OrderSummary`; lists [`super::lists::customer`], [`super::lists::customer_with_status`] and
    /// [`super::lists::status`].
    pub const ORDER_SUMMARIES: &str = "order_summaries";
    /// View key order_id, view `tally.allocation.v1.GetAllocationsResponse` without its freshness; no view where it would be empty.
    pub const ALLOCATIONS: &str = "allocations";
    /// View key SKU, view `tally.allocation.v1.Stock`.
    pub const STOCK: &str = "stock";
    /// View key stream id, view 16 bytes: the stream's version and the position of that event, both u64 big-endian.
    pub const STREAMS: &str = "streams";

    /// View key order_id, view `tally.orders.v1.GetOrderHistoryResponse` without its freshness and with all of the changes that are kept.
    pub const ORDER_HISTORY: &str = "order_history";
    /// View key [`super::line_key`], view `tally.allocation.v1.Backorder`; lists [`super::lists::backorders`] and
    /// [`super::lists::EVERY_BACKORDER`].
    pub const BACKORDERS: &str = "backorders";

    /// All of them.
    pub const ALL: [&str; 7] = [ORDER, ORDER_SUMMARIES, ALLOCATIONS, STOCK, STREAMS, ORDER_HISTORY, BACKORDERS];
}

/// The view key of an order's line. No two lines have the same, whatever their SKUs and orders are called.
pub fn line_key(sku: &str, order_id: &str) -> String {
    format!("{}/{order_id}", lists::segment(sku))
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

    /// All lines that wait, of whichever SKU; the longest waiting first.
    pub const EVERY_BACKORDER: &str = "all";

    /// The lines that wait for a SKU, the longest waiting first.
    pub fn backorders(sku: &str) -> String {
        format!("sku/{}", segment(sku))
    }

    /// Without this the customer `a/OPEN` would read the open orders of the customer `a`.
    pub(super) fn segment(id: &str) -> String {
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

        #[test]
        fn no_line_has_the_key_of_another() {
            let lines = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("a", "b%2Fc")];
            let distinct: std::collections::BTreeSet<_> =
                lines.iter().map(|(sku, order_id)| crate::line_key(sku, order_id)).collect();
            assert_eq!(distinct.len(), lines.len(), "{distinct:?}");
        }
    }
}
