//! One call that watches a view: the view now, then each change, and a sign of life while there is none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tally_api::consistency::v1::Freshness;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::metrics::{Counted, METRICS};
use crate::outbox::{Outbox, Outgoing, StreamLimits, TooSlow};
use crate::read_after::{After, ReadAfter};
use crate::reader::{Answer, Reader, decode};
use crate::status::{Failure, Missing, Resume};
use crate::watched::Watched;
use crate::watches::{Seen, WatchedView, Watches};

/// What all watching calls of the process share.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) reader: Arc<Reader>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) limits: StreamLimits,
    /// Cancelled when the process begins to stop: a watch would never end by itself.
    pub(crate) stopping: CancellationToken,
}

/// What a kind of view is to its watchers.
pub(crate) struct Kind<M, R, C> {
    pub(crate) missing: Missing,
    /// A message with the view, or a sign of life without.
    pub(crate) respond: fn(Option<M>, Freshness) -> R,
    /// What its stream's id has before the view's key.
    pub(crate) stream: &'static str,
    /// The version of its stream that a view says.
    pub(crate) version: fn(&M) -> i64,
    /// Whether this caller may see it. Whose it is never changes, so it is asked once.
    pub(crate) check: C,
}

impl Watching {
    /// Begins to watch the view with this key; it must be there.
    pub(crate) async fn begin<M, R, C>(
        &self,
        (from, watches): (&Watched, &Watches),
        key: &str,
        asked: &ReadAfter,
        time_left: Option<Duration>,
        kind: Kind<M, R, C>,
    ) -> Result<Outgoing<R>, Status>
    where
        M: Message + Default + Send + 'static,
        R: Send + 'static,
        C: FnOnce(&M) -> Result<(), Status>,
    {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Failure::Overloaded { limit: "watchers_max" })?;
        // Before the first look, so that no change after it is missed.
        let view = watches.watch(key);
        let of_stream = (kind.stream, kind.version);
        let Answer { value, freshness } =
            self.reader.encoded_view_of_stream(from, key, of_stream, asked, time_left).await?;
        let value = value.ok_or_else(|| Failure::not_found(kind.missing, &freshness))?;
        let first = decode(value.clone())?;
        let Kind { missing: _, stream: _, respond, version, check } = kind;
        check(&first)?;
        let reader = Arc::clone(&self.reader);
        let unseen = freshness.may_be_stale.then(|| asked.after.clone());
        let (limits, stopping) = (self.limits, self.stopping.clone());
        Ok(Outgoing::begin(limits, |outbox| async move {
            let _place = (place, Counted::in_gauge(&METRICS.watching));
            let position = freshness.position.unsigned_abs();
            let told = Told { position, value, sent_at: Instant::now(), resume: Resume::default() };
            let mut call = Call { reader, limits, respond, version, outbox, told, unseen };
            match call.send(first, freshness).await {
                Err(failure) => failure,
                Ok(()) => tokio::select! {
                    biased;
                    () = stopping.cancelled() => Failure::ShuttingDown(call.told.resume),
                    failure = call.follow(view) => failure,
                },
            }
        }))
    }
}

struct Call<M, R> {
    reader: Arc<Reader>,
    limits: StreamLimits,
    respond: fn(Option<M>, Freshness) -> R,
    version: fn(&M) -> i64,
    outbox: Outbox<R>,
    told: Told,
    /// What was asked for, while what is told may be from before it.
    unseen: Option<After>,
}

/// What the caller knows.
struct Told {
    /// As of when; it never goes back.
    position: u64,
    value: Bytes,
    sent_at: Instant,
    /// The last view that was sent.
    resume: Resume,
}

impl<M: Message + Default, R: Send> Call<M, R> {
    async fn follow(&mut self, mut view: WatchedView) -> Failure {
        loop {
            let outcome = tokio::select! {
                changed = view.seen.changed() => match changed {
                    Ok(()) => self.tell_change(&mut view).await.map(drop),
                    // The sweeper outlives every watch.
                    Err(_) => return Failure::ShuttingDown(self.told.resume),
                },
                () = sleep_until(self.told.sent_at + self.limits.heartbeat) => self.show_life(&mut view).await,
            };
            if let Err(failure) = outcome {
                return failure;
            }
        }
    }

    /// Says whether there was a change.
    async fn tell_change(&mut self, view: &mut WatchedView) -> Result<bool, Failure> {
        let seen = view.seen.borrow_and_update().clone();
        let Some(value) = self.told.take_in(&seen) else { return Ok(false) };
        let freshness = self.freshness(&seen).await?;
        self.send(decode(value)?, freshness).await?;
        Ok(true)
    }

    async fn show_life(&mut self, view: &mut WatchedView) -> Result<(), Failure> {
        // A change may have come at the same moment: told of as a sign of life, it would be passed over.
        if self.tell_change(view).await? {
            return Ok(());
        }
        let seen = view.seen.borrow().clone();
        let freshness = self.freshness(&seen).await?;
        self.put((self.respond)(None, freshness)).await
    }

    /// Of what is told now.
    async fn freshness(&mut self, seen: &Seen) -> Result<Freshness, Failure> {
        let position = self.told.position;
        if let Some(after) = &mut self.unseen
            && self.reader.has_seen(after, position).await
        {
            self.unseen = None;
        }
        self.reader.freshness(position, !seen.is_confirmed || self.unseen.is_some(), seen.parked).await
    }

    async fn send(&mut self, view: M, freshness: Freshness) -> Result<(), Failure> {
        let sent = Resume { position: freshness.position.unsigned_abs(), version: Some((self.version)(&view)) };
        self.put((self.respond)(Some(view), freshness)).await?;
        self.told.resume = sent;
        Ok(())
    }

    async fn put(&mut self, message: R) -> Result<(), Failure> {
        self.outbox.send(message).await.map_err(|TooSlow| Failure::SlowReader(self.told.resume))?;
        self.told.sent_at = Instant::now();
        Ok(())
    }
}

impl Told {
    /// Takes in how the view was seen last, and returns it if it is another one now.
    fn take_in(&mut self, seen: &Seen) -> Option<Bytes> {
        // At the same position, too: an event may have been parked until now, or another generation promoted.
        let value = seen.value.as_ref().filter(|_| seen.position >= self.position)?;
        self.position = seen.position;
        if *value == self.value {
            return None;
        }
        self.value = value.clone();
        #[cfg(feature = "planted-faults")]
        if crate::planted::keeps_changes() {
            return None;
        }
        Some(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(position: u64, value: &'static str) -> Seen {
        Seen { position, value: Some(Bytes::from_static(value.as_bytes())), is_confirmed: true, parked: None }
    }

    #[test]
    fn a_change_is_returned_once_and_what_is_the_same_moves_the_position() {
        let value = Bytes::from_static(b"a");
        let mut told = Told { position: 3, value, sent_at: Instant::now(), resume: Resume::default() };
        assert_eq!(told.take_in(&seen(2, "b")), None, "it was seen before the first message was");
        assert_eq!(told.take_in(&seen(5, "a")), None);
        assert_eq!(told.position, 5);
        assert_eq!(told.take_in(&seen(6, "b")).as_deref(), Some(b"b".as_slice()));
        assert_eq!(told.take_in(&seen(6, "b")), None);
        assert_eq!(told.take_in(&Seen { position: 9, ..Seen::default() }), None);
        assert_eq!(told.position, 6, "nobody knows what it is like without a view");
    }
}
