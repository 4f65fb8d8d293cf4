//! Deciding with the head held: take it, catch up with what others appended, load what is missing, decide, append.

use std::collections::HashSet;
use std::time::Instant;

use tally_domain::{States, StreamId, missing_streams, needed_streams};
use tally_event_store::{ExclusiveAppend, LoadedEvent, append};

use super::beside::{is_much, parsed};
use super::{Actor, FITTING_AFTER_OTHERS, Flight, HOLDS_AFTER_CONTENTION, event_count};
use crate::metrics::METRICS;
use crate::sequencer::cache::StateCache;
use crate::sequencer::decide::{Decided, Verdict, decide, presumed_new, undo};
use crate::sequencer::hold::{self, Held, Holding, LoadedHeld, ROUNDS_MAX};
use crate::sequencer::settle::Settled;
use crate::sequencer::{Failure, replay};

impl Actor {
    /// Takes the head for as many of the waiting commands as a batch may have.
    pub(super) fn take_head(&mut self) {
        METRICS.head_holds.inc();
        self.holds_left = self.holds_left.max(1);
        let rest = self.queue.take(self.limits.batch_commands_max);
        self.holding = Holding { rest, ..Holding::default() };
        // Commands hardly ever came before. Where one did, the append finds out, or what is only said is looked up.
        self.looked_up = std::mem::take(&mut self.repeated);
        let asked = self.holding.rest.iter().filter(|ticket| self.looked_up && ticket.is_repeatable());
        let asked = asked.map(|ticket| ticket.submission.command_id).collect();
        let (store, seen) = (self.store.clone(), self.seen);
        self.flight = Some(tokio::spawn(async move { Flight::Hold(hold::take(store, seen, asked).await) }));
    }

    pub(super) fn head_taken(&mut self, held: Result<Held, Failure>) {
        match held {
            Ok(Held { exclusive, news, known }) => {
                let news = news.map(parsed);
                self.holding.contended = news.as_ref().is_none_or(|news| self.is_contended(news));
                match news {
                    Some(news) => self.catch_up(news),
                    None => {
                        self.loads.overtake_all();
                        self.cache.distrust_all();
                    }
                }
                if exclusive.head() < self.seen {
                    // Another past than the one that was seen: nothing that is known of it holds.
                    self.loads.overtake_all();
                    self.cache = StateCache::new(self.limits.state_cache_bytes_max);
                }
                self.seen = exclusive.head();
                self.holding.known = known;
                self.decide_held(exclusive);
            }
            Err(failure) => self.fail_held(&failure),
        }
    }

    /// Whether much of what is to be decided would not have fitted, had it been decided before.
    fn is_contended(&self, news: &[(StreamId, LoadedEvent)]) -> bool {
        let moved: HashSet<&StreamId> = news.iter().map(|(id, _)| id).collect();
        let overtaken = self.holding.rest.iter().filter(|ticket| {
            let needed = needed_streams(&ticket.submission.command, &self.cache);
            needed.iter().any(|id| moved.contains(id))
        });
        !moved.is_empty() && is_much(overtaken.count(), self.holding.rest.len())
    }

    /// Decides as far as the streams are here, then loads or appends.
    fn decide_held(&mut self, exclusive: ExclusiveAppend) {
        let mut events: usize = self.holding.decided.iter().map(event_count).sum();
        while let Some(ticket) = self.holding.rest.pop_front() {
            if ticket.submission.deadline <= Instant::now() {
                self.recent.finish(ticket, Err(Failure::TimedOut));
                continue;
            }
            let known = self.holding.known.remove(&ticket.submission.command_id);
            if let Some(known) = known.filter(|_| ticket.is_repeatable()) {
                let outcome = replay::outcome(self.log_id, &ticket, known);
                self.recent.finish(ticket, outcome);
                continue;
            }
            // Where it is not new after all, the append finds out, and it is looked up the next time.
            let new = presumed_new(&ticket.submission.command);
            let new = new.filter(|id| !self.looked_up && !self.cache.contains(id));
            let needed = needed_streams(&ticket.submission.command, &self.cache);
            let lacks_streams = needed.iter().any(|id| self.cache.get(id).is_none() && new.as_ref() != Some(id));
            if lacks_streams || events >= self.limits.batch_events_max {
                self.holding.rest.push_front(ticket);
                if lacks_streams && self.holding.rounds < ROUNDS_MAX {
                    return self.load_held(exclusive);
                }
                break;
            }
            if let Some(id) = &new {
                self.cache.presume_empty(id);
            }
            let mut decided = decide(&mut self.cache, ticket, needed);
            let count = event_count(&decided);
            if let (Some(id), 0) = (&new, count) {
                // No append will find out.
                self.cache.distrust(id);
                self.holding.rest.push_front(decided.ticket);
                continue;
            }
            if !self.holding.decided.is_empty() && events + count > self.limits.batch_events_max {
                // One that is above the limit goes by itself.
                self.holding.rest.push_front(undo(&mut self.cache, decided));
                break;
            }
            events += count;
            self.remember(&mut decided);
            self.holding.decided.push(decided);
        }
        // Those that are left take the head again.
        let Holding { rest, decided, .. } = &mut self.holding;
        let (rest, decided) = (std::mem::take(rest), std::mem::take(decided));
        self.queue.put_all(rest);
        self.flight = Some(tokio::spawn(async move { Flight::BatchHeld(hold::settle(exclusive, decided).await) }));
    }

    /// With the head held it is certain that nothing changes, so the same batch can note it.
    fn remember(&self, decided: &mut Decided) {
        if !decided.ticket.is_repeatable() {
            return;
        }
        if let Verdict::Unchanged { stream, version, standing } = &mut decided.verdict {
            decided.verdict = Verdict::Remember {
                position: self.cache.settled_position(stream),
                stream: stream.clone(),
                version: *version,
                standing: std::mem::take(standing),
            };
        }
    }

    /// Loads what all that are left lack, as far as it is known yet.
    fn load_held(&mut self, exclusive: ExclusiveAppend) {
        self.holding.rounds += 1;
        let commands = self.holding.rest.iter().map(|ticket| &ticket.submission.command);
        let mut missing: Vec<StreamId> = commands.flat_map(|command| missing_streams(command, &self.cache)).collect();
        missing.sort_unstable();
        missing.dedup();
        let known = missing.into_iter().map(|id| {
            let version = self.cache.version(&id);
            (id, version)
        });
        let known = known.collect();
        self.flight = Some(tokio::spawn(async move { Flight::LoadHeld(hold::load(exclusive, known).await) }));
    }

    pub(super) fn loaded_held(&mut self, loaded: Result<LoadedHeld, Failure>) {
        let LoadedHeld { exclusive, streams } = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return self.fail_held(&failure),
        };
        let mut unreadable = Vec::new();
        for (id, loaded) in streams {
            match loaded {
                Ok(loaded) => self.cache.take_in(&id, loaded, true),
                Err(error) => {
                    tracing::error!(%error, stream = %id, "a stored stream can't be read");
                    unreadable.push(id);
                }
            }
        }
        if !unreadable.is_empty() {
            for ticket in std::mem::take(&mut self.holding.rest) {
                let needed = needed_streams(&ticket.submission.command, &self.cache);
                if needed.iter().any(|id| unreadable.contains(id)) {
                    self.recent.finish(ticket, Err(Failure::Unreadable));
                } else {
                    self.holding.rest.push_back(ticket);
                }
            }
        }
        self.decide_held(exclusive);
    }

    /// The head can't be had, or is lost.
    fn fail_held(&mut self, failure: &Failure) {
        let Holding { rest, decided, .. } = std::mem::take(&mut self.holding);
        self.fail(decided, failure);
        for ticket in rest {
            self.recent.finish(ticket, Err(failure.clone()));
        }
    }

    pub(super) fn held_batch_landed(&mut self, Settled { decided, result }: Settled) {
        self.cache.begin_round();
        match result {
            Ok(checked) => {
                if let Some(appended) = checked.appended {
                    self.seen = appended.last_position;
                }
                // Not before: as long as the head is held, whoever comes must wait for it.
                self.holds_left =
                    if self.holding.contended { HOLDS_AFTER_CONTENTION } else { self.holds_left.saturating_sub(1) };
                self.conclude(decided, checked);
            }
            // With the head held no stream moves: a command id is taken.
            Err(append::Error::Conflict) if !self.looked_up => {
                METRICS.conflicts.inc();
                self.repeated = true;
                self.requeue(decided);
            }
            Err(error) => {
                self.holds_left = HOLDS_AFTER_CONTENTION;
                let failure = hold::append_failure(&error);
                self.fail(decided, &failure);
            }
        }
        if self.holds_left == 0 {
            self.fitting_left = FITTING_AFTER_OTHERS;
            let queue = self.queue.take_all();
            self.reconsider(queue);
        }
    }
}
