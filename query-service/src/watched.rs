//! A projection, and the one watcher that this process has for each of its shards.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use tally_read_model::{Bell, ReadModel, Unit};
use tokio_util::task::AbortOnDropHandle;

use crate::lookups::Lookups;
use crate::wait::{Projection, Waiters, watch};

/// A projection that can be waited for. Its watchers end with it.
pub(crate) struct Watched {
    pub(crate) projection: &'static str,
    pub(crate) lookups: Lookups,
    shards: Vec<(Arc<Waiters>, AbortOnDropHandle<()>)>,
}

impl Watched {
    /// Begins to listen to the bells of the projection's shards; Redis may be away.
    pub(crate) fn new(model: &ReadModel, projection: &'static str, poll_interval: Duration) -> Self {
        let shards = model.units(projection).map(|unit| {
            let waiters = Arc::<Waiters>::default();
            let remote = Remote { unit, bell: model.subscribe(unit), model: model.clone() };
            let watcher = tokio::spawn(watch(Arc::clone(&waiters), remote, poll_interval));
            (waiters, AbortOnDropHandle::new(watcher))
        });
        Self { projection, lookups: Lookups::new(model, projection), shards: shards.collect() }
    }

    /// All who wait for a shard.
    pub(crate) fn waiters(&self, shard: u16) -> &Arc<Waiters> {
        &self.shards[usize::from(shard) % self.shards.len()].0
    }
}

struct Remote {
    unit: Unit,
    bell: Bell,
    model: ReadModel,
}

impl Projection for Remote {
    async fn rung(&mut self) -> u64 {
        match self.bell.next().await {
            Some(position) => position,
            // It has fallen silent for good; there is still polling.
            None => future::pending().await,
        }
    }

    async fn look(&mut self) -> Option<u64> {
        match self.model.read_checkpoint(self.unit).await {
            Ok(checkpoint) => Some(checkpoint.state.position),
            // Before it can be read it has a position too, unless there is nothing at all.
            Err(tally_read_model::Error::NotBuilt { position, complete_from, .. }) => {
                (position < complete_from).then_some(position)
            }
            Err(error) => {
                tracing::debug!(%error, projection = self.unit.projection, "can't look where the projection stands");
                None
            }
        }
    }
}
