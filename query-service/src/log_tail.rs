//! The end of the log, read once for all who follow it in this process.
//!
//! Readers pull: each asks for what comes after the position that it has, and gets it from memory if it keeps up, or else from Postgres. As
//! positions are contiguous and the newest events stay in memory in their order, there is no seam between the two where an event could be
//! lost or come twice. Nothing is read while nobody follows.
//!
//! The projector has a tail of its own (projector/src/tail.rs): it decodes events for the domain, never parts those of one command, and
//! stops projections when the log goes wrong. What is handed out here is as it is stored, and what goes wrong is told to each reader.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tally_event_store::{Error, ReadStore, StoredEvent};
use tally_read_model::Bell;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How often it is checked that it is still this log, and ends where it ended.
const HEAD_CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long after a failure Postgres is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The limits of the tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailLimits {
    /// Events that are read at once.
    pub(crate) batch_events_max: usize,
    /// The newest events, which stay in memory.
    pub(crate) window_events_max: usize,
    /// How often the log is looked at while no bell rings.
    pub(crate) poll_interval: Duration,
    /// Readers who are behind what is in memory and read Postgres at once; further ones wait their turn.
    pub(crate) catching_up_max: usize,
}

/// The end of the log.
pub(crate) struct LogTail {
    store: ReadStore,
    limits: TailLimits,
    window: Mutex<VecDeque<Arc<StoredEvent>>>,
    known: watch::Sender<Known>,
    followed: Notify,
    catching_up: Semaphore,
}

/// What is known of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// Which log it is; None: nobody has asked yet.
    pub(crate) log_id: Option<Uuid>,
    /// Where it ends.
    pub(crate) head: u64,
    /// How often Postgres could not be read. One who begins to follow counts from there: that it was away before is no matter of his.
    pub(crate) outages: u64,
}

impl LogTail {
    pub(crate) fn new(store: ReadStore, limits: TailLimits) -> Self {
        Self {
            store,
            limits,
            window: Mutex::default(),
            known: watch::Sender::default(),
            followed: Notify::new(),
            catching_up: Semaphore::new(limits.catching_up_max),
        }
    }

    /// Follows from now on, until what is returned is dropped.
    pub(crate) fn follow(&self) -> watch::Receiver<Known> {
        let known = self.known.subscribe();
        self.followed.notify_one();
        known
    }

    /// Which log it is and where it ends, asked now.
    pub(crate) async fn ask(&self) -> Result<(Uuid, u64), Error> {
        let log_id = self.store.log_id().await?;
        Ok((log_id, self.store.head().await?))
    }

    /// The events after a position, some of them at least if there are any.
    pub(crate) async fn read_after(&self, position: u64) -> Result<Vec<Arc<StoredEvent>>, Error> {
        if let Some(events) = self.window_after(position) {
            return Ok(events);
        }
        // It is never closed; and a turn more would do no harm.
        let _turn = self.catching_up.acquire().await.ok();
        let events = self.store.read_after(position, self.limits.batch_events_max).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// None where only Postgres knows.
    fn window_after(&self, position: u64) -> Option<Vec<Arc<StoredEvent>>> {
        let window = self.lock();
        let holds_next = window.front()?.position <= position + 1 && window.back()?.position > position;
        let start = window.partition_point(|event| event.position <= position);
        holds_next.then(|| window.iter().skip(start).take(self.limits.batch_events_max).cloned().collect())
    }

    /// Reads the log as it grows while anybody follows, for ever.
    pub(crate) async fn run(&self, mut bell: Bell) {
        loop {
            while self.known.receiver_count() == 0 {
                self.followed.notified().await;
            }
            match self.read(&mut bell).await {
                Ok(Idle) => self.rest(),
                Err(error) => {
                    tracing::warn!(%error, "the log can't be followed");
                    self.known.send_modify(|known| known.outages += 1);
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn read(&self, bell: &mut Bell) -> Result<Idle, Error> {
        let (mut log_id, head) = self.ask().await?;
        let mut position = self.begin(log_id, head);
        let mut checked_at = Instant::now();
        while self.known.receiver_count() > 0 {
            let events = self.store.read_after(position, self.limits.batch_events_max).await?;
            if let Some(last) = events.last() {
                position = last.position;
                let is_all = events.len() < self.limits.batch_events_max;
                self.push(events);
                if !is_all {
                    continue;
                }
            } else if checked_at.elapsed() > HEAD_CHECK_EVERY {
                checked_at = Instant::now();
                let (log_id_now, head) = self.ask().await?;
                if log_id_now != log_id || head < position {
                    position = self.begin(log_id_now, head);
                    log_id = log_id_now;
                }
            }
            tokio::select! {
                () = rung(bell) => {}
                () = sleep(self.limits.poll_interval) => {}
            }
        }
        Ok(Idle)
    }

    /// Where to read on: after what is in memory, unless that is of another log or of a time that this one has lost.
    fn begin(&self, log_id: Uuid, head: u64) -> u64 {
        let mut window = self.lock();
        let newest = window.back().map(|event| event.position).filter(|newest| *newest <= head);
        let is_same = self.known.borrow().log_id == Some(log_id);
        let position = match newest {
            Some(newest) if is_same => newest,
            Some(_) | None => {
                window.clear();
                head
            }
        };
        drop(window);
        self.known.send_modify(|known| *known = Known { log_id: Some(log_id), head: position, ..*known });
        position
    }

    /// What is in memory would be far behind when somebody follows again.
    fn rest(&self) {
        self.lock().clear();
    }

    fn push(&self, events: Vec<StoredEvent>) {
        let Some(last) = events.last().map(|event| event.position) else { return };
        let mut window = self.lock();
        window.extend(events.into_iter().map(Arc::new));
        let surplus = window.len().saturating_sub(self.limits.window_events_max);
        window.drain(..surplus);
        drop(window);
        self.known.send_modify(|known| known.head = last);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<StoredEvent>>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody follows any more.
struct Idle;

async fn rung(bell: &mut Bell) {
    if bell.next().await.is_none() {
        // It has fallen silent for good; there is still polling.
        future::pending::<Infallible>().await;
    }
}
