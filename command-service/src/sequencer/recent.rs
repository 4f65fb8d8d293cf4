//! Commands under way and commands answered a moment ago, by id: so that twenty at once are one.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use uuid::Uuid;

use super::ticket::{Reply, Ticket};
use super::{Failure, Outcome};
use crate::metrics::METRICS;

/// An outcome with more events than this isn't worth the memory: a repetition of it is found in the log.
const OUTCOME_EVENTS_MAX: usize = 16;
/// About what all outcomes may take, beside the limit on their number.
const OUTCOMES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an outcome costs beside its events.
const OUTCOME_BYTES: usize = 320;

#[derive(Debug)]
struct UnderWay {
    content_hash: [u8; 32],
    followers: Vec<Reply>,
}

#[derive(Debug)]
pub(super) struct RecentCommands {
    under_way: HashMap<Uuid, UnderWay>,
    answered: LruCache<Uuid, Answered>,
    /// About what `answered` takes.
    bytes: usize,
}

#[derive(Debug)]
struct Answered {
    content_hash: [u8; 32],
    outcome: Outcome,
    bytes: usize,
}

impl RecentCommands {
    pub(super) fn new(answered_max: usize) -> Self {
        let answered_max = NonZeroUsize::new(answered_max).unwrap_or(NonZeroUsize::MIN);
        Self { under_way: HashMap::new(), answered: LruCache::new(answered_max), bytes: 0 }
    }

    /// Gives the ticket back if its command is new here. Otherwise it is answered, now or together with the one under way.
    pub(super) fn admit(&mut self, ticket: Ticket) -> Option<Ticket> {
        if !ticket.is_repeatable() {
            return Some(ticket);
        }
        let id = ticket.submission.command_id;
        if let Some(answered) = self.answered.get(&id) {
            METRICS.repeated.inc();
            let same = answered.content_hash == ticket.content_hash;
            ticket.reply.send(if same { Ok(answered.outcome.clone()) } else { Err(Failure::CommandIdReused) });
            return None;
        }
        match self.under_way.get_mut(&id) {
            Some(first) if first.content_hash == ticket.content_hash => {
                METRICS.repeated.inc();
                first.followers.push(ticket.reply);
            }
            Some(_) => ticket.reply.send(Err(Failure::CommandIdReused)),
            None => {
                let first = UnderWay { content_hash: ticket.content_hash, followers: Vec::new() };
                self.under_way.insert(id, first);
                return Some(ticket);
            }
        }
        None
    }

    /// Answers a command and all that came under its id meanwhile. An outcome is kept; a failure is not, it may be tried again.
    pub(super) fn finish(&mut self, ticket: Ticket, result: Result<Outcome, Failure>) {
        if ticket.is_repeatable() {
            let id = ticket.submission.command_id;
            if let Some(first) = self.under_way.remove(&id) {
                for follower in first.followers {
                    follower.send(result.clone());
                }
            }
            if let Ok(outcome) = &result
                && outcome.events.len() <= OUTCOME_EVENTS_MAX
            {
                self.keep(id, &ticket, outcome.clone());
            }
        }
        ticket.reply.send(result);
    }

    fn keep(&mut self, id: Uuid, ticket: &Ticket, outcome: Outcome) {
        // Events repeat what the command said, and each says a little more.
        let bytes = OUTCOME_BYTES * (1 + outcome.events.len()) + ticket.content_bytes;
        let answered = Answered { content_hash: ticket.content_hash, outcome, bytes };
        self.bytes += bytes;
        // What goes: an older outcome of the same id, or the least recently used one.
        if let Some((_, gone)) = self.answered.push(id, answered) {
            self.bytes -= gone.bytes;
        }
        while self.bytes > OUTCOMES_BYTES_MAX
            && let Some((_, gone)) = self.answered.pop_lru()
        {
            self.bytes -= gone.bytes;
        }
    }

    /// After tickets were lost in a panic: whoever followed them is answered by their reply being dropped.
    pub(super) fn forget_under_way(&mut self) {
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use tally_domain::Command;
    use tally_event_store::Metadata;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::metrics::InFlight;
    use crate::sequencer::Submission;
    use crate::sequencer::ticket::Accepted;

    fn ticket(command_id: Uuid, content_bytes: usize) -> Ticket {
        let permits = Arc::new(Semaphore::new(2));
        let permit = || Arc::clone(&permits).try_acquire_owned().expect("a permit");
        let reply =
            Reply { answer: oneshot::channel().0, _permits: [permit(), permit()], _in_flight: InFlight::begin() };
        let submission = Submission {
            command: Command::ReceiveBatch { batch_ref: "b-1".to_owned() },
            command_id,
            repeatable: true,
            expected_version: None,
            validate_only: false,
            customer_id: None,
            metadata: Metadata::default(),
            deadline: Instant::now(),
        };
        Accepted::new(submission, [0; 32], content_bytes, reply)
    }

    #[test]
    fn outcomes_are_bounded_in_bytes_and_the_latest_stay() {
        let mut recent = RecentCommands::new(10_000);
        let ids: Vec<Uuid> = (0..1_000).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            let ticket = recent.admit(ticket(*id, 60_000)).expect("new");
            recent.finish(ticket, Ok(Outcome { receipt: None, events: Arc::default() }));
        }
        let kept: usize = recent.answered.iter().map(|(_, answered)| answered.bytes).sum();
        assert_eq!(recent.bytes, kept);
        assert!((OUTCOMES_BYTES_MAX - 61_000..=OUTCOMES_BYTES_MAX).contains(&kept), "{kept}");
        assert!(recent.admit(ticket(ids[999], 0)).is_none());
        assert!(recent.admit(ticket(ids[0], 0)).is_some());
    }
}
