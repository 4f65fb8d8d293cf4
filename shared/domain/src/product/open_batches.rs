use std::collections::BTreeMap;

use crate::Date;

/// A batch's place in the order in which stock is given out: in the warehouse first (no ETA, and `None` is the least), then the
/// earliest due, ties by arrival. The derived comparison is this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) eta: Option<Date>,
    pub(super) arrival: usize,
}

/// The batches that have something left, with how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OpenBatches(BTreeMap<Rank, u32>);

impl OpenBatches {
    pub(super) fn set_free(&mut self, rank: Rank, free: u32) {
        if free == 0 {
            self.0.remove(&rank);
        } else {
            self.0.insert(rank, free);
        }
    }

    pub(super) fn free(&self, rank: Rank) -> u32 {
        self.0.get(&rank).copied().unwrap_or(0)
    }

    /// The first that can hold the whole quantity: a line is never split.
    pub(super) fn first_fit(&self, quantity: u32) -> Option<Rank> {
        self.0.iter().find(|&(_, &free)| free >= quantity).map(|(&rank, _)| rank)
    }
}
