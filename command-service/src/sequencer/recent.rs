//! Commands under way and commands answered a moment ago, by id: so that twenty at once are one.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use uuid::Uuid;

use super::ticket::{Reply, Ticket};
use super::{Failure, Outcome};

/// An outcome with more events than this isn't worth the memory: a repetition of it is found in the log.
const OUTCOME_EVENTS_MAX: usize = 16;

#[derive(Debug)]
struct UnderWay {
    content_hash: [u8; 32],
    followers: Vec<Reply>,
}

#[derive(Debug)]
pub(super) struct RecentCommands {
    under_way: HashMap<Uuid, UnderWay>,
    answered: LruCache<Uuid, ([u8; 32], Outcome)>,
}

impl RecentCommands {
    pub(super) fn new(answered_max: usize) -> Self {
        let answered_max = NonZeroUsize::new(answered_max).unwrap_or(NonZeroUsize::MIN);
        Self { under_way: HashMap::new(), answered: LruCache::new(answered_max) }
    }

    /// Gives the ticket back if its command is new here. Otherwise it is answered, now or together with the one under way.
    pub(super) fn admit(&mut self, ticket: Ticket) -> Option<Ticket> {
        if !ticket.is_repeatable() {
            return Some(ticket);
        }
        let id = ticket.submission.command_id;
        if let Some((content_hash, outcome)) = self.answered.get(&id) {
            let same = *content_hash == ticket.content_hash;
            ticket.reply.send(if same { Ok(outcome.clone()) } else { Err(Failure::CommandIdReused) });
            return None;
        }
        match self.under_way.get_mut(&id) {
            Some(first) if first.content_hash == ticket.content_hash => first.followers.push(ticket.reply),
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
                self.answered.put(id, (ticket.content_hash, outcome.clone()));
            }
        }
        ticket.reply.send(result);
    }

    /// After tickets were lost in a panic: whoever followed them is answered by their reply being dropped.
    pub(super) fn forget_under_way(&mut self) {
        self.under_way.clear();
    }
}
