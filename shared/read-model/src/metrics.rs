//! What the connections to Redis count.

use std::sync::LazyLock;

use prometheus::{IntCounter, register_int_counter};

/// All of them.
pub(crate) static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register().expect("every metric has a name of its own"));

/// The counters of the connections.
pub(crate) struct Metrics {
    pub(crate) opened: IntCounter,
    pub(crate) failed: IntCounter,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        Ok(Self {
            opened: register_int_counter!("tally_redis_connections_opened_total", "Connections to Redis opened.")?,
            failed: register_int_counter!(
                "tally_redis_failures_total",
                "Times that Redis could not be reached, or did not answer in time."
            )?,
        })
    }
}
