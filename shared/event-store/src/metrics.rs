//! What the sessions of Postgres count, for all stores of the process together.

use std::sync::LazyLock;

use prometheus::{Histogram, IntCounter, IntGauge, register_histogram, register_int_counter, register_int_gauge};

/// Seconds until a session is had.
const ACQUIRE_BUCKETS: [f64; 9] = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0];

/// All of them.
pub(crate) static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register().expect("every metric has a name of its own"));

/// The counters of the sessions.
pub(crate) struct Metrics {
    pub(crate) busy: IntGauge,
    pub(crate) limit: IntGauge,
    pub(crate) opened: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) acquire_seconds: Histogram,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        Ok(Self {
            busy: register_int_gauge!("tally_database_sessions_busy", "Sessions of Postgres that work.")?,
            limit: register_int_gauge!(
                "tally_database_sessions_limit",
                "Sessions of Postgres that may work at a time, those that hold the head of the log apart."
            )?,
            opened: register_int_counter!("tally_database_sessions_opened_total", "Sessions of Postgres opened.")?,
            failed: register_int_counter!(
                "tally_database_failures_total",
                "Times that no session of Postgres could be had, or that one broke."
            )?,
            acquire_seconds: register_histogram!(
                "tally_database_acquire_duration_seconds",
                "Seconds until a session of Postgres was had, or not.",
                ACQUIRE_BUCKETS.to_vec()
            )?,
        })
    }
}

/// A session that works.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn begin() -> Self {
        METRICS.busy.inc();
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        METRICS.busy.dec();
    }
}
