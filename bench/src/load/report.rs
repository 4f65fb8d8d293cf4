//! What a load says in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Digits of a latency that are kept.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What became of a load, as the one line of JSON that `bench load` prints.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct LoadReport {
    /// Commands that were answered with success, the warm-up's among them.
    pub(crate) acknowledged: u64,
    /// Those of them that were answered while it counted.
    pub(crate) measured: u64,
    /// How long it counted.
    pub(crate) measured_seconds: f64,
    /// Latencies of what was due while it counted.
    pub(crate) latency_us: Percentiles,
    /// Commands that were refused for too much load while it counted, where that is taken for an answer.
    #[serde(default)]
    pub(crate) refused: u64,
    /// How long those took.
    #[serde(default)]
    pub(crate) refused_us: Percentiles,
    /// How long it took until what was written could be read, where that is measured.
    #[serde(default)]
    pub(crate) read_us: Percentiles,
    /// How often each error came, by code and message. A load without any is the only one that is worth something.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    /// Half were as fast as this.
    pub(crate) p50: f64,
    /// 90 of 100 were.
    pub(crate) p90: f64,
    /// 99 of 100 were.
    pub(crate) p99: f64,
    /// 999 of 1000 were.
    pub(crate) p999: f64,
    /// The slowest.
    pub(crate) max: f64,
}

impl LoadReport {
    /// Commands a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.measured as f64 / self.measured_seconds
    }
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() as f64 / 1_000.0 }
    }
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// When it came, from the beginning of the load on.
    pub(super) came_at: Duration,
    pub(super) latency: Duration,
    /// Refused for too much load.
    pub(super) refused: bool,
    /// Its latency is not looked at.
    pub(super) unmeasured: bool,
    /// How long it took until it could be read, where `latency` is how long it took until it was visible.
    pub(super) read: Option<Duration>,
}

/// What one sender saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    pub(super) errors: Vec<String>,
}

impl Seen {
    pub(super) fn note(&mut self, outcome: Result<Answer, String>) {
        match outcome {
            Ok(answer) => self.answers.push(answer),
            Err(error) => self.errors.push(error),
        }
    }
}

/// Sums up what all senders saw. What came after `warm_up` and within `measure` of it counts as done; of what was due then, how long it took counts,
/// however late it came.
pub(super) fn sum_up(seen: &[Seen], warm_up: Duration, measure: Duration) -> Result<LoadReport> {
    let mut histogram = Histogram::<u64>::new(SIGNIFICANT_DIGITS)?;
    let mut refusals = Histogram::<u64>::new(SIGNIFICANT_DIGITS)?;
    let mut reads = Histogram::<u64>::new(SIGNIFICANT_DIGITS)?;
    let mut report = LoadReport { measured_seconds: measure.as_secs_f64(), ..LoadReport::default() };
    for answer in seen.iter().flat_map(|seen| &seen.answers) {
        let counting = warm_up..warm_up + measure;
        let counts = counting.contains(&answer.came_at);
        let was_due = counting.contains(&answer.came_at.saturating_sub(answer.latency));
        let latency = u64::try_from(answer.latency.as_nanos())?;
        if answer.refused {
            report.refused += u64::from(counts);
            refusals.record(latency)?;
        } else {
            report.acknowledged += 1;
            report.measured += u64::from(counts);
            if was_due && !answer.unmeasured {
                histogram.record(latency)?;
            }
            if let Some(read) = answer.read.filter(|_| was_due) {
                reads.record(u64::try_from(read.as_nanos())?)?;
            }
        }
    }
    for error in seen.iter().flat_map(|seen| &seen.errors) {
        *report.errors.entry(error.clone()).or_default() += 1;
    }
    report.latency_us = Percentiles::of(&histogram);
    report.refused_us = Percentiles::of(&refusals);
    report.read_us = Percentiles::of(&reads);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(came_at_ms: u64, latency_us: u64) -> Answer {
        Answer {
            came_at: Duration::from_millis(came_at_ms),
            latency: Duration::from_micros(latency_us),
            refused: false,
            unmeasured: false,
            read: None,
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let refused = Answer { refused: true, ..answer(150, 2_000) };
        let seen = Seen { answers: vec![answer(150, 1_000), refused], errors: vec![] };
        let report = sum_up(&[seen], Duration::from_millis(100), Duration::from_millis(100)).unwrap();
        assert_eq!((report.acknowledged, report.measured, report.refused), (1, 1, 1));
        assert!(report.latency_us.max < 1_100.0 && report.refused_us.max > 1_900.0, "{report:?}");
    }

    #[test]
    fn the_warm_up_and_what_came_late_is_acknowledged_and_not_measured() {
        let seen = Seen { answers: vec![answer(50, 9_000), answer(150, 1_000), answer(250, 9_000)], errors: vec![] };
        let report = sum_up(&[seen], Duration::from_millis(100), Duration::from_millis(100)).unwrap();
        assert_eq!((report.acknowledged, report.measured), (3, 1));
        assert!((report.latency_us.max - 1_000.0).abs() < 2.0, "{report:?}");
        assert_eq!(report.per_second(), 10.0);
    }

    #[test]
    fn what_was_due_while_it_counted_and_came_late_is_slow_and_not_left_out() {
        let seen = Seen { answers: vec![answer(150, 1_000), answer(900, 750_000)], errors: vec![] };
        let report = sum_up(&[seen], Duration::from_millis(100), Duration::from_millis(100)).unwrap();
        assert_eq!((report.acknowledged, report.measured), (2, 1));
        assert!(report.latency_us.max > 749_000.0, "{report:?}");
    }

    #[test]
    fn errors_are_counted_by_what_they_say() {
        let seen = Seen { answers: vec![], errors: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()] };
        let report = sum_up(&[seen], Duration::ZERO, Duration::from_millis(100)).unwrap();
        assert_eq!(report.errors, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let answers = (1..=1_000).map(|latency_us| answer(0, latency_us)).collect();
        let seen = Seen { answers, errors: vec![] };
        let latency_us = sum_up(&[seen], Duration::ZERO, Duration::from_secs(1)).unwrap().latency_us;
        assert!((latency_us.p50 - 500.0).abs() < 2.0 && (latency_us.p99 - 990.0).abs() < 2.0, "{latency_us:?}");
    }
}
