//! The projections, one file each.

mod allocations;
mod backorders;
mod order;
mod order_history;
mod order_summaries;
mod stock;
mod streams;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use crate::Fold;

/// All of them.
pub(crate) fn all() -> Vec<Arc<dyn Fold>> {
    vec![
        Arc::new(order::Orders),
        Arc::new(order_summaries::OrderSummaries),
        Arc::new(allocations::Allocations),
        Arc::new(stock::Stocks),
        Arc::new(streams::Streams),
        Arc::new(order_history::OrderHistories),
        Arc::new(backorders::Backorders),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_projection_that_can_be_read_is_kept() {
        let mut kept: Vec<&str> = all().iter().map(|projection| projection.name()).collect();
        let mut read = tally_read_model::projections::ALL;
        kept.sort_unstable();
        read.sort_unstable();
        assert_eq!(kept, read);
    }
}
