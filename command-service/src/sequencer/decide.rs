//! Deciding one command on what the cache holds.

use std::cell::RefCell;

use tally_domain::{Command, Event, States, StreamId, StreamState};

use super::Failure;
use super::cache::StateCache;
use super::ticket::Ticket;

/// A command with what was decided on it.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) ticket: Ticket,
    pub(super) verdict: Verdict,
    /// What the verdict rests on and doesn't write: streams with the versions at which they were read.
    pub(super) basis: Vec<(StreamId, u64)>,
}

#[derive(Debug)]
pub(super) enum Verdict {
    /// Events to append; `stream` is the one that the receipt names, at `version` after them.
    Append { stream: StreamId, version: u64, events: Vec<PlacedEvent> },
    /// Nothing to append: it changes nothing, or it only asked.
    Unchanged { stream: StreamId, version: u64, standing: Vec<Event> },
    /// As `Unchanged`, checked and due to be remembered under its command id: the position is that of the stream's last event.
    Remember { stream: StreamId, version: u64, position: u64, standing: Vec<Event> },
    /// Refused.
    Refused(Failure),
}

/// An event and its place in its stream.
#[derive(Debug)]
pub(super) struct PlacedEvent {
    pub(super) stream: StreamId,
    pub(super) version: u64,
    pub(super) event: Event,
}

/// What became of an attempt to decide.
pub(super) enum Attempt {
    Decided(Decided),
    /// These streams have to be loaded first.
    Missing(Ticket, Vec<StreamId>),
}

/// Decides on the newest state and applies the outcome to it, unless the caller only asked.
pub(super) fn attempt(cache: &mut StateCache, ticket: Ticket) -> Attempt {
    let command = &ticket.submission.command;
    let missing = tally_domain::missing_streams(command, cache);
    if !missing.is_empty() {
        return Attempt::Missing(ticket, missing);
    }

    let witnessed = Witnessed { states: cache, read: RefCell::default() };
    let decision = tally_domain::decide(command, &witnessed);
    let read = witnessed.read.into_inner();
    let basis = read.iter().map(|id| (id.clone(), cache.version(id))).collect();
    for id in &read {
        cache.touch(id);
    }

    let verdict = match decision {
        Err(rejection) => Verdict::Refused(Failure::Rejected(rejection)),
        Ok(decision) => {
            let actual = cache.version(&decision.stream);
            match ticket.submission.expected_version {
                Some(expected) if expected != actual => {
                    let stream_id = decision.stream.to_string();
                    Verdict::Refused(Failure::VersionMismatch { stream_id, expected, actual })
                }
                Some(_) | None if decision.events.is_empty() => {
                    Verdict::Unchanged { stream: decision.stream, version: actual, standing: decision.standing }
                }
                Some(_) | None if ticket.submission.validate_only => {
                    let standing = decision.events.into_iter().map(|(_, event)| event).collect();
                    Verdict::Unchanged { stream: decision.stream, version: actual, standing }
                }
                Some(_) | None => {
                    let events: Vec<PlacedEvent> = decision
                        .events
                        .into_iter()
                        .map(|(stream, event)| PlacedEvent { version: cache.apply(&stream, &event), stream, event })
                        .collect();
                    Verdict::Append { version: cache.version(&decision.stream), stream: decision.stream, events }
                }
            }
        }
    };
    Attempt::Decided(Decided { ticket, verdict, basis })
}

/// The stream that a command is about to begin and that need not be loaded for it: should it exist, the append is refused and the command
/// decided again on what is stored.
pub(super) fn presumed_new(command: &Command) -> Option<StreamId> {
    match command {
        Command::CreateOrder { order_id, .. } => Some(StreamId::Order(order_id.clone())),
        Command::CreateBatch { .. }
        | Command::ReceiveBatch { .. }
        | Command::ChangeBatchQuantity { .. }
        | Command::Allocate { .. }
        | Command::Deallocate { .. }
        | Command::CancelOrder { .. }
        | Command::ShipOrder { .. } => None,
    }
}

/// Notes which streams a decision looks at.
struct Witnessed<'a> {
    states: &'a StateCache,
    read: RefCell<Vec<StreamId>>,
}

impl States for Witnessed<'_> {
    fn get(&self, id: &StreamId) -> Option<&StreamState> {
        let mut read = self.read.borrow_mut();
        if !read.contains(id) {
            read.push(id.clone());
        }
        self.states.get(id)
    }
}
