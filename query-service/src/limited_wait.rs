//! The waiting of one call: it has an end, and a place among a limited number.

use tally_runtime::trace::Span;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Counted, METRICS};
use crate::status::Failure;
use crate::watched::Watched;

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

    /// Waits until a shard of `from` seems to have reached `wanted`, or time is over.
    pub(crate) async fn for_position(&mut self, from: &Watched, shard: u16, wanted: u64) -> Result<(), Failure> {
        if self.place.is_none() {
            let place = self.places.try_acquire().map_err(|_| Failure::Overloaded { limit: "waiters_max" })?;
            self.place = Some(place);
        }
        let mut span = Span::of_call("wait for projection");
        span.set("tally.projection", from.projection);
        span.set("tally.position", i64::try_from(wanted).unwrap_or(i64::MAX));
        let _counted = Counted::in_gauge(&METRICS.waiting);
        let began = Instant::now();
        tokio::select! {
            () = from.waiters(shard).register(wanted).woken() => {}
            () = sleep_until(self.until) => self.over = true,
            () = self.stopping.cancelled() => self.over = true,
        }
        METRICS.waited(from.projection, began.elapsed(), self.over);
        Ok(())
    }
}
