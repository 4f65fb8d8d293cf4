//! A command inside the sequencer, with the way back to whoever waits for it.

use std::collections::VecDeque;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Failure, Outcome, Submission};
use crate::metrics::InFlight;

/// Where an answer goes. The permits are given back with the answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: oneshot::Sender<Result<Outcome, Failure>>,
    pub(super) _permits: [OwnedSemaphorePermit; 2],
    pub(super) _in_flight: InFlight,
}

impl Reply {
    pub(super) fn send(self, result: Result<Outcome, Failure>) {
        // The caller may have gone; what was decided stands all the same.
        let _ = self.answer.send(result);
    }
}

/// Boxed: it is handed on a dozen times.
pub(super) type Ticket = Box<Accepted>;

#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) submission: Submission,
    /// What tells a repetition from another command under the same id.
    pub(super) content_hash: [u8; 32],
    /// How long that content is.
    pub(super) content_bytes: usize,
    pub(super) reply: Reply,
    /// Its place among all commands of this process.
    pub(super) arrival: u64,
    /// How often streams were loaded for it.
    pub(super) loads: u32,
    /// How often it was left out of a batch.
    pub(super) left_out: u32,
}

impl Accepted {
    pub(super) fn new(submission: Submission, content_hash: [u8; 32], content_bytes: usize, reply: Reply) -> Ticket {
        Box::new(Self { submission, content_hash, content_bytes, reply, arrival: 0, loads: 0, left_out: 0 })
    }

    /// Whether the same command may come again and must get the same answer.
    pub(super) fn is_repeatable(&self) -> bool {
        self.submission.repeatable && !self.submission.validate_only
    }
}

/// Commands in the order of their arrival, whenever they are put in.
#[derive(Debug, Default)]
pub(super) struct Line(VecDeque<Ticket>);

impl Line {
    pub(super) fn put(&mut self, ticket: Ticket) {
        let place = self.0.partition_point(|other| other.arrival < ticket.arrival);
        self.0.insert(place, ticket);
    }

    pub(super) fn put_all(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        tickets.into_iter().for_each(|ticket| self.put(ticket));
    }

    pub(super) fn take_first(&mut self) -> Option<Ticket> {
        self.0.pop_front()
    }

    /// The first so many, or all.
    pub(super) fn take(&mut self, count: usize) -> VecDeque<Ticket> {
        let rest = self.0.split_off(count.min(self.0.len()));
        std::mem::replace(&mut self.0, rest)
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Ticket> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
