//! Commands that wait for streams to be loaded, in order of arrival.

use std::collections::HashSet;

use tally_domain::StreamId;

use super::ticket::Ticket;

/// A command that waits holds up those behind it that share a stream with it, and no others: so the commands of a stream keep their order.
#[derive(Debug, Default)]
pub(super) struct Parked {
    tickets: Vec<Ticket>,
    streams: HashSet<StreamId>,
}

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether a command that needs these streams must stay behind one that waits.
    pub(super) fn holds_up(&self, needed: &[StreamId]) -> bool {
        !self.streams.is_empty() && needed.iter().any(|id| self.streams.contains(id))
    }

    pub(super) fn push(&mut self, ticket: Ticket, needed: Vec<StreamId>) {
        self.tickets.push(ticket);
        self.streams.extend(needed);
    }

    /// All of them, to be looked at again.
    pub(super) fn take(&mut self) -> Vec<Ticket> {
        self.streams.clear();
        std::mem::take(&mut self.tickets)
    }
}
