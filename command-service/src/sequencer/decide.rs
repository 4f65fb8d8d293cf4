//! Deciding one command on what the cache holds.

use tally_domain::order::Order;
use tally_domain::{Command, Event, States, StreamId, StreamState};

use super::Failure;
use super::cache::StateCache;
use super::ticket::Ticket;

/// A command with what was decided on it.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) ticket: Ticket,
    pub(super) verdict: Verdict,
    /// What the verdict rests on: streams with the versions at which they were read.
    pub(super) basis: Vec<(StreamId, u64)>,
}

#[derive(Debug)]
pub(super) enum Verdict {
    /// Events to append; `stream` is the one that the receipt names, at `version` after them.
    Append { stream: StreamId, version: u64, events: Vec<NumberedEvent> },
    /// Nothing to append: it changes nothing, or it only asked.
    Unchanged { stream: StreamId, version: u64, standing: Vec<Event> },
    /// As `Unchanged`, checked and due to be remembered under its command id. The position is that of the stream's last event; none: that
    /// event goes with this same batch.
    Remember { stream: StreamId, version: u64, position: Option<u64>, standing: Vec<Event> },
    /// Refused.
    Refused(Failure),
}

/// An event to append, and its place in its stream.
#[derive(Debug)]
pub(super) struct NumberedEvent {
    pub(super) stream: StreamId,
    pub(super) version: u64,
    pub(super) event: Event,
}

/// Decides on the newest state and applies the outcome to it, unless the caller only asked. All of the streams that are `needed` must be
/// in the cache.
pub(super) fn decide(cache: &mut StateCache, ticket: Ticket, needed: Vec<StreamId>) -> Decided {
    let is_theirs = match &ticket.submission.customer_id {
        Some(customer_id) => touches_only(cache, &ticket.submission.command, customer_id),
        None => true,
    };
    let decision = is_theirs.then(|| tally_domain::decide(&ticket.submission.command, cache));
    for id in &needed {
        cache.touch(id);
    }
    let basis = needed.into_iter().map(|id| {
        let version = cache.version(&id);
        (id, version)
    });
    let basis = basis.collect();

    let verdict = match decision {
        None => Verdict::Refused(Failure::NotYours),
        // Who says which version he has seen is told of another one first: it may be what made the command impossible.
        Some(Err(rejection)) => match version_mismatch(cache, &ticket) {
            Some(mismatch) => Verdict::Refused(mismatch),
            None => Verdict::Refused(Failure::Rejected(rejection)),
        },
        Some(Ok(decision)) => {
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
                    let events: Vec<NumberedEvent> = decision
                        .events
                        .into_iter()
                        .map(|(stream, event)| NumberedEvent { version: cache.apply(&stream, &event), stream, event })
                        .collect();
                    Verdict::Append { version: cache.version(&decision.stream), stream: decision.stream, events }
                }
            }
        }
    };
    Decided { ticket, verdict, basis }
}

/// What a refused command says of its stream's version that is not so; of a stream that is not there the refusal says enough.
fn version_mismatch(cache: &StateCache, ticket: &Ticket) -> Option<Failure> {
    let expected = ticket.submission.expected_version?;
    let stream = tally_domain::named_stream(&ticket.submission.command, cache)?;
    let actual = cache.version(&stream);
    let is_another = actual != 0 && actual != expected;
    is_another.then(|| Failure::VersionMismatch { stream_id: stream.to_string(), expected, actual })
}

/// Whether a command is about orders of this customer alone. An order that isn't there is nobody's: what follows says that it isn't.
fn touches_only(cache: &StateCache, command: &Command, customer_id: &str) -> bool {
    let owner = |order_id: &str| match cache.get(&StreamId::Order(order_id.to_owned())) {
        Some(StreamState::Order(order)) => order.customer_id().map(str::to_owned),
        Some(StreamState::Product(_) | StreamState::Batch(_)) | None => None,
    };
    let is_absent = |order_id: &str| {
        matches!(cache.get(&StreamId::Order(order_id.to_owned())), Some(StreamState::Order(Order::Absent)))
    };
    match command {
        Command::CreateOrder { customer_id: of, .. } => of == customer_id,
        Command::CancelOrder { order_id, .. } | Command::ShipOrder { order_id } => {
            owner(order_id).as_deref() == Some(customer_id) || is_absent(order_id)
        }
        // Whose an order is that another system keeps, nobody knows here.
        Command::Allocate { order_id, .. } | Command::Deallocate { order_id, .. } => {
            owner(order_id).as_deref() == Some(customer_id)
        }
        Command::CreateBatch { .. } | Command::ReceiveBatch { .. } | Command::ChangeBatchQuantity { .. } => false,
    }
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

/// Takes back from the cache what was decided. The latest decisions must be taken back first.
pub(super) fn undo(cache: &mut StateCache, decided: Decided) -> Ticket {
    #[cfg(feature = "planted-faults")]
    if crate::planted::is("cache-not-taken-back") {
        return decided.ticket;
    }
    if let Verdict::Append { events, .. } = &decided.verdict {
        for event in events.iter().rev() {
            cache.undo(&event.stream);
        }
    }
    decided.ticket
}
