//! What one run of a subject tells.

use std::collections::BTreeMap;
use std::fmt;

/// What can be measured of a subject.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Quantity {
    /// Commands, or a baseline's transactions, a second.
    PerSecond,
    /// Events a second.
    EventsPerSecond,
    /// The latency that half of them kept, in microseconds.
    P50Us,
    /// The latency that 99 of 100 of them kept, in microseconds.
    P99Us,
    /// The time in which 99 of 100 reads of what was just written were answered, in microseconds.
    ReadP99Us,
    /// The slowest, in milliseconds.
    MaxMs,
    /// Commands a second before there was too much load.
    BeforePerSecond,
    /// Commands a second from one second after it on.
    AfterPerSecond,
    /// Commands a second just before and just after too much load, in the mean.
    AroundPerSecond,
    /// The time in which 99 of 100 were refused that were, in milliseconds.
    RefusedP99Ms,
    /// Processor time of each, Postgres's part in it, in microseconds.
    CpuUsEach,
    /// The most memory that the process ever had, in millions of bytes.
    ResidentMb,
    /// From the process's start to serving, in milliseconds.
    StartMs,
}

/// The quantities of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<Quantity, f64>);

impl Sample {
    pub(crate) fn with(mut self, quantity: Quantity, value: f64) -> Self {
        self.0.insert(quantity, value);
        self
    }

    pub(crate) fn get(&self, quantity: Quantity) -> Option<f64> {
        self.0.get(&quantity).copied()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|(quantity, value)| format!("{quantity:?} {value:.1}")).collect();
        f.write_str(&texts.join(", "))
    }
}
