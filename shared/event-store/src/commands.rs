//! Finding what became of commands.

use uuid::Uuid;

use crate::batch::Unchanged;
use crate::event::StoredEvent;

/// A command that the log knows.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCommand {
    /// The idempotency key.
    pub command_id: Uuid,
    /// What tells a repetition from another command under the same id.
    pub content_hash: [u8; 32],
    /// What it did.
    pub outcome: Outcome,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its events, in order; at least one.
    Appended(Vec<StoredEvent>),
    /// Nothing, and what was said then.
    Unchanged(Unchanged),
}
