//! Waiting until a projection has reached a position. However many wait, one watcher a projection listens to the bell and asks Redis.
//!
//! The hazard is the lost wake-up: a caller looks, finds the projection behind, and before it waits the projection moves and rings to
//! nobody. So a caller *registers first*, and registering makes the watcher look once more. Every interleaving then ends well: a move before
//! that look is seen by the look, a move after it rings, and a ring finds the registration. Looks that are asked for while one is under way
//! are one look more, not one each.
//!
//! A wake-up is a hint and no promise: a bell may tell of a generation that is no longer live, and Redis may lose writes. Whoever is woken
//! reads again, and registers again if it was in vain. A bell that is lost is made good by polling, and there is polling only while
//! somebody waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// All who wait for one projection.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: Mutex<Waiting>,
    look: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order of the wanted positions, so that a ring finds those whom it concerns and nobody else.
    wake: BTreeMap<Place, oneshot::Sender<()>>,
    registered: u64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    wanted: u64,
    number: u64,
}

impl Waiters {
    /// Waits for `wanted` from now on. A position that was reached at any time after what the caller read last wakes it.
    pub(crate) fn register(self: &Arc<Self>, wanted: u64) -> Registration {
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.registered += 1;
        let place = Place { wanted, number: waiting.registered };
        waiting.wake.insert(place, wake);
        drop(waiting);
        self.look.notify_one();
        Registration { waiters: Arc::clone(self), place, woken }
    }

    /// Wakes all who want `position` or an earlier one.
    fn reached(&self, position: u64) {
        let mut waiting = self.lock();
        while let Some(first) = waiting.wake.first_entry().filter(|first| first.key().wanted <= position) {
            // One who has just gone away needs no waking.
            let _ = first.remove().send(());
        }
    }

    fn is_anybody_waiting(&self) -> bool {
        !self.lock().wake.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait; dropped, nothing of it is left.
#[derive(Debug)]
pub(crate) struct Registration {
    waiters: Arc<Waiters>,
    place: Place,
    woken: oneshot::Receiver<()>,
}

impl Registration {
    /// Completes when the projection seems to have got there.
    pub(crate) async fn woken(mut self) {
        if (&mut self.woken).await.is_err() {
            // Only who is woken leaves the map before this is dropped, so this can't be. If it could, returning would make the caller spin.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.waiters.lock().wake.remove(&self.place);
    }
}

/// What a watcher learns a projection's position from.
pub(crate) trait Projection: Send + 'static {
    /// Completes at the next ring, with the position that it tells. Dropped before that, no ring is lost.
    fn rung(&mut self) -> impl Future<Output = u64> + Send;

    /// Asks for the position; None when it can't be learnt now.
    fn look(&mut self) -> impl Future<Output = Option<u64>> + Send;
}

/// Wakes those who wait for `projection`, for ever.
pub(crate) async fn watch(waiters: Arc<Waiters>, mut projection: impl Projection, poll_interval: Duration) {
    let mut told = 0;
    let mut looked = Instant::now();
    loop {
        let position = tokio::select! {
            biased;
            () = waiters.look.notified() => None,
            position = projection.rung() => Some(position),
            () = sleep_until(looked + poll_interval), if waiters.is_anybody_waiting() => None,
        };
        // A ring that tells nothing new says that rings were missed, or that the projection began anew.
        let position = match position.filter(|position| *position > told) {
            Some(position) => Some(position),
            None if waiters.is_anybody_waiting() => {
                let position = projection.look().await;
                looked = Instant::now();
                position
            }
            None => None,
        };
        if let Some(position) = position {
            told = position;
            waiters.reached(position);
        }
    }
}

#[cfg(test)]
mod tests;
