//! What the write side counts. Every series is there from the start.

use std::sync::LazyLock;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, exponential_buckets, register_histogram, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};
use tally_event_store::Batch;

/// Seconds that a commit takes.
const COMMIT_BUCKETS: [f64; 13] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 5.0];

/// All of them.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

/// The counters of the write side.
pub(crate) struct Metrics {
    pub(crate) in_flight: IntGauge,
    batch_commands: Histogram,
    batch_events: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) conflicts: IntCounter,
    pub(crate) decided_again: IntCounter,
    pub(crate) head_holds: IntCounter,
    pub(crate) repeated: IntCounter,
    pub(crate) cache_hits: IntCounter,
    pub(crate) cache_misses: IntCounter,
    pub(crate) cache_bytes: IntGauge,
    pub(crate) cache_streams: IntGauge,
    pub(crate) position: IntGauge,
    pub(crate) timed_out: IntCounter,
    overloads: IntCounterVec,
}

impl Metrics {
    /// A batch goes to Postgres.
    pub(crate) fn batch(&self, batch: &Batch) {
        self.batch_commands.observe(batch.commands.len() as f64);
        self.batch_events.observe(batch.commands.iter().map(|command| command.events.len()).sum::<usize>() as f64);
    }

    /// A command was refused because the named limit was reached.
    pub(crate) fn overloaded(&self, limit: &str) {
        self.overloads.with_label_values(&[limit]).inc();
    }

    fn register() -> Self {
        Self::try_register().expect("every metric has a name of its own")
    }

    fn try_register() -> prometheus::Result<Self> {
        let sizes = exponential_buckets(1.0, 2.0, 13)?;
        let overloads = register_int_counter_vec!(
            "tally_command_overloads_total",
            "Commands refused at once because a limit was reached, by the limit.",
            &["limit"]
        )?;
        for limit in ["commands_in_flight_max", "commands_in_flight_kib_max"] {
            overloads.with_label_values(&[limit]);
        }
        Ok(Self {
            in_flight: register_int_gauge!(
                "tally_commands_in_flight",
                "Commands accepted and not answered yet: the queue."
            )?,
            batch_commands: register_histogram!(
                "tally_batch_commands",
                "Commands that were committed together.",
                sizes.clone()
            )?,
            batch_events: register_histogram!("tally_batch_events", "Events that were committed together.", sizes)?,
            commit_seconds: register_histogram!(
                "tally_commit_duration_seconds",
                "Seconds from sending a batch to Postgres until it is known to be committed.",
                COMMIT_BUCKETS.to_vec()
            )?,
            conflicts: register_int_counter!(
                "tally_append_conflicts_total",
                "Batches that were refused because another replica had been faster, or a command had come before."
            )?,
            decided_again: register_int_counter!(
                "tally_commands_decided_again_total",
                "Decisions taken back and made again, because what they rested on was not what is stored."
            )?,
            head_holds: register_int_counter!(
                "tally_head_holds_total",
                "Batches that were decided with the head of the log held, because others append to the same streams."
            )?,
            repeated: register_int_counter!(
                "tally_commands_repeated_total",
                "Commands whose id came before, answered from memory."
            )?,
            cache_hits: register_int_counter!(
                "tally_state_cache_hits_total",
                "Streams that a decision needed and that were in memory."
            )?,
            cache_misses: register_int_counter!(
                "tally_state_cache_misses_total",
                "Streams that a decision needed and that had to be loaded."
            )?,
            cache_bytes: register_int_gauge!("tally_state_cache_bytes", "Bytes that the states in memory take.")?,
            cache_streams: register_int_gauge!("tally_state_cache_streams", "Streams whose state is in memory.")?,
            position: register_int_gauge!(
                "tally_appended_position",
                "The last position that this replica appended; 0 for none since it started."
            )?,
            timed_out: register_int_counter!(
                "tally_command_timeouts_total",
                "Commands that had no answer when their caller's time was over."
            )?,
            overloads,
        })
    }
}

/// A command in flight, counted until it is answered.
#[derive(Debug)]
pub(crate) struct InFlight(());

impl InFlight {
    pub(crate) fn begin() -> Self {
        METRICS.in_flight.inc();
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        METRICS.in_flight.dec();
    }
}
