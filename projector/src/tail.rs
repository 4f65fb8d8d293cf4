//! The end of the log, read once for all projections of the process.
//!
//! The newest events stay in memory, decoded, so that projections that keep up with the log don't read Postgres each for itself. Those that
//! are further behind are kept at about the same pace, so that what one of them has read is still there for the others.

mod pages;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tally_domain::EVENTS_PER_COMMAND_MAX;
use tally_event_store::{Error, ReadStore};
use tally_read_model::Bell;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::async_trait;
use uuid::Uuid;

use crate::alarm::Alarm;
use crate::metrics::METRICS;
use crate::retry::{Backoff, Failure};
use crate::status::{Part, State, Status};
use crate::stores::{At, Log, follow};
use crate::{Recorded, commands};
use pages::{Pages, Place};

/// How often it is checked that the log is still the same.
const IDENTITY_CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long after an event the log counts as busy.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// The limits of the tail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TailLimits {
    /// The most events that are read at once, but for those of one command.
    pub(crate) batch_events_max: usize,
    /// The most events that stay in memory; and as many again while projections catch up.
    pub(crate) window_events_max: usize,
    /// How often the log is looked at while events come in and no bell rings.
    pub(crate) poll_busy: Duration,
    /// How often the log is looked at when none have come for a while.
    pub(crate) poll_idle: Duration,
    /// The longest wait between two tries while Postgres is away.
    pub(crate) retry_max: Duration,
}

/// The end of the log.
pub(crate) struct Tail {
    store: ReadStore,
    limits: TailLimits,
    /// The newest events. It always ends with a whole command.
    window: Mutex<VecDeque<Arc<Recorded>>>,
    /// What was read last by those that are behind.
    pages: Arc<Pages>,
    /// Where the log ends as far as is known.
    head: watch::Sender<u64>,
}

/// The log, as one sees it who goes through it on its own.
pub(crate) struct Reader {
    tail: Arc<Tail>,
    place: Place,
}

impl Reader {
    pub(crate) fn new(tail: Arc<Tail>) -> Self {
        Self { place: Place::new(&tail.pages), tail }
    }

    /// The event at a position, if there is one, and the events after it: whole commands, at least one if there is any; as many as are read at once of a
    /// log that is followed.
    pub(crate) async fn next_batch(&self, position: u64) -> Result<(Option<Arc<Recorded>>, Vec<Arc<Recorded>>), Error> {
        let (place, limit) = (Some(&self.place), self.tail.limits.batch_events_max);
        let Some(before) = position.checked_sub(1) else {
            return Ok((None, self.tail.read_behind(place, 0, 0, limit).await?));
        };
        let mut events = self.tail.read_behind(place, before, 1, limit).await?;
        let is_there = events.first().is_some_and(|event| event.position == position);
        Ok((is_there.then(|| events.remove(0)), events))
    }
}

#[async_trait]
impl Log for Reader {
    async fn read_after(&self, at: At, limit: usize) -> Result<Vec<Arc<Recorded>>, Failure> {
        self.tail.read_after(Some(&self.place), at, limit).await
    }

    async fn head(&self) -> Result<u64, Failure> {
        Ok(self.tail.real_head().await?)
    }

    async fn event_at(&self, position: u64) -> Result<Option<Arc<Recorded>>, Failure> {
        let events = self.tail.log_after(position.saturating_sub(1), 1).await?;
        Ok(events.into_iter().find(|event| event.position == position))
    }
}

impl Tail {
    pub(crate) fn new(store: ReadStore, limits: TailLimits) -> Self {
        let pages = Arc::new(Pages::new(limits.window_events_max));
        Self { store, limits, window: Mutex::default(), pages, head: watch::Sender::new(0) }
    }

    /// Tells where the log ends, as far as is known.
    pub(crate) fn watch_head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Where the log ends, asked now.
    pub(crate) async fn real_head(&self) -> Result<u64, Error> {
        self.store.head().await
    }

    /// Whole commands after an event, as long as the log still has that one; at least one if there is any.
    async fn read_after(&self, place: Option<&Place>, at: At, limit: usize) -> Result<Vec<Arc<Recorded>>, Failure> {
        match at.0.checked_sub(1) {
            Some(before) => follow(at, self.read_behind(place, before, 1, limit).await?),
            None => Ok(self.read_behind(place, 0, 0, limit).await?),
        }
    }

    /// The `before` events after a position, and whole commands behind them, at least one if there is any.
    async fn read_behind(
        &self,
        place: Option<&Place>,
        position: u64,
        before: usize,
        mut limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, Error> {
        loop {
            let mut events = self.events_after(place, position, before, before + limit).await?;
            let behind = events.get(before..).unwrap_or_default();
            match commands::whole(behind, limit) {
                // One command fills it and may go on.
                0 if !behind.is_empty() && limit <= EVENTS_PER_COMMAND_MAX => limit *= 2,
                whole => {
                    events.truncate(before + whole);
                    return Ok(events);
                }
            }
        }
    }

    async fn events_after(
        &self,
        place: Option<&Place>,
        position: u64,
        before: usize,
        count: usize,
    ) -> Result<Vec<Arc<Recorded>>, Error> {
        let Some(place) = place else { return self.log_after(position, count).await };
        if let Some(events) = self.window_after(position, before, count) {
            place.leave();
            return Ok(events);
        }
        let head = *self.head.borrow();
        place.get(position, count, head, |after, count| self.log_after(after, count)).await
    }

    /// None where only the log itself knows: also whether there is anything behind the first `before` events.
    fn window_after(&self, position: u64, before: usize, count: usize) -> Option<Vec<Arc<Recorded>>> {
        let window = self.lock();
        let holds_next = window.front()?.position <= position + 1 && window.back()?.position > position + before as u64;
        let start = window.partition_point(|event| event.position <= position);
        holds_next.then(|| window.iter().skip(start).take(count).cloned().collect())
    }

    async fn log_after(&self, position: u64, limit: usize) -> Result<Vec<Arc<Recorded>>, Error> {
        let events = self.store.read_after(position, limit).await?;
        Ok(events.into_iter().map(|event| Arc::new(event.into())).collect())
    }

    /// Reads the log as it grows, for ever, woken by the bell. Ends when it is no longer the log with this id.
    pub(crate) async fn run(&self, log_id: Uuid, mut bell: Bell, status: &Status) -> Alarm {
        let mut backoff = Backoff::new(self.limits.retry_max);
        loop {
            match self.follow(log_id, &mut bell, status, &mut backoff).await {
                Err(Failure::Alarm(alarm)) => return alarm,
                Err(Failure::Passing(reason)) => status.set(Part::Log, State::Waiting(reason)),
            }
            backoff.wait().await;
        }
    }

    async fn follow(
        &self,
        log_id: Uuid,
        bell: &mut Bell,
        status: &Status,
        backoff: &mut Backoff,
    ) -> Result<Infallible, Failure> {
        self.check_identity(log_id).await?;
        self.forget_another_past().await?;
        let mut at = self.start().await?;
        let (mut checked_at, mut busy_until) = (Instant::now(), Instant::now());
        loop {
            if checked_at.elapsed() > IDENTITY_CHECK_EVERY {
                checked_at = Instant::now();
                self.check_identity(log_id).await?;
            }
            let events = self.read_after(None, at, self.limits.batch_events_max).await?;
            status.set(Part::Log, State::Following);
            backoff.reset();
            if let Some(last) = events.last() {
                at = (last.position, last.fingerprint);
                busy_until = Instant::now() + BUSY_FOR;
                let read_all = events.len() < self.limits.batch_events_max / 2;
                self.push(events);
                if !read_all {
                    continue;
                }
            }
            let poll = if Instant::now() < busy_until { self.limits.poll_busy } else { self.limits.poll_idle };
            tokio::select! {
                _ = bell.next() => {}
                () = sleep(poll) => {}
            }
        }
    }

    /// What comes back after an outage may be another database. Somebody else may have met the outage, so it is asked now and then.
    async fn check_identity(&self, log_id: Uuid) -> Result<(), Failure> {
        if self.store.log_id().await? == log_id { Ok(()) } else { Err(Alarm::LogReplaced.into()) }
    }

    /// What comes back after an outage may be the log as it was before, restored, with other events since. Without an outage, whoever reads on notices.
    async fn forget_another_past(&self) -> Result<(), Error> {
        let newest = self.lock().back().cloned();
        let Some(newest) = newest else { return Ok(()) };
        let stored = self.log_after(newest.position - 1, 1).await?;
        if stored.first().is_none_or(|event| event.fingerprint != newest.fingerprint) {
            let head = self.store.head().await?;
            self.go_back(head);
        }
        Ok(())
    }

    /// Where to begin: after what is in memory, or else at the end of the log.
    async fn start(&self) -> Result<At, Failure> {
        let newest = self.lock().back().cloned();
        if let Some(newest) = newest {
            return Ok((newest.position, newest.fingerprint));
        }
        // Nothing is known of the log that these could be held against.
        self.pages.clear();
        let head = self.store.head().await?;
        let last = match head.checked_sub(1) {
            Some(before) => self.log_after(before, 1).await?.first().map(|event| event.fingerprint),
            None => Some(0),
        };
        let last = last.ok_or_else(|| Failure::Passing("the log ends otherwise than a moment ago".to_owned()))?;
        self.ends(head);
        Ok((head, last))
    }

    fn push(&self, events: Vec<Arc<Recorded>>) {
        let Some(last) = events.last().map(|event| event.position) else { return };
        METRICS.arrived(last, events[0].recorded_at);
        let mut window = self.lock();
        window.extend(events);
        let surplus = window.len().saturating_sub(self.limits.window_events_max);
        window.drain(..surplus);
        drop(window);
        self.ends(last);
    }

    /// The projections find out by themselves what that means for them.
    fn go_back(&self, head: u64) {
        self.lock().clear();
        self.pages.clear();
        self.ends(head);
    }

    fn ends(&self, head: u64) {
        METRICS.head(head);
        self.head.send_replace(head);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Recorded>>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tally_event_store::{LogName, ReadOptions};

    use super::*;
    use crate::projections::testing::external;

    /// Postgres is nowhere, so what is read comes from memory.
    async fn reader(window_events_max: usize) -> Reader {
        let log = LogName::default();
        let store = ReadStore::connect("postgres://localhost:1/none", &log, ReadOptions::default());
        let wait = Duration::from_millis(1);
        let limits =
            TailLimits { batch_events_max: 3, window_events_max, poll_busy: wait, poll_idle: wait, retry_max: wait };
        Reader::new(Arc::new(Tail::new(store.await.unwrap(), limits)))
    }

    /// Each event is a command of its own, but for those that share a number.
    fn events(positions: std::ops::RangeInclusive<u64>, command: impl Fn(u64) -> u64) -> Vec<Arc<Recorded>> {
        let event = |at: u64| external("o").at(at).of_command(command(at).into()).recorded();
        positions.map(|at| Arc::new(event(at))).collect()
    }

    async fn positions_after(reader: &Reader, position: u64) -> Vec<u64> {
        reader.next_batch(position).await.unwrap().1.iter().map(|event| event.position).collect()
    }

    #[tokio::test]
    async fn what_is_in_memory_is_not_read_from_the_log() {
        let reader = reader(100).await;
        reader.tail.push(events(11..=20, |at| at));
        assert_eq!(*reader.tail.watch_head().borrow(), 20);
        assert_eq!(positions_after(&reader, 18).await, [19, 20]);
        assert_eq!(positions_after(&reader, 11).await, [12, 13], "the third may go on");
        assert!(reader.next_batch(10).await.is_err(), "10 is not in memory");
        assert!(reader.next_batch(20).await.is_err(), "what comes next is not in memory");
        let at = |event: &Recorded| (event.position, event.fingerprint);
        let newest = reader.tail.lock().iter().skip(8).map(|event| at(event)).collect::<Vec<_>>();
        assert_eq!(reader.read_after(newest[0], 3).await.unwrap()[0].position, 20);
        assert!(reader.read_after(newest[1], 3).await.is_err(), "nor is it after the newest");
    }

    #[tokio::test]
    async fn a_command_is_never_divided() {
        let reader = reader(100).await;
        reader.tail.push(events(1..=10, |at| if at <= 7 { 7 } else { at }));
        assert_eq!(positions_after(&reader, 0).await, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        reader.tail.push(events(11..=14, |at| at));
        assert_eq!(positions_after(&reader, 0).await, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }

    #[tokio::test]
    async fn only_so_many_stay_in_memory() {
        let tail = reader(4).await.tail;
        tail.push(events(1..=3, |at| at));
        tail.push(events(4..=6, |at| at));
        assert_eq!(tail.window_after(2, 0, 9).map(|events| events.len()), Some(4));
        assert!(tail.window_after(1, 0, 9).is_none());
    }

    #[tokio::test]
    async fn nothing_stays_of_a_log_that_went_back() {
        let tail = reader(100).await.tail;
        tail.push(events(1..=3, |at| at));
        tail.go_back(2);
        assert_eq!(*tail.watch_head().borrow(), 2);
        assert!(tail.window_after(0, 0, 9).is_none());
    }
}
