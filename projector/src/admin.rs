//! What an operator can ask of the projections, and do to them: behind the admin API and the command line alike.

use std::sync::Arc;
use std::time::Duration;

use tally_api::projections::v1 as proto;
use tally_event_store::ReadStore;
use tally_read_model::Writer;

use crate::Fold;
use crate::conduct::Conductor;
use crate::engine::{Engine, Machine};
use crate::explain::{Explanation, explain, without_facts};
use crate::facts::{LogFacts, gather};
use crate::parked::ParkedEvent;
use crate::proto::number;
use crate::replicas::unique_name;
use crate::retry::Failure;
use crate::retry_parked::{self, Retried, retry_parked};
use crate::status::Status;
use crate::stores::{Log, Views as _};
use crate::tail::{Reader, Tail};
use crate::verify::{Verified, verify};
use crate::work::Surroundings;

/// How soon a rebuild's progress is told again.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Everything that is asked and done by hand. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) projections: Arc<[Arc<dyn Fold>]>,
    pub(crate) store: ReadStore,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) writer: Writer,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) keep: Duration,
    /// How the units are that this process owns.
    pub(crate) status: Status,
}

/// A page of parked events begins after this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ParkedPlace {
    pub(crate) projection: String,
    pub(crate) position: u64,
    pub(crate) shard: i32,
}

impl Admin {
    /// Which log it is about says Postgres, or, where that is away, the read model.
    pub(crate) async fn open(engine: &Engine) -> Result<Self, Failure> {
        let log_id = match engine.store.log_id().await {
            Ok(log_id) => log_id,
            Err(error) => match engine.model.log_id().await {
                Ok(Some(log_id)) => log_id,
                Ok(None) | Err(_) => return Err(error.into()),
            },
        };
        Ok(Self {
            projections: engine.projections.clone().into(),
            store: engine.store.clone(),
            log: Arc::new(Reader::new(Arc::new(Tail::new(engine.store.clone(), engine.limits)))),
            writer: engine.model.writer(log_id),
            surroundings: Arc::new(Machine),
            keep: engine.keep,
            status: engine.status.clone(),
        })
    }

    /// The projection of this name.
    pub(crate) fn projection(&self, name: &str) -> Option<Arc<dyn Fold>> {
        self.projections.iter().find(|fold| fold.name() == name).cloned()
    }

    /// What decides on the generations of a projection.
    pub(crate) fn conductor(&self, fold: &Arc<dyn Fold>) -> Conductor {
        Conductor {
            fold: Arc::clone(fold),
            log: Arc::clone(&self.log),
            views: Arc::new(self.writer.clone()),
            surroundings: Arc::clone(&self.surroundings),
            keep_ms: u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// How all projections are.
    pub(crate) async fn list(&self) -> Result<proto::ListProjectionsResponse, Failure> {
        let log = LogFacts::gather(&self.store).await;
        let facts = self.projections.iter().map(|fold| self.facts(fold, &log));
        let projections = futures::future::try_join_all(facts).await?;
        let mut projectors: Vec<String> =
            self.writer.members().await?.iter().map(|member| unique_name(member).to_owned()).collect();
        projectors.dedup();
        Ok(proto::ListProjectionsResponse { projections, read_shards: i32::from(self.writer.shards()), projectors })
    }

    async fn facts(&self, fold: &Arc<dyn Fold>, log: &LogFacts) -> Result<proto::Projection, Failure> {
        gather(fold, &self.store, &self.writer, log, &self.status).await
    }

    /// How one projection is.
    pub(crate) async fn one(&self, fold: &Arc<dyn Fold>) -> Result<proto::Projection, Failure> {
        self.facts(fold, &LogFacts::gather(&self.store).await).await
    }

    /// Why a projection is behind.
    pub(crate) async fn explain_lag(&self, fold: &Arc<dyn Fold>) -> (Explanation, Option<proto::Projection>) {
        let log = LogFacts::gather(&self.store).await;
        match self.facts(fold, &log).await {
            Ok(facts) => (explain(&facts, log.failure.as_ref()), Some(facts)),
            Err(failure) => (without_facts(&failure), None),
        }
    }

    /// Parked events of one projection or all, after a place.
    pub(crate) async fn parked(
        &self,
        projection: Option<&str>,
        after: &ParkedPlace,
        limit: usize,
    ) -> Result<Vec<proto::ProjectionParkedEvent>, Failure> {
        let mut names: Vec<&'static str> = self.projections.iter().map(|fold| fold.name()).collect();
        names.sort_unstable();
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| projection.is_none_or(|wanted| wanted == *name)) {
            for unit in self.writer.model().units(name) {
                let Some((build, _)) = self.writer.look(unit).await?.live_state() else { continue };
                for (position, record) in self.writer.parked(unit, build).await? {
                    found.push((name, position, i32::from(unit.shard), record));
                }
            }
        }
        found.sort();
        let after = (after.projection.as_str(), after.position, after.shard);
        let page =
            found.into_iter().filter(|(name, position, shard, _)| (*name, *position, *shard) > after).take(limit);
        Ok(page.map(|(name, position, shard, record)| parked_event(name, position, shard, &record)).collect())
    }

    /// Folds a parked event after all.
    pub(crate) async fn retry_parked(
        &self,
        fold: &Arc<dyn Fold>,
        position: u64,
    ) -> Result<Retried, retry_parked::Error> {
        retry_parked(&**fold, &*self.log, &self.writer, position).await
    }

    /// Compares what was applied with the log.
    pub(crate) async fn verify(
        &self,
        projections: &[Arc<dyn Fold>],
        progress: impl FnMut(u64, u64),
    ) -> Result<Vec<Verified>, Failure> {
        verify(projections, &*self.log, &self.writer, progress).await
    }
}

fn parked_event(name: &str, position: u64, shard: i32, record: &str) -> proto::ProjectionParkedEvent {
    let event = ParkedEvent::from_record(record);
    let event = match event {
        Some(event) => proto::ParkedEvent {
            position: number(position),
            view: event.view.unwrap_or_default(),
            stream_id: event.stream_id,
            stream_version: number(event.version),
            event_type: event.event_type,
            reason: event.reason,
            waits_behind: event.behind,
            shard,
        },
        None => proto::ParkedEvent {
            position: number(position),
            shard,
            reason: "a later version of the program parked it".to_owned(),
            ..proto::ParkedEvent::default()
        },
    };
    proto::ProjectionParkedEvent { projection: name.to_owned(), event: Some(event) }
}
