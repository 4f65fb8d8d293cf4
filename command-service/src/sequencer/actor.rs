//! The task that decides: it alone touches the cache, so it needs no lock.
//!
//! One batch is on its way to Postgres at a time; what arrives meanwhile is decided on top of it and forms the next one. There is no
//! timer: an idle sequencer sends a command at once, a busy one sends all that came while the last batch was committed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tally_domain::StreamId;
use tally_event_store::{AppendStore, append};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::cache::StateCache;
use super::decide::{Attempt, Decided, Verdict, attempt, presumed_new};
use super::loads::{Loaded, Loads};
use super::recent::RecentCommands;
use super::redo::{self, Redone, redo};
use super::settle::{Checked, Settled, settle};
use super::ticket::Ticket;
use super::{Failure, Limits, Outcome, Receipt, replay};
use crate::doorbell::Doorbell;

/// Commands taken in at a time before results are looked at again.
const RECEIVE_MAX: usize = 256;
/// Times that a command may wait for streams to be loaded; after that it loads them itself, holding the head.
const LOADS_PER_COMMAND_MAX: u32 = 4;
/// Between attempts to learn the log's identity while Postgres is away at the start.
const LOG_ID_INTERVAL: Duration = Duration::from_millis(250);

/// What is on its way to Postgres.
enum Flight {
    Batch(Settled),
    Redo(Result<Redone, (Vec<Ticket>, Failure)>),
}

pub(super) struct Actor {
    store: AppendStore,
    doorbell: Doorbell,
    limits: Limits,
    log_id: Uuid,
    cache: StateCache,
    recent: RecentCommands,
    loads: Loads,
    /// Waiting for streams to be loaded, in order of arrival.
    parked: Vec<Ticket>,
    /// Decided on top of what is in flight.
    forming: Vec<Decided>,
    /// To be decided again on the exclusive path.
    lost: Vec<Ticket>,
    flight: Option<JoinHandle<Flight>>,
    redoing: bool,
}

impl Actor {
    pub(super) fn new(store: AppendStore, doorbell: Doorbell, limits: Limits) -> Self {
        Self {
            store,
            doorbell,
            limits,
            log_id: Uuid::nil(),
            cache: StateCache::new(limits.state_cache_bytes_max),
            recent: RecentCommands::new(limits.recent_commands_max),
            loads: Loads::default(),
            parked: Vec::new(),
            forming: Vec::new(),
            lost: Vec::new(),
            flight: None,
            redoing: false,
        }
    }

    pub(super) async fn run(mut self, mut arrivals: mpsc::Receiver<Ticket>) {
        let Some(log_id) = self.learn_log_id(&mut arrivals).await else { return };
        self.log_id = log_id;
        let mut received = Vec::with_capacity(RECEIVE_MAX);
        let mut open = true;
        while open || self.has_work() {
            tokio::select! {
                biased;
                landed = wait_for(&mut self.flight) => self.landed(landed),
                loaded = self.loads.next(), if !self.redoing => self.loaded(loaded),
                count = arrivals.recv_many(&mut received, RECEIVE_MAX), if open && self.may_decide() => {
                    open = count > 0;
                    for ticket in received.drain(..) {
                        if let Some(ticket) = self.recent.admit(ticket) {
                            self.consider(ticket);
                        }
                    }
                }
            }
            self.loads.start(&self.store);
            self.dispatch();
        }
    }

    /// Until Postgres has been reached once there is nothing to decide on, so commands are refused at once.
    async fn learn_log_id(&mut self, arrivals: &mut mpsc::Receiver<Ticket>) -> Option<Uuid> {
        let mut tries = tokio::time::interval(LOG_ID_INTERVAL);
        loop {
            tokio::select! {
                biased;
                _ = tries.tick() => match self.store.log_id().await {
                    Ok(log_id) => return Some(log_id),
                    Err(error) => { redo::failure(&error); }
                },
                ticket = arrivals.recv() => ticket?.reply.send(Err(Failure::Unavailable)),
            }
        }
    }

    fn has_work(&self) -> bool {
        self.flight.is_some() || !self.forming.is_empty() || !self.parked.is_empty() || !self.lost.is_empty()
    }

    fn may_decide(&self) -> bool {
        let events: usize = self.forming.iter().map(event_count).sum();
        !self.redoing
            && self.lost.is_empty()
            && self.forming.len() < self.limits.batch_commands_max
            && events < self.limits.batch_events_max
    }

    /// Decides a command, or parks it until its streams are loaded.
    fn consider(&mut self, mut ticket: Ticket) {
        if ticket.submission.deadline <= Instant::now() {
            self.recent.finish(ticket, Err(Failure::TimedOut));
            return;
        }
        if let Some(stream) = presumed_new(&ticket.submission.command) {
            self.cache.presume_empty(&stream);
        }
        match attempt(&mut self.cache, ticket) {
            Attempt::Decided(decided) => self.forming.push(decided),
            Attempt::Missing(again, _) if again.loads >= LOADS_PER_COMMAND_MAX => self.lost.push(again),
            Attempt::Missing(again, missing) => {
                ticket = again;
                ticket.loads += u32::from(self.loads.want(missing));
                self.parked.push(ticket);
            }
        }
    }

    /// Sends what there is to send, if nothing is under way.
    fn dispatch(&mut self) {
        if self.flight.is_some() {
            return;
        }
        if !self.lost.is_empty() {
            let forming = std::mem::take(&mut self.forming);
            let forming = self.forget(forming);
            let mut tickets = std::mem::take(&mut self.lost);
            tickets.extend(forming);
            let store = self.store.clone();
            self.redoing = true;
            self.flight = Some(tokio::spawn(async move { Flight::Redo(redo(store, tickets).await) }));
        } else if !self.forming.is_empty() {
            let rest = self.forming.split_off(self.batch_length());
            let batch = std::mem::replace(&mut self.forming, rest);
            let store = self.store.clone();
            self.flight = Some(tokio::spawn(async move { Flight::Batch(settle(store, batch).await) }));
        }
    }

    /// How many of the forming commands go together: as many as the limits allow, and at least one.
    fn batch_length(&self) -> usize {
        let mut events = 0;
        let within = self.forming.iter().take(self.limits.batch_commands_max).take_while(|decided| {
            let fits = events < self.limits.batch_events_max;
            events += event_count(decided);
            fits
        });
        within.count()
    }

    fn landed(&mut self, landed: Result<Flight, JoinError>) {
        match landed {
            Ok(Flight::Batch(Settled { decided, result })) => match result {
                Ok(checked) => self.conclude(decided, checked),
                Err(append::Error::Conflict) => {
                    let tickets = self.forget(decided);
                    self.lost.extend(tickets);
                }
                Err(error) => {
                    let failure = redo::append_failure(&error);
                    self.fail(decided, &failure);
                }
            },
            Ok(Flight::Redo(redone)) => self.redone(redone),
            Err(error) => {
                // Nobody knows what the task had done: start from what is stored.
                tracing::error!(%error, "a batch was lost in a panic");
                self.redoing = false;
                self.cache = StateCache::new(self.limits.state_cache_bytes_max);
                self.recent.forget_under_way();
                self.forming.clear();
            }
        }
        self.cache.evict();
    }

    /// A batch is stored, and what it only said is checked: answer.
    fn conclude(&mut self, decided: Vec<Decided>, mut checked: Checked) {
        let mut position = checked.appended.map_or(0, |appended| appended.first_position.saturating_sub(1));
        for Decided { ticket, verdict, basis } in decided {
            if let Some(known) = checked.known.remove(&ticket.submission.command_id) {
                let outcome = replay::outcome(self.log_id, &ticket, known);
                self.recent.finish(ticket, outcome);
                continue;
            }
            match verdict {
                Verdict::Append { stream, version, events } => {
                    for placed in &events {
                        position += 1;
                        self.cache.committed(&placed.stream, position);
                    }
                    let events = events.into_iter().map(|placed| placed.event).collect();
                    let receipt = self.receipt(&stream, version, position);
                    self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(events) }));
                }
                Verdict::Remember { stream, version, position, standing } => {
                    let receipt = self.receipt(&stream, version, position);
                    self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(standing) }));
                }
                Verdict::Unchanged { .. } | Verdict::Refused(_)
                    if basis.iter().any(|(id, _)| checked.stale.contains(id)) =>
                {
                    for id in &checked.stale {
                        self.cache.forget_committed(id);
                    }
                    self.consider(ticket);
                }
                Verdict::Refused(failure) => self.recent.finish(ticket, Err(failure)),
                Verdict::Unchanged { stream: _, version: _, standing } if ticket.submission.validate_only => {
                    self.recent.finish(ticket, Ok(Outcome { receipt: None, events: Arc::new(standing) }));
                }
                Verdict::Unchanged { stream, version, standing } => {
                    // The stream's events up to here are committed, so its position is known now.
                    let at = self.cache.position(&stream);
                    if ticket.is_repeatable() {
                        let verdict = Verdict::Remember { stream, version, position: at, standing };
                        self.forming.push(Decided { ticket, verdict, basis: Vec::new() });
                    } else {
                        let receipt = self.receipt(&stream, version, at);
                        self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(standing) }));
                    }
                }
            }
        }
        if let Some(appended) = checked.appended {
            self.doorbell.ring(appended.last_position);
        }
    }

    fn redone(&mut self, redone: Result<Redone, (Vec<Ticket>, Failure)>) {
        self.redoing = false;
        match redone {
            Ok(Redone { decided, known, appended, states }) => {
                self.cache.absorb(states);
                for (ticket, stored) in known {
                    let outcome = replay::outcome(self.log_id, &ticket, stored);
                    self.recent.finish(ticket, outcome);
                }
                self.conclude(decided, Checked { appended, ..Checked::default() });
            }
            Err((tickets, failure)) => {
                for ticket in tickets {
                    self.recent.finish(ticket, Err(failure.clone()));
                }
            }
        }
        self.loads.forget();
        for ticket in std::mem::take(&mut self.parked) {
            self.consider(ticket);
        }
    }

    /// A batch failed: its callers are told, and what was decided on top of it is decided again from what is stored.
    fn fail(&mut self, decided: Vec<Decided>, failure: &Failure) {
        let forming = std::mem::take(&mut self.forming);
        let tickets = self.forget(decided);
        let on_top = self.forget(forming);
        for ticket in tickets {
            self.recent.finish(ticket, Err(failure.clone()));
        }
        for ticket in on_top {
            self.consider(ticket);
        }
    }

    /// Drops from the cache all that these decisions read or wrote, and gives their tickets back.
    fn forget(&mut self, decided: Vec<Decided>) -> Vec<Ticket> {
        let mut tickets = Vec::with_capacity(decided.len());
        for Decided { ticket, verdict, basis } in decided {
            for (id, _) in &basis {
                self.cache.forget(id);
            }
            if let Verdict::Append { events, .. } = &verdict {
                for placed in events {
                    self.cache.forget(&placed.stream);
                }
            }
            tickets.push(ticket);
        }
        tickets
    }

    fn loaded(&mut self, loaded: Result<Loaded, JoinError>) {
        let (failed, failure) = match loaded {
            Ok(Loaded { ids, streams: Ok(streams) }) => {
                let unreadable = |(id, stream)| match self.cache.insert_stored(&id, stream) {
                    Ok(()) => None,
                    Err(error) => {
                        tracing::error!(%error, stream = %id, "a stored stream can't be read");
                        Some(id)
                    }
                };
                (ids.into_iter().zip(streams).filter_map(unreadable).collect(), Failure::Unreadable)
            }
            Ok(Loaded { ids, streams: Err(error) }) => (ids.into_iter().collect(), redo::failure(&error)),
            Err(error) => {
                tracing::error!(%error, "a load was lost in a panic");
                self.loads.forget();
                (HashSet::new(), Failure::Internal)
            }
        };
        for ticket in std::mem::take(&mut self.parked) {
            let missing = tally_domain::missing_streams(&ticket.submission.command, &self.cache);
            if missing.iter().any(|id: &StreamId| failed.contains(id)) {
                self.recent.finish(ticket, Err(failure.clone()));
            } else {
                self.consider(ticket);
            }
        }
    }

    fn receipt(&self, stream: &StreamId, version: u64, position: u64) -> Receipt {
        Receipt { log_id: self.log_id, stream_id: stream.to_string(), stream_version: version, position }
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
