//! The waiting of one call: it has an end, and a place among a limited number.

use futures::future::OptionFuture;
use tally_runtime::trace::Span;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Counted, METRICS};
use crate::status::Failure;
use crate::watched::Watched;

/// How far a shard of a projection is to come.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) from: &'a Watched,
    pub(crate) shard: u16,
    pub(crate) position: u64,
}

impl Place<'_> {
    async fn reached(&self) {
        self.from.waiters(self.shard).register(self.position).woken().await;
    }
}

/// The waiting of one call, in as many parts as it takes.
pub(crate) struct LimitedWait<'a> {
    until: Instant,
    places: &'a Semaphore,
    /// Taken at the first wait and kept: most calls never wait.
    place: Option<SemaphorePermit<'a>>,
    stopping: &'a CancellationToken,
    /// Whether the caller asked for something to wait for.
    pub(crate) is_asked_for: bool,
    over: bool,
}

impl<'a> LimitedWait<'a> {
    pub(crate) fn new(
        until: Instant,
        places: &'a Semaphore,
        stopping: &'a CancellationToken,
        is_asked_for: bool,
    ) -> Self {
        Self { until, places, place: None, stopping, is_asked_for, over: false }
    }

    /// Whether any of it is behind.
    pub(crate) fn has_begun(&self) -> bool {
        self.place.is_some()
    }

    /// Whether there is no more time to wait.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Waits until a shard of a projection seems to have come so far, or time is over.
    pub(crate) async fn for_position(&mut self, place: Place<'_>) -> Result<(), Failure> {
        self.for_either(place, None).await
    }

    /// Waits until one of the two seems to have come so far, or time is over. It counts as a wait for the first.
    pub(crate) async fn for_either(&mut self, place: Place<'_>, other: Option<Place<'_>>) -> Result<(), Failure> {
        if self.place.is_none() {
            let place = self.places.try_acquire().map_err(|_| Failure::Overloaded { limit: "waiters_max" })?;
            self.place = Some(place);
        }
        let mut span = Span::of_call("wait for projection");
        span.set("tally.projection", place.from.projection);
        span.set("tally.position", i64::try_from(place.position).unwrap_or(i64::MAX));
        let _counted = Counted::in_gauge(&METRICS.waiting);
        let began = Instant::now();
        tokio::select! {
            () = place.reached() => {}
            Some(()) = OptionFuture::from(other.as_ref().map(Place::reached)) => {}
            () = sleep_until(self.until) => self.over = true,
            () = self.stopping.cancelled() => self.over = true,
        }
        METRICS.waited(place.from.projection, began.elapsed(), self.over);
        Ok(())
    }
}
