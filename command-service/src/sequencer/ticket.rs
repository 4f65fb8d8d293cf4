//! A command inside the sequencer, with the way back to whoever waits for it.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Failure, Outcome, Submission, fingerprint};

/// Where an answer goes. The permit is given back with the answer.
#[derive(Debug)]
pub(super) struct Reply {
    answer: oneshot::Sender<Result<Outcome, Failure>>,
    _permit: OwnedSemaphorePermit,
}

impl Reply {
    pub(super) fn send(self, result: Result<Outcome, Failure>) {
        // The caller may have gone; what was decided stands all the same.
        let _ = self.answer.send(result);
    }
}

#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) submission: Submission,
    /// What tells a repetition from another command under the same id.
    pub(super) content_hash: [u8; 32],
    pub(super) reply: Reply,
    /// How often streams were loaded for it.
    pub(super) loads: u32,
}

impl Ticket {
    pub(super) fn new(
        submission: Submission,
        answer: oneshot::Sender<Result<Outcome, Failure>>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Failure> {
        let content_hash = fingerprint::of(&submission)?;
        Ok(Self { submission, content_hash, reply: Reply { answer, _permit: permit }, loads: 0 })
    }

    /// Whether the same command may come again and must get the same answer.
    pub(super) fn is_repeatable(&self) -> bool {
        self.submission.repeatable && !self.submission.validate_only
    }
}
