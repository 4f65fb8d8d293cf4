//! All that runs in the process: the tail of the log, the sharing of the work with other projectors, and the units that are this one's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tally_event_store::ReadStore;
use tally_read_model::{Bell, ReadModel, Unit, Writer};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::alarm::Alarm;
use crate::audit::Audit;
use crate::conduct::Conductor;
use crate::high_water::HighWaterMarks;
use crate::metrics::METRICS;
use crate::outward::Outward;
use crate::replicas::{TEND_EVERY, leave, member, tend};
use crate::retry::{Backoff, Failure};
use crate::run::UnitRun;
use crate::status::{Part, State, Status};
use crate::step::{Observer, Stepper};
use crate::tail::{Reader, Tail, TailLimits};
use crate::traces::traced;
use crate::work::{BatchLimits, Surroundings, Work};
use crate::{Fold, Recorded};

/// Runs the projections.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) store: ReadStore,
    pub(crate) model: ReadModel,
    pub(crate) projections: Vec<Arc<dyn Fold>>,
    pub(crate) limits: TailLimits,
    pub(crate) rebuild_events_max: usize,
    pub(crate) keep: Duration,
    /// The name of the log.
    pub(crate) log: String,
    /// About how many of the events that are published stay to be read; None: nothing is published from here.
    pub(crate) line_events_kept_max: Option<u64>,
    /// How often a part of what was applied is held against the log; None: never from here.
    pub(crate) verify_every: Option<Duration>,
    pub(crate) status: Status,
}

/// The machine's clock and chance.
pub(crate) struct Machine;

impl Surroundings for Machine {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u32 {
        Uuid::new_v4().as_fields().0
    }
}

/// The units that this process works at.
struct Units {
    engine: Engine,
    tail: Arc<Tail>,
    high_water: Arc<HighWaterMarks>,
    writer: Writer,
    member: String,
    tasks: JoinSet<Alarm>,
    running: BTreeMap<Unit, AbortHandle>,
    names: BTreeMap<Id, Part>,
}

impl Engine {
    /// Runs until `stop`, and then gives its units back, so that others take over at once. A unit that halts leaves the others running; a
    /// log that is replaced stops all.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(log_id) = stop.run_until_cancelled(self.log_id()).await else { return };
        let tail = Arc::new(Tail::new(self.store.clone(), self.limits));
        let writer = self.model.writer(log_id);
        let versions = self.versions();
        let member = member(&format!("{:012x}", Uuid::new_v4().as_u128() >> 80), &versions);
        let mut units = Units {
            tail: Arc::clone(&tail),
            high_water: Arc::new(HighWaterMarks::new(self.store.clone(), log_id, self.model.shards())),
            writer: writer.clone(),
            member: member.clone(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            names: BTreeMap::new(),
            engine: self,
        };
        let (bell, status) = (units.engine.model.subscribe_log(), units.engine.status.clone());
        let task = units.tasks.spawn(async move { tail.run(log_id, bell, &status).await });
        units.names.insert(task.id(), Part::Log);
        if let Some(kept_max) = units.engine.line_events_kept_max {
            let outward = Outward {
                tail: Arc::clone(&units.tail),
                reader: Reader::new(Arc::clone(&units.tail)),
                lines: units.engine.model.line_events(log_id),
                log: units.engine.log.clone(),
                kept_max,
            };
            let status = units.engine.status.clone();
            let task = units.tasks.spawn(outward.run(status, units.engine.limits.retry_max));
            units.names.insert(task.id(), Part::LineEvents);
        }
        let _audit = units.engine.verify_every.map(|every| {
            let Engine { store, projections, status, .. } = units.engine.clone();
            AbortOnDropHandle::new(tokio::spawn(Audit::new(store, writer.clone(), projections, status).run(every)))
        });
        let high_water = Arc::clone(&units.high_water);
        let _high_water = AbortOnDropHandle::new(tokio::spawn({
            let high_water = Arc::clone(&high_water);
            async move { high_water.run().await }
        }));
        let mut plans = units.engine.model.subscribe_projectors();
        let status = units.engine.status.clone();
        while !stop.is_cancelled() {
            match tend(&writer, &versions, &member).await {
                Ok(owned) => {
                    // In this order, so that it is not ready before its units are.
                    units.work_at(owned);
                    status.set(Part::Leases, State::Following);
                }
                Err(failure) => status.set(Part::Leases, State::Waiting(failure.to_string())),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(TEND_EVERY) => {}
                _ = plans.next() => {}
                Some(ended) = units.tasks.join_next_with_id() => {
                    if units.ended(ended) {
                        break;
                    }
                }
            }
        }
        units.tasks.shutdown().await;
        let (left, written) = futures::join!(leave(&writer, &versions, &member), high_water.write());
        if let Err(failure) = left {
            tracing::debug!(%failure, "leases are not given back and will run out");
        }
        if let Err(error) = written {
            tracing::debug!(%error, "how far the views have come is not written down");
        }
        // Where the log was replaced by another one there is nothing left to do; how it is stays told.
        stop.cancelled().await;
    }

    /// The projections and the versions of their code.
    pub(crate) fn versions(&self) -> Vec<(&'static str, u32)> {
        self.projections.iter().map(|projection| (projection.name(), projection.version())).collect()
    }

    /// The identity of the log, as soon as it can be asked.
    pub(crate) async fn log_id(&self) -> Uuid {
        let mut backoff = Backoff::new(self.limits.retry_max);
        loop {
            match self.store.log_id().await {
                Ok(id) => return id,
                Err(error) => self.status.set(Part::Log, State::Waiting(Failure::from(error).to_string())),
            }
            backoff.wait().await;
        }
    }

    /// What decides on the generations of a projection.
    pub(crate) fn conductor(&self, fold: &Arc<dyn Fold>, log: &Arc<Tail>, writer: &Writer) -> Conductor {
        Conductor {
            fold: Arc::clone(fold),
            log: Arc::new(Reader::new(Arc::clone(log))),
            views: Arc::new(writer.clone()),
            surroundings: Arc::new(Machine),
            keep_ms: u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The oldest event that is not applied yet.
fn read(unit: Unit, first: &Recorded) {
    METRICS.read(unit.projection, unit.shard, first.recorded_at);
}

/// Counts and traces a batch that was applied.
fn applied(unit: Unit, began: SystemTime, events: &[Arc<Recorded>]) {
    METRICS.applied(unit.projection, unit.shard, events.len(), began.elapsed().unwrap_or_default());
    traced(unit.projection, began, events);
}

impl Units {
    /// Begins and ends work, so that it is at these units.
    fn work_at(&mut self, owned: BTreeSet<Unit>) {
        let units = self.engine.projections.len() * usize::from(self.engine.model.shards());
        METRICS.shared_out(owned.len(), units);
        let gone: Vec<Unit> = self.running.keys().filter(|unit| !owned.contains(unit)).copied().collect();
        for unit in gone {
            if let Some(task) = self.running.remove(&unit) {
                task.abort();
                self.engine.status.forget(unit);
            }
        }
        for unit in owned {
            if self.running.contains_key(&unit) {
                continue;
            }
            let Some(fold) = self.engine.projections.iter().find(|fold| fold.name() == unit.projection) else {
                continue;
            };
            METRICS.taken(unit);
            self.engine.status.set(Part::Unit(unit), State::Starting);
            let run = self.unit_run(unit, fold);
            let task = self.tasks.spawn(run.run());
            self.names.insert(task.id(), Part::Unit(unit));
            self.running.insert(unit, task);
        }
    }

    fn unit_run(&self, unit: Unit, fold: &Arc<dyn Fold>) -> UnitRun {
        let Engine { model, limits, status, .. } = &self.engine;
        let stepper = Stepper {
            unit,
            fold: Arc::clone(fold),
            log: Arc::new(Reader::new(Arc::clone(&self.tail))),
            views: Arc::new(self.writer.clone()),
            high_water: Arc::clone(&self.high_water) as _,
            member: self.member.clone(),
            observer: Observer { read, applied },
        };
        let batches = BatchLimits { live: limits.batch_events_max, rebuild: self.engine.rebuild_events_max };
        let (plans, missed): (Bell, Bell) = (model.subscribe_projectors(), model.subscribe_missed(unit));
        UnitRun {
            work: Work::new(stepper, Arc::new(Machine), batches),
            conductor: self.engine.conductor(fold, &self.tail, &self.writer),
            conducting: None,
            writer: self.writer.clone(),
            tail: Arc::clone(&self.tail),
            status: status.clone(),
            retry_max: limits.retry_max,
            plans,
            missed,
        }
    }

    /// A task has ended; true when that is the end of all.
    fn ended(&mut self, ended: Result<(Id, Alarm), tokio::task::JoinError>) -> bool {
        let (id, alarm) = match ended {
            Ok((id, alarm)) => (id, alarm),
            Err(error) if error.is_cancelled() => {
                self.names.remove(&error.id());
                return false;
            }
            Err(error) => (error.id(), Alarm::Died),
        };
        let part = self.names.remove(&id).unwrap_or(Part::Log);
        let status = &self.engine.status;
        status.set(part, State::Halted(alarm.to_string()));
        if part != Part::Log {
            return false;
        }
        // Without the tail the units would stand still and not know it.
        for unit in self.running.keys() {
            status.set(Part::Unit(*unit), State::Halted(alarm.to_string()));
        }
        self.tasks.abort_all();
        true
    }
}
