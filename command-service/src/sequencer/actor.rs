//! The task that decides: it alone touches the cache, so it needs no lock.
//!
//! One batch is on its way to Postgres at a time; what arrives meanwhile is decided on top of it and forms the next one. There is no
//! timer: an idle sequencer sends a command at once, a busy one sends all that came while the last batch was committed.
//!
//! A batch is one statement, decided beforehand. While somebody else appends, too, the statement leaves out what does not fit any more, and
//! brings what the others did ([`beside`]). Where much would not fit, decisions wait until the head is held ([`held`]), for a while.

mod answers;
mod beside;
mod held;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tally_domain::{States, StreamId, needed_streams};
use tally_event_store::{AppendStore, append};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::cache::StateCache;
use super::decide::{Decided, Verdict, decide, presumed_new, undo};
use super::hold::{self, Held, Holding, LoadedHeld};
use super::loads::{Brought, Loads};
use super::parked::Parked;
use super::recent::RecentCommands;
use super::settle::{Settled, settle, settle_fitting};
use super::snapshots::Snapshots;
use super::ticket::{Line, Ticket};
use super::{Failure, Limits};
use crate::doorbell::Doorbell;
use crate::metrics::METRICS;

/// Commands taken in at a time before results are looked at again.
const RECEIVE_MAX: usize = 256;
/// Times that a command may wait for streams to be loaded; after that they are loaded with the head held.
const LOADS_PER_COMMAND_MAX: u32 = 4;
/// Batches that hold the head after the last one of which much would not have fitted.
const HOLDS_AFTER_CONTENTION: u32 = 8;
/// Batches of which what does not fit is left out, after the last one that somebody got in before.
const FITTING_AFTER_OTHERS: u32 = 64;
/// Between attempts to learn about the log while Postgres is away at the start.
const LEARN_INTERVAL: Duration = Duration::from_millis(250);

/// What is on its way to Postgres.
enum Flight {
    /// A batch that was decided beforehand.
    Batch(Settled),
    /// The head, to decide while it is held.
    Hold(Result<Held, Failure>),
    /// Streams, while it is held.
    LoadHeld(Result<LoadedHeld, Failure>),
    /// A batch that was decided while it was held.
    BatchHeld(Settled),
}

pub(super) struct Actor {
    store: AppendStore,
    doorbell: Doorbell,
    limits: Limits,
    log_id: Uuid,
    cache: StateCache,
    recent: RecentCommands,
    loads: Loads,
    snapshots: Snapshots,
    /// Waiting for streams to be loaded.
    parked: Parked,
    /// To be considered, as soon as there is room for what comes of it.
    backlog: Line,
    /// Decided on top of what is in flight.
    forming: Vec<Decided>,
    /// To be decided with the head held.
    queue: Line,
    /// Being decided with the head held.
    holding: Holding,
    /// A command of the next batch came before: look them up.
    repeated: bool,
    /// The commands of this batch were looked up.
    looked_up: bool,
    /// Batches that are still to hold the head.
    holds_left: u32,
    /// Batches of which still what does not fit is to be left out.
    fitting_left: u32,
    /// All events of others up to this position are in the cache, where their streams are.
    seen: u64,
    /// Commands that arrived.
    arrivals: u64,
    flight: Option<JoinHandle<Flight>>,
}

impl Actor {
    pub(super) fn new(store: AppendStore, doorbell: Doorbell, limits: Limits) -> Self {
        Self {
            snapshots: Snapshots::start(store.clone()),
            store,
            doorbell,
            limits,
            log_id: Uuid::nil(),
            cache: StateCache::new(limits.state_cache_bytes_max),
            recent: RecentCommands::new(limits.recent_commands_max),
            loads: Loads::default(),
            parked: Parked::default(),
            backlog: Line::default(),
            forming: Vec::new(),
            queue: Line::default(),
            holding: Holding::default(),
            repeated: false,
            looked_up: false,
            holds_left: 0,
            fitting_left: 0,
            seen: 0,
            arrivals: 0,
            flight: None,
        }
    }

    pub(super) async fn run(mut self, mut arrivals: mpsc::Receiver<Ticket>) {
        if self.learn(&mut arrivals).await.is_none() {
            return;
        }
        let mut received = Vec::with_capacity(RECEIVE_MAX);
        let mut open = true;
        while open || self.has_work() {
            tokio::select! {
                biased;
                landed = wait_for(&mut self.flight) => self.landed(landed),
                brought = self.loads.next() => self.brought(brought),
                count = arrivals.recv_many(&mut received, RECEIVE_MAX), if open && self.backlog.is_empty() => {
                    open = count > 0;
                    for mut ticket in received.drain(..).filter_map(|ticket| self.recent.admit(ticket)) {
                        self.arrivals += 1;
                        ticket.arrival = self.arrivals;
                        self.backlog.put(ticket);
                    }
                }
            }
            self.work_off();
            self.dispatch();
            // What is on its way leaves room for the next.
            self.work_off();
            self.loads.start(&self.store);
        }
    }

    /// Until Postgres has been reached once there is nothing to decide on: commands wait for an attempt, and are refused when it fails.
    async fn learn(&mut self, arrivals: &mut mpsc::Receiver<Ticket>) -> Option<()> {
        loop {
            match tokio::try_join!(self.store.log_id(), self.store.head()) {
                Ok((log_id, head)) => {
                    (self.log_id, self.seen) = (log_id, head);
                    return Some(());
                }
                Err(error) => {
                    hold::failure(&error);
                }
            }
            let mut pause = std::pin::pin!(tokio::time::sleep(LEARN_INTERVAL));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    ticket = arrivals.recv() => ticket?.reply.send(Err(Failure::Unavailable)),
                }
            }
        }
    }

    fn has_work(&self) -> bool {
        self.flight.is_some()
            || !self.backlog.is_empty()
            || !self.forming.is_empty()
            || !self.parked.is_empty()
            || !self.queue.is_empty()
    }

    fn has_room(&self) -> bool {
        let events: usize = self.forming.iter().map(event_count).sum();
        self.forming.len() < self.limits.batch_commands_max && events < self.limits.batch_events_max
    }

    /// Considers what waits for that, as long as there is room: one command alone may make many events.
    fn work_off(&mut self) {
        while self.has_room()
            && let Some(ticket) = self.backlog.take_first()
        {
            self.consider(ticket);
        }
    }

    /// Has these commands considered again, in their order of arrival with those that wait already: with those that wait for streams, too.
    fn reconsider(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        self.backlog.put_all(tickets);
        self.backlog.put_all(self.parked.take());
    }

    /// Decides a command, or has it wait for its streams, or for the head.
    fn consider(&mut self, mut ticket: Ticket) {
        if ticket.submission.deadline <= Instant::now() {
            self.recent.finish(ticket, Err(Failure::TimedOut));
            return;
        }
        let ahead = self.holds_left == 0;
        let new = presumed_new(&ticket.submission.command).filter(|id| !self.cache.contains(id));
        let needed = needed_streams(&ticket.submission.command, &self.cache);
        // What is out of date is loaded when the head is held; only what is not known at all would take too long then.
        let lacks = |id: &&StreamId| {
            let known = if ahead { self.cache.get(id).is_some() } else { self.cache.contains(id) };
            !known && new.as_ref() != Some(id)
        };
        let lacking: Vec<StreamId> = needed.iter().filter(lacks).cloned().collect();
        if ticket.loads == 0 {
            METRICS.cache_hits.inc_by((needed.len() - lacking.len()) as u64);
            METRICS.cache_misses.inc_by(lacking.len() as u64);
        }
        if lacking.is_empty() && !self.parked.holds_up(&needed) {
            match ahead {
                true => self.decide_ahead(ticket, needed, new),
                false => self.queue.put(ticket),
            }
        } else if ticket.loads >= LOADS_PER_COMMAND_MAX {
            self.hold_for(1);
            self.queue.put(ticket);
        } else {
            let mut wanted = false;
            for id in lacking {
                let known = self.cache.version(&id);
                wanted |= self.loads.want(id, known);
            }
            ticket.loads += u32::from(wanted);
            self.parked.push(ticket, needed);
        }
    }

    /// Decides without asking whether anything is stored of the stream that is presumed `new`.
    fn decide_ahead(&mut self, ticket: Ticket, needed: Vec<StreamId>, new: Option<StreamId>) {
        if let Some(id) = &new {
            self.cache.presume_empty(id);
        }
        let decided = decide(&mut self.cache, ticket, needed);
        if let (Some(id), 0) = (&new, event_count(&decided)) {
            // No append will find out: whoever needs it next has to look.
            self.cache.distrust(id);
        }
        self.forming.push(decided);
    }

    /// Sends what there is to send, if nothing is under way.
    fn dispatch(&mut self) {
        if self.flight.is_some() {
            return;
        }
        if !self.queue.is_empty() {
            self.take_head();
        } else if !self.forming.is_empty() {
            let rest = self.forming.split_off(self.batch_length());
            let batch = std::mem::replace(&mut self.forming, rest);
            let (store, fitting, seen) = (self.store.clone(), self.fitting_left > 0, self.seen);
            self.flight = Some(tokio::spawn(async move {
                Flight::Batch(match fitting {
                    true => settle_fitting(store, batch, seen).await,
                    false => settle(store, batch).await,
                })
            }));
        }
    }

    /// How many of the forming commands go together: as many as the limits allow, and at least one. One that is above them goes by itself, so that
    /// what becomes of it becomes of no other.
    fn batch_length(&self) -> usize {
        let mut events = 0;
        let within = self.forming.iter().take(self.limits.batch_commands_max).take_while(|decided| {
            events += event_count(decided);
            events <= self.limits.batch_events_max
        });
        within.count().max(1)
    }

    fn landed(&mut self, landed: Result<Flight, JoinError>) {
        match landed {
            Ok(Flight::Batch(settled)) => self.batch_landed(settled),
            Ok(Flight::Hold(held)) => self.head_taken(held),
            Ok(Flight::LoadHeld(loaded)) => self.loaded_held(loaded),
            Ok(Flight::BatchHeld(settled)) => self.held_batch_landed(settled),
            Err(error) => {
                // Nobody knows what the task had done: start from what is stored.
                tracing::error!(%error, "a batch was lost in a panic");
                self.cache = StateCache::new(self.limits.state_cache_bytes_max);
                self.recent.forget_under_way();
                self.forming.clear();
                self.holding = Holding::default();
                self.loads.forget();
                self.look_again();
            }
        }
        for due in self.cache.due_snapshots() {
            self.snapshots.write(due);
        }
        self.cache.evict();
        let (streams, bytes) = self.cache.size();
        METRICS.cache_streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
        METRICS.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn batch_landed(&mut self, Settled { decided, result }: Settled) {
        self.cache.begin_round();
        match result {
            Ok(mut checked) => match checked.beside.take() {
                Some(beside) => self.beside_landed(decided, checked, beside),
                None => {
                    if let Some(appended) = checked.appended {
                        let ours = appended.first_position == self.seen + 1;
                        #[cfg(feature = "planted-faults")]
                        let ours = ours || crate::planted::is("no-version-check");
                        match ours {
                            true => self.seen = appended.last_position,
                            // The next batch brings what they did.
                            false => self.fitting_left = FITTING_AFTER_OTHERS,
                        }
                    }
                    self.conclude(decided, checked);
                }
            },
            Err(append::Error::Conflict) => {
                METRICS.conflicts.inc();
                self.repeated = true;
                self.hold_from_now_on();
                self.requeue(decided);
            }
            Err(error) => {
                // Perhaps it was appended; holding the head tells.
                self.hold_from_now_on();
                let failure = hold::append_failure(&error);
                self.fail(decided, &failure);
            }
        }
    }

    /// The next batches are decided with the head held, and what was decided in advance is decided again then.
    fn hold_from_now_on(&mut self) {
        self.hold_for(HOLDS_AFTER_CONTENTION);
    }

    /// So many at least.
    fn hold_for(&mut self, holds: u32) {
        self.holds_left = self.holds_left.max(holds);
        let forming = std::mem::take(&mut self.forming);
        self.requeue(forming);
    }

    /// Takes decisions back; their commands come before those that wait already.
    fn requeue(&mut self, decided: Vec<Decided>) {
        METRICS.decided_again.inc_by(decided.len() as u64);
        for decided in decided.into_iter().rev() {
            self.queue.put(undo(&mut self.cache, decided));
        }
    }

    /// Takes decisions back and tells the callers that they failed.
    fn fail(&mut self, decided: Vec<Decided>, failure: &Failure) {
        for decided in decided.into_iter().rev() {
            let ticket = undo(&mut self.cache, decided);
            self.recent.finish(ticket, Err(failure.clone()));
        }
    }

    fn brought(&mut self, brought: Result<Brought, JoinError>) {
        let mut unreadable = HashSet::new();
        match brought {
            Ok(Brought { streams: Ok(streams), overtaken, ids: _ }) => {
                for (id, loaded) in streams {
                    match loaded {
                        Ok(loaded) => self.cache.take_in(&id, loaded, !overtaken.contains(&id)),
                        Err(error) => {
                            tracing::error!(%error, stream = %id, "a stored stream can't be read");
                            unreadable.insert(id);
                        }
                    }
                }
                self.look_again_but(&unreadable, &Failure::Unreadable);
            }
            Ok(Brought { streams: Err(failure), ids, .. }) => {
                self.look_again_but(&ids.into_iter().collect(), &failure);
            }
            Err(error) => {
                tracing::error!(%error, "a load was lost in a panic");
                self.loads.forget();
                self.look_again();
            }
        }
        if self.flight.is_none() {
            // No batch comes back that would tell what is in use.
            self.cache.begin_round();
        }
        self.cache.evict();
    }

    /// Considers those again that wait for streams.
    fn look_again(&mut self) {
        self.look_again_but(&HashSet::new(), &Failure::Internal);
    }

    /// As `look_again`, but those that need one of these streams fail.
    fn look_again_but(&mut self, failed: &HashSet<StreamId>, failure: &Failure) {
        let mut again = Vec::new();
        for ticket in self.parked.take() {
            let needs_failed = !failed.is_empty()
                && needed_streams(&ticket.submission.command, &self.cache).iter().any(|id| failed.contains(id));
            if needs_failed {
                self.recent.finish(ticket, Err(failure.clone()));
            } else {
                again.push(ticket);
            }
        }
        self.reconsider(again);
    }
}

fn event_count(decided: &Decided) -> usize {
    match &decided.verdict {
        Verdict::Append { events, .. } => events.len(),
        Verdict::Unchanged { .. } | Verdict::Remember { .. } | Verdict::Refused(_) => 0,
    }
}

/// What comes back from Postgres. Pending for ever when nothing is under way.
async fn wait_for(flight: &mut Option<JoinHandle<Flight>>) -> Result<Flight, JoinError> {
    match flight {
        Some(task) => {
            let landed = task.await;
            *flight = None;
            landed
        }
        None => std::future::pending().await,
    }
}
