//! What the read side counts.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, register_histogram_vec, register_int_counter_vec, register_int_gauge,
};
use tally_read_model::projections;

/// Seconds that a read waits.
const WAIT_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0];
/// The limits that refuse a read.
const LIMITS: [&str; 5] =
    ["event_reads_in_flight_max", "reads_in_flight_max", "subscribers_max", "waiters_max", "watchers_max"];

/// All of them.
pub(crate) static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register().expect("every metric has a name of its own"));

/// The counters of the read side.
pub(crate) struct Metrics {
    pub(crate) waiting: IntGauge,
    pub(crate) reading: IntGauge,
    wait_seconds: HistogramVec,
    wait_timeouts: IntCounterVec,
    stale: IntCounterVec,
    overloads: IntCounterVec,
    pub(crate) watching: IntGauge,
    pub(crate) subscribed: IntGauge,
    stream_ends: IntCounterVec,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        let overloads = register_int_counter_vec!(
            "tally_read_overloads_total",
            "Reads refused at once because a limit was reached, by the limit.",
            &["limit"]
        )?;
        for limit in LIMITS {
            overloads.with_label_values(&[limit]);
        }
        let wait_seconds = register_histogram_vec!(
            "tally_read_wait_duration_seconds",
            "Seconds that reads waited for a projection; those that found it there already don't count.",
            &["projection"],
            WAIT_BUCKETS.to_vec()
        )?;
        let wait_timeouts = register_int_counter_vec!(
            "tally_read_wait_timeouts_total",
            "Reads whose wait was over before the projection had got there.",
            &["projection"]
        )?;
        let stale = register_int_counter_vec!(
            "tally_stale_answers_total",
            "Answers from before what the caller had asked for, which said so.",
            &["projection"]
        )?;
        // There from the start, so that a rate over what has not happened yet is 0 and not nothing.
        for projection in projections::ALL {
            wait_seconds.with_label_values(&[projection]);
            wait_timeouts.with_label_values(&[projection]);
            stale.with_label_values(&[projection]);
        }
        Ok(Self {
            waiting: register_int_gauge!("tally_reads_waiting", "Reads that wait for what they must have seen.")?,
            reading: register_int_gauge!("tally_reads_in_flight", "Reads sent to Redis and not answered yet.")?,
            wait_seconds,
            wait_timeouts,
            stale,
            overloads,
            watching: register_int_gauge!("tally_watchers", "Calls that watch an order or a stock.")?,
            subscribed: register_int_gauge!("tally_subscribers", "Calls that are subscribed to the log.")?,
            stream_ends: register_int_counter_vec!(
                "tally_stream_ends_total",
                "Watches and subscriptions that were ended from here, by the reason that the caller was given.",
                &["reason"]
            )?,
        })
    }

    /// A watch or a subscription was ended from here.
    pub(crate) fn stream_ended(&self, reason: &str) {
        self.stream_ends.with_label_values(&[reason]).inc();
    }

    /// A read waited for a projection.
    pub(crate) fn waited(&self, projection: &str, took: Duration, in_vain: bool) {
        self.wait_seconds.with_label_values(&[projection]).observe(took.as_secs_f64());
        if in_vain {
            self.wait_timeouts.with_label_values(&[projection]).inc();
        }
    }

    /// An answer that says that it may be stale.
    pub(crate) fn stale(&self, projection: &str) {
        self.stale.with_label_values(&[projection]).inc();
    }

    /// A read was refused.
    pub(crate) fn overloaded(&self, limit: &str) {
        self.overloads.with_label_values(&[limit]).inc();
    }
}

/// One more, until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted(&'static IntGauge);

impl Counted {
    pub(crate) fn in_gauge(gauge: &'static IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
