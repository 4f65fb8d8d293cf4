//! All projections of the process, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_event_store::ReadStore;
use tally_read_model::ReadModel;
use tokio::task::{Id, JoinSet};
use uuid::Uuid;

use crate::Fold;
use crate::alarm::Alarm;
use crate::outward::{LINE_EVENTS, Outward};
use crate::retry::{Backoff, Failure};
use crate::run::run;
use crate::status::{LOG, State, Status};
use crate::step::Stepper;
use crate::tail::{Tail, TailLimits};

/// Runs the projections.
pub(crate) struct Engine {
    pub(crate) store: ReadStore,
    pub(crate) model: ReadModel,
    pub(crate) projections: Vec<Arc<dyn Fold>>,
    pub(crate) limits: TailLimits,
    /// The name of the log.
    pub(crate) log: String,
    /// About how many of the events that are published stay to be read.
    pub(crate) line_events_kept_max: u64,
    pub(crate) status: Status,
}

impl Engine {
    /// Runs until dropped. A projection that stops leaves the others running; a log that is replaced stops all.
    pub(crate) async fn run(self) {
        let log_id = self.log_id().await;
        let tail = Arc::new(Tail::new(self.store, self.limits));
        let writer = self.model.writer(log_id);
        let mut tasks: JoinSet<Alarm> = JoinSet::new();
        let mut names: BTreeMap<Id, &'static str> = BTreeMap::new();
        for projection in self.projections {
            let name = projection.name();
            let stepper = Stepper { projection, tail: Arc::clone(&tail), writer: writer.clone() };
            let task = tasks.spawn(run(stepper, self.status.clone(), self.limits.retry_max));
            names.insert(task.id(), name);
        }
        let outward = Outward {
            tail: Arc::clone(&tail),
            lines: self.model.line_events(log_id),
            log: self.log,
            kept_max: self.line_events_kept_max,
        };
        let task = tasks.spawn(outward.run(self.status.clone(), self.limits.retry_max));
        names.insert(task.id(), LINE_EVENTS);
        let (bell, status) = (self.model.subscribe_log(), self.status.clone());
        let task = tasks.spawn(async move { tail.run(log_id, bell, &status).await });
        names.insert(task.id(), LOG);

        while let Some(ended) = tasks.join_next_with_id().await {
            let (id, alarm) = match ended {
                Ok((id, alarm)) => (id, alarm),
                Err(error) => (error.id(), Alarm::Died),
            };
            let name = names.get(&id).copied().unwrap_or(LOG);
            self.status.set(name, State::Halted(alarm.to_string()));
            if name == LOG {
                // Without the tail the others would stand still and not know it.
                tasks.abort_all();
                for name in names.values() {
                    self.status.set(name, State::Halted(alarm.to_string()));
                }
                return;
            }
        }
    }

    /// The identity of the log, as soon as it can be asked.
    async fn log_id(&self) -> Uuid {
        let mut backoff = Backoff::new(self.limits.retry_max);
        loop {
            match self.store.log_id().await {
                Ok(id) => return id,
                Err(error) => self.status.set(LOG, State::Waiting(Failure::from(error).to_string())),
            }
            backoff.wait().await;
        }
    }
}
