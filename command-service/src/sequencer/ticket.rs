//! A command inside the sequencer, with the way back to whoever waits for it.

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
    /// How often streams were loaded for it.
    pub(super) loads: u32,
}

impl Accepted {
    pub(super) fn new(submission: Submission, content_hash: [u8; 32], content_bytes: usize, reply: Reply) -> Ticket {
        Box::new(Self { submission, content_hash, content_bytes, reply, loads: 0 })
    }

    /// Whether the same command may come again and must get the same answer.
    pub(super) fn is_repeatable(&self) -> bool {
        self.submission.repeatable && !self.submission.validate_only
    }
}
