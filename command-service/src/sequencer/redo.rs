//! The exclusive path, after a lost race: take the head row, so that nobody appends meanwhile, read what is really stored, decide again,
//! append, commit. All inside one transaction of one task that no caller can cancel, so it always gets through.

use std::collections::{BTreeSet, HashMap};

use tally_domain::StreamId;
use tally_event_store::{AppendStore, Appended, Error, ExclusiveAppend, StoredCommand, append};
use uuid::Uuid;

use super::Failure;
use super::cache::StateCache;
use super::decide::{Attempt, Decided, attempt};
use super::settle::to_batch;
use super::ticket::Ticket;

/// Rounds of loading that a command may need: a batch names its product, an order its products.
const ROUNDS_MAX: usize = 8;

/// What came of deciding again.
pub(super) struct Redone {
    /// In the order of the tickets; those with events are appended.
    pub(super) decided: Vec<Decided>,
    /// Commands that came before.
    pub(super) known: Vec<(Ticket, StoredCommand)>,
    pub(super) appended: Option<Appended>,
    /// The streams as they are now, events just appended included.
    pub(super) states: StateCache,
}

/// Decides the tickets again, alone. On failure they come back.
pub(super) async fn redo(store: AppendStore, tickets: Vec<Ticket>) -> Result<Redone, (Vec<Ticket>, Failure)> {
    let mut exclusive = match store.begin_exclusive().await {
        Ok(exclusive) => exclusive,
        Err(error) => return Err((tickets, failure(&error))),
    };
    let mut redo = Redo { states: StateCache::new(usize::MAX), decided: Vec::new(), known: Vec::new() };
    if let Err((rest, failure)) = redo.decide_all(&mut exclusive, tickets).await {
        return Err((redo.give_back(rest), failure));
    }

    let batch = to_batch(&redo.decided);
    let mut appended = None;
    if !batch.commands.is_empty() {
        match exclusive.append(batch).await {
            Ok(done) => appended = Some(done),
            Err(error) => return Err((redo.give_back(Vec::new()), append_failure(&error))),
        }
    }
    Ok(Redone { decided: redo.decided, known: redo.known, appended, states: redo.states })
}

struct Redo {
    states: StateCache,
    decided: Vec<Decided>,
    known: Vec<(Ticket, StoredCommand)>,
}

impl Redo {
    async fn decide_all(
        &mut self,
        exclusive: &mut ExclusiveAppend,
        tickets: Vec<Ticket>,
    ) -> Result<(), (Vec<Ticket>, Failure)> {
        let ids: Vec<Uuid> = tickets.iter().map(|ticket| ticket.submission.command_id).collect();
        let mut stored: HashMap<Uuid, StoredCommand> = match exclusive.find_commands(&ids).await {
            Ok(stored) => stored.into_iter().map(|command| (command.command_id, command)).collect(),
            Err(error) => return Err((tickets, failure(&error))),
        };
        if let Err(failure) = self.load_for(exclusive, tickets.iter()).await {
            return Err((tickets, failure));
        }
        let mut rest = tickets.into_iter();
        while let Some(ticket) = rest.next() {
            let known = stored.remove(&ticket.submission.command_id);
            if let Some(known) = known.filter(|_| !ticket.submission.validate_only) {
                self.known.push((ticket, known));
                continue;
            }
            // What an earlier command of these has just written may name further streams.
            let ticket = match self.load_for(exclusive, std::iter::once(&ticket)).await {
                Ok(()) => ticket,
                Err(failure) => return Err((std::iter::once(ticket).chain(rest).collect(), failure)),
            };
            match attempt(&mut self.states, ticket) {
                Attempt::Decided(decided) => self.decided.push(decided),
                Attempt::Missing(ticket, _) => {
                    tracing::error!("a command wants more streams than loading brings");
                    return Err((std::iter::once(ticket).chain(rest).collect(), Failure::Internal));
                }
            }
        }
        Ok(())
    }

    async fn load_for(
        &mut self,
        exclusive: &mut ExclusiveAppend,
        tickets: impl Iterator<Item = &Ticket> + Clone,
    ) -> Result<(), Failure> {
        for _ in 0..ROUNDS_MAX {
            let missing: BTreeSet<StreamId> = tickets
                .clone()
                .flat_map(|ticket| tally_domain::missing_streams(&ticket.submission.command, &self.states))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let streams = exclusive.load(&names).await.map_err(|error| failure(&error))?;
            for (id, stream) in missing.iter().zip(streams) {
                self.states.insert_stored(id, stream).map_err(|error| {
                    tracing::error!(%error, "a stored stream can't be read");
                    Failure::Unreadable
                })?;
            }
        }
        Ok(())
    }

    fn give_back(self, rest: Vec<Ticket>) -> Vec<Ticket> {
        let decided = self.decided.into_iter().map(|decided| decided.ticket);
        decided.chain(self.known.into_iter().map(|(ticket, _)| ticket)).chain(rest).collect()
    }
}

/// What callers are told when the store fails.
pub(super) fn failure(error: &Error) -> Failure {
    match error {
        Error::Unavailable(cause) => {
            tracing::warn!(%cause, "the event store is unavailable");
            Failure::Unavailable
        }
        Error::Refused(cause) => {
            tracing::error!(%cause, "the event store refused");
            Failure::Internal
        }
    }
}

/// What callers are told when an append fails other than by a lost race.
pub(super) fn append_failure(error: &append::Error) -> Failure {
    match error {
        append::Error::Unavailable(cause) => {
            tracing::warn!(%cause, "the event store is unavailable");
            Failure::Unavailable
        }
        append::Error::Conflict => {
            tracing::error!("a conflict while the head of the log was held");
            Failure::Internal
        }
        append::Error::Refused(cause) => {
            tracing::error!(%cause, "the event store refused a batch");
            Failure::Internal
        }
    }
}
