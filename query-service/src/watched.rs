//! A projection, and the one watcher that this process has for it.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use tally_read_model::{Bell, ReadModel};
use tokio_util::task::AbortOnDropHandle;

use crate::lookups::Lookups;
use crate::wait::{Projection, Waiters, watch};

/// A projection that can be waited for. Its watcher ends with it.
pub(crate) struct Watched {
    pub(crate) projection: &'static str,
    pub(crate) lookups: Lookups,
    pub(crate) waiters: Arc<Waiters>,
    _watcher: AbortOnDropHandle<()>,
}

impl Watched {
    /// Begins to listen to the projection's bell; Redis may be away.
    pub(crate) fn new(model: &ReadModel, projection: &'static str, poll_interval: Duration) -> Self {
        let waiters = Arc::<Waiters>::default();
        let remote = Remote { projection, bell: model.subscribe(projection), model: model.clone() };
        let watcher = tokio::spawn(watch(Arc::clone(&waiters), remote, poll_interval));
        Self {
            projection,
            lookups: Lookups::new(model, projection),
            waiters,
            _watcher: AbortOnDropHandle::new(watcher),
        }
    }
}

struct Remote {
    projection: &'static str,
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
        match self.model.read_checkpoint(self.projection).await {
            Ok(checkpoint) => Some(checkpoint.position),
            Err(error) => {
                tracing::debug!(%error, projection = self.projection, "can't look where the projection stands");
                None
            }
        }
    }
}
