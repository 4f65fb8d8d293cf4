//! When events were recorded that were seen at the end of the log: so that it is known how old the oldest is that a projection has not applied, also
//! while it can't even be asked where the projection stands.

use std::collections::VecDeque;
use std::time::SystemTime;

/// How many batches are kept apart. Of more the times grow coarser, and none is forgotten that somebody has still to apply.
const BATCHES_MAX: usize = 256;

/// Batches that arrived, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<Batch>);

#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Its last event.
    last: u64,
    /// When its first event was recorded.
    first_recorded_at: SystemTime,
}

impl Arrivals {
    /// A batch arrived. Everything up to `applied` is of no interest any more.
    pub(super) fn arrived(&mut self, last: u64, first_recorded_at: SystemTime, applied: u64) {
        while self.0.front().is_some_and(|batch| batch.last <= applied) {
            self.0.pop_front();
        }
        // The log went back.
        while self.0.back().is_some_and(|batch| batch.last >= last) {
            self.0.pop_back();
        }
        if self.0.len() >= BATCHES_MAX {
            let mut batches = std::mem::take(&mut self.0).into_iter();
            while let Some(batch) = batches.next() {
                let last = batches.next().map_or(batch.last, |next| next.last);
                self.0.push_back(Batch { last, ..batch });
            }
        }
        self.0.push_back(Batch { last, first_recorded_at });
    }

    /// When the oldest event after `position` was recorded, or one shortly before it; None where none has arrived.
    pub(super) fn oldest_after(&self, position: u64) -> Option<SystemTime> {
        let next = self.0.partition_point(|batch| batch.last <= position);
        self.0.get(next).map(|batch| batch.first_recorded_at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn what_is_not_applied_yet_has_the_age_of_its_batch() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.oldest_after(0), None);
        arrivals.arrived(10, at(1), 0);
        arrivals.arrived(20, at(2), 0);
        assert_eq!(
            [0, 9, 10, 19, 20].map(|it| arrivals.oldest_after(it)),
            [Some(at(1)), Some(at(1)), Some(at(2)), Some(at(2)), None]
        );
        arrivals.arrived(30, at(3), 20);
        assert_eq!(arrivals.oldest_after(0), Some(at(3)), "the others are applied");
    }

    #[test]
    fn of_many_the_oldest_is_kept() {
        let mut arrivals = Arrivals::default();
        for batch in 1..=100_000 {
            arrivals.arrived(batch * 10, at(batch), 0);
        }
        assert!(arrivals.0.len() <= BATCHES_MAX);
        assert_eq!(arrivals.oldest_after(0), Some(at(1)));
        assert_eq!(arrivals.oldest_after(999_999), Some(at(100_000)));
    }

    #[test]
    fn a_log_that_went_back_begins_anew_there() {
        let mut arrivals = Arrivals::default();
        arrivals.arrived(10, at(1), 0);
        arrivals.arrived(5, at(2), 0);
        assert_eq!(arrivals.oldest_after(4), Some(at(2)));
        assert_eq!(arrivals.oldest_after(5), None);
    }
}
