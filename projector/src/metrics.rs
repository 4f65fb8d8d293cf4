//! What the projector counts: how far each projection is behind, what its batches take, and how it is.

mod arrivals;
mod ownership;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Opts, exponential_buckets, register_histogram_vec,
    register_int_counter_vec, register_int_gauge_vec,
};
use tally_read_model::Unit;
use time::OffsetDateTime;

use crate::explain::{reason_to_wait, reasons_to_wait};
use crate::loss::Kind;
use crate::metrics::arrivals::Arrivals;
use crate::metrics::ownership::Ownership;
use crate::projections;
use crate::status::{Part, State};

/// Seconds that it takes to apply a batch.
const APPLY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];
const SHARDED: [&str; 2] = ["projection", "shard"];
/// The label of what belongs to no shard: for Prometheus, none.
const NO_SHARD: &str = "";
/// The states that a projection can be in, as their label says it.
const STATES: [&str; 6] = ["starting", "following", "waiting", "halted", "paused", "recovering"];

/// All of them.
pub(crate) static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register().expect("every metric has a name of its own"));

/// The counters of the projector.
pub(crate) struct Metrics {
    progress: Progress,
    batch_events: HistogramVec,
    apply_seconds: HistogramVec,
    generation: IntGaugeVec,
    retries: IntCounterVec,
    states: IntGaugeVec,
    waiting: IntGaugeVec,
    losses: IntCounterVec,
    parked: IntGaugeVec,
    digest_mismatches: IntGaugeVec,
    digest_checks: IntCounterVec,
    ownership: Ownership,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        let progress = Progress::new()?;
        prometheus::register(Box::new(progress.clone()))?;
        let losses = register_int_counter_vec!(
            "tally_projection_losses_total",
            "Times that views were found lost or damaged and were made again, by what happened.",
            &["projection", "kind"]
        )?;
        let digest_checks = register_int_counter_vec!(
            "tally_projection_digest_checks_total",
            "Ranges of positions of which it was checked that what was applied is what the log holds.",
            &["projection"]
        )?;
        // There from the start: what happens for the first time is an increase then, and not a series that begins.
        for fold in projections::all() {
            digest_checks.with_label_values(&[fold.name()]);
            for kind in Kind::ALL {
                losses.with_label_values(&[fold.name(), kind.name()]);
            }
        }
        Ok(Self {
            progress,
            batch_events: register_histogram_vec!(
                "tally_projection_batch_events",
                "Events that were applied together.",
                &SHARDED,
                exponential_buckets(1.0, 2.0, 13)?
            )?,
            apply_seconds: register_histogram_vec!(
                "tally_projection_apply_duration_seconds",
                "Seconds from having read a batch of events until its views were written.",
                &SHARDED,
                APPLY_BUCKETS.to_vec()
            )?,
            generation: register_int_gauge_vec!(
                "tally_projection_generation",
                "The generation of views that is written.",
                &SHARDED
            )?,
            retries: register_int_counter_vec!(
                "tally_projection_retries_total",
                "Times that a projection had to try again because a store was away.",
                &["projection"]
            )?,
            losses,
            digest_checks,
            digest_mismatches: register_int_gauge_vec!(
                "tally_projection_digest_mismatches",
                "Ranges of positions in which something other was applied than the log holds.",
                &SHARDED
            )?,
            ownership: Ownership::register()?,
            parked: register_int_gauge_vec!(
                "tally_projection_parked_events",
                "Events that could not be projected and wait for somebody to retry them.",
                &SHARDED
            )?,
            states: register_int_gauge_vec!(
                "tally_projection_state",
                "1 for the state that a projection (or the reading of the log) is in, 0 for the others.",
                &["projection", "shard", "state"]
            )?,
            waiting: register_int_gauge_vec!(
                "tally_projection_waiting",
                "1 for the reason for which a projection (or the reading of the log) waits, as ExplainLag names it.",
                &["projection", "shard", "reason"]
            )?,
        })
    }

    /// The log ends here, as far as is known.
    pub(crate) fn head(&self, position: u64) {
        self.progress.0.head.store(position, Ordering::Relaxed);
    }

    /// Events arrived at the end of the log: the last of them, and when the first was recorded.
    pub(crate) fn arrived(&self, last: u64, first_recorded_at: OffsetDateTime) {
        self.progress.arrived(last, first_recorded_at.into());
    }

    /// A batch was read: its first event is the oldest that the projection has not got to.
    pub(crate) fn read(&self, projection: &'static str, shard: u16, oldest: OffsetDateTime) {
        self.progress.at(projection, shard, |place| place.oldest = Some(oldest.into()));
    }

    /// A batch was applied.
    pub(crate) fn applied(&self, projection: &'static str, shard: u16, events: usize, took: Duration) {
        let shard = shard.to_string();
        let labels = [projection, &shard];
        self.batch_events.with_label_values(&labels).observe(events as f64);
        self.apply_seconds.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// The projection stands here.
    pub(crate) fn stands(&self, projection: &'static str, shard: u16, position: u64, generation: u64) {
        self.progress.at(projection, shard, |place| *place = Place { position, oldest: None });
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        self.generation.with_label_values(&[projection, &shard.to_string()]).set(generation);
    }

    /// It is to be tried again.
    pub(crate) fn retried(&self, projection: &str) {
        self.retries.with_label_values(&[projection]).inc();
    }

    /// This projector works at it from now on, and tells of it.
    pub(crate) fn taken(&self, unit: Unit) {
        self.ownership.taken(unit.projection);
        let shard = unit.shard.to_string();
        self.digest_mismatches.with_label_values(&[unit.projection, &shard]);
        self.parked.with_label_values(&[unit.projection, &shard]);
    }

    /// Another projector works at it from now on, and tells of it.
    pub(crate) fn given_up(&self, unit: Unit) {
        self.ownership.given_up(unit.projection);
        let shard = unit.shard.to_string();
        let labels = [unit.projection, shard.as_str()];
        // What was never set needs no forgetting.
        for state in STATES {
            let _ = self.states.remove_label_values(&[unit.projection, &shard, state]);
        }
        self.waits_no_more(unit.projection, &shard);
        for gauge in [&self.generation, &self.parked, &self.digest_mismatches] {
            let _ = gauge.remove_label_values(&labels);
        }
        self.progress.forget(unit);
    }

    /// So many units are this projector's, of so many.
    pub(crate) fn shared_out(&self, owned: usize, units: usize) {
        self.ownership.shared_out(owned, units);
    }

    /// A range of positions was held against the log. Of so many of the unit it is known now that they differ.
    pub(crate) fn digest_checked(&self, unit: Unit, differing: usize) {
        self.digest_checks.with_label_values(&[unit.projection]).inc();
        let differing = i64::try_from(differing).unwrap_or(i64::MAX);
        self.digest_mismatches.with_label_values(&[unit.projection, &unit.shard.to_string()]).set(differing);
    }

    /// Something of a projection's views was lost.
    pub(crate) fn lost(&self, projection: &str, kind: &str) {
        self.losses.with_label_values(&[projection, kind]).inc();
    }

    /// So many events of a unit are parked.
    pub(crate) fn parked(&self, unit: Unit, events: u64) {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.parked.with_label_values(&[unit.projection, &unit.shard.to_string()]).set(events);
    }

    /// It is in this state now.
    pub(crate) fn state(&self, part: Part, state: &State) {
        let (name, shard) = match part {
            Part::Unit(Unit { projection, shard }) => (projection.to_owned(), shard.to_string()),
            Part::Log | Part::LineEvents | Part::Leases => (part.to_string(), NO_SHARD.to_owned()),
        };
        // There from the start.
        self.retries.with_label_values(&[name.as_str()]);
        let now = match state {
            State::Starting => STATES[0],
            State::Following => STATES[1],
            State::Waiting(_) => STATES[2],
            State::Halted(_) => STATES[3],
            State::Paused => STATES[4],
            State::Recovering => STATES[5],
        };
        for state in STATES {
            self.states.with_label_values(&[name.as_str(), &shard, state]).set(i64::from(state == now));
        }
        self.waits_no_more(&name, &shard);
        if let State::Waiting(why) = state {
            self.waiting.with_label_values(&[name.as_str(), &shard, reason_to_wait(why)]).set(1);
        }
    }

    fn waits_no_more(&self, name: &str, shard: &str) {
        for reason in reasons_to_wait() {
            let _ = self.waiting.remove_label_values(&[name, shard, reason]);
        }
    }
}

/// Where all projections stand. How far they are behind is worked out when somebody asks, so that it grows while one stands still.
#[derive(Clone)]
struct Progress(std::sync::Arc<Known>);

struct Known {
    head: AtomicU64,
    places: Mutex<BTreeMap<(&'static str, u16), Place>>,
    arrivals: Mutex<Arrivals>,
    position: IntGaugeVec,
    log_head: prometheus::IntGauge,
    lag_events: IntGaugeVec,
    lag_seconds: GaugeVec,
}

#[derive(Clone, Copy, Default)]
struct Place {
    position: u64,
    /// When the oldest event was recorded that was read and is not applied yet.
    oldest: Option<SystemTime>,
}

impl Progress {
    fn new() -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        Ok(Self(std::sync::Arc::new(Known {
            head: AtomicU64::new(0),
            places: Mutex::default(),
            arrivals: Mutex::default(),
            position: IntGaugeVec::new(
                opts("tally_projection_position", "The position up to which a projection has applied the log."),
                &SHARDED,
            )?,
            log_head: prometheus::IntGauge::with_opts(opts(
                "tally_log_head_position",
                "The position of the log's last event, as far as the projector knows.",
            ))?,
            lag_events: IntGaugeVec::new(
                opts("tally_projection_lag_events", "Events that a projection has not applied yet."),
                &SHARDED,
            )?,
            lag_seconds: GaugeVec::new(
                opts(
                    "tally_projection_lag_seconds",
                    "Seconds since the oldest event that a projection has not applied yet was recorded; 0 when there is none.",
                ),
                &SHARDED,
            )?,
        })))
    }

    fn forget(&self, unit: Unit) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(&(unit.projection, unit.shard));
        let shard = unit.shard.to_string();
        let labels = [unit.projection, &shard];
        // One that was never set needs no forgetting.
        let _ = self.0.position.remove_label_values(&labels);
        let _ = self.0.lag_events.remove_label_values(&labels);
        let _ = self.0.lag_seconds.remove_label_values(&labels);
    }

    fn arrived(&self, last: u64, first_recorded_at: SystemTime) {
        let places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = places.values().map(|place| place.position).min().unwrap_or(0);
        drop(places);
        self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner).arrived(last, first_recorded_at, applied);
    }

    fn at(&self, projection: &'static str, shard: u16, change: impl FnOnce(&mut Place)) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        change(places.entry((projection, shard)).or_default());
    }
}

impl Collector for Progress {
    fn desc(&self) -> Vec<&Desc> {
        let known = &self.0;
        let mut all = known.position.desc();
        all.extend(known.log_head.desc());
        all.extend(known.lag_events.desc());
        all.extend(known.lag_seconds.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let known = &self.0;
        let head = known.head.load(Ordering::Relaxed);
        known.log_head.set(signed(head));
        for ((projection, shard), place) in known.places.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let shard = shard.to_string();
            let labels = [*projection, &shard];
            let behind = head.saturating_sub(place.position);
            // While Redis is away nothing is read for the projection, and what has arrived at the end of the log tells.
            let arrivals =
                || known.arrivals.lock().unwrap_or_else(PoisonError::into_inner).oldest_after(place.position);
            // The database's clock may be ahead of ours.
            let age = place.oldest.or_else(arrivals).filter(|_| behind > 0).and_then(|oldest| oldest.elapsed().ok());
            known.position.with_label_values(&labels).set(signed(place.position));
            known.lag_events.with_label_values(&labels).set(signed(behind));
            known.lag_seconds.with_label_values(&labels).set(age.unwrap_or_default().as_secs_f64());
        }
        let mut all = known.position.collect();
        all.extend(known.log_head.collect());
        all.extend(known.lag_events.collect());
        all.extend(known.lag_seconds.collect());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(progress: &Progress, name: &str) -> f64 {
        let families = progress.collect();
        let family = families.iter().find(|family| family.name() == name).expect("the metric");
        family.get_metric()[0].get_gauge().get_value()
    }

    #[test]
    fn who_stands_still_falls_behind_and_who_has_caught_up_is_not() {
        let progress = Progress::new().expect("names of their own");
        progress.0.head.store(12, Ordering::Relaxed);
        let minute_ago = SystemTime::now() - Duration::from_secs(60);
        progress.at("order", 0, |place| *place = Place { position: 10, oldest: Some(minute_ago) });
        assert_eq!(value(&progress, "tally_projection_lag_events"), 2.0);
        assert!(value(&progress, "tally_projection_lag_seconds") >= 60.0);
        progress.at("order", 0, |place| *place = Place { position: 12, oldest: Some(minute_ago) });
        assert_eq!(value(&progress, "tally_projection_lag_events"), 0.0);
        assert_eq!(value(&progress, "tally_projection_lag_seconds"), 0.0);
    }
}
