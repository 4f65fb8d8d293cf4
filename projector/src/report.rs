//! What the owner of a unit says of it, for ListProjections of any replica: kept in Redis for a while, so that one who is gone says nothing.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How long a report stands.
pub(crate) const REPORT_LASTS: Duration = Duration::from_secs(10);
/// Over how long the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(5);

/// How a unit is, by its owner.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// Who says so.
    pub(crate) member: String,
    /// What keeps it from its work; empty for nothing.
    pub(crate) reason: String,
    /// It stopped for good.
    pub(crate) halted: bool,
    /// Events projected per second, by the live build.
    pub(crate) live_rate: f64,
    /// The same of the build that catches up.
    pub(crate) building_rate: f64,
}

/// Measures how fast positions go by.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Takes note of a position, and returns the rate in events per second.
    pub(crate) fn at(&mut self, now: Instant, position: u64) -> f64 {
        if self.0.back().is_some_and(|(_, before)| position < *before) {
            self.0.clear();
        }
        self.0.push_back((now, position));
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER) {
            self.0.pop_front();
        }
        match self.0.front() {
            Some((at, before)) if now > *at => (position - before) as f64 / now.duration_since(*at).as_secs_f64(),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut rate = Rate::default();
        assert_eq!(rate.at(start, 100), 0.0);
        assert_eq!(rate.at(start + second, 300), 200.0);
        assert_eq!(rate.at(start + second * 2, 300), 100.0);
        for past in 3..20 {
            rate.at(start + second * past, 300);
        }
        assert_eq!(rate.at(start + second * 20, 300), 0.0);
        assert_eq!(rate.at(start + second * 21, 10), 0.0, "a build that begins anew");
    }
}
