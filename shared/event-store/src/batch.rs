//! What is appended in one commit.

use std::fmt;

use uuid::Uuid;

use crate::event::{Metadata, NewEvent};

/// Commands that commit together, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// In the order in which they were decided; their events take positions in this order.
    pub commands: Vec<NewCommand>,
    /// What was read for the decisions and is not written by them.
    pub guards: Vec<Guard>,
}

/// An accepted command and its outcome: events, or the proof that it changed nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommand {
    /// The idempotency key, unique in the log.
    pub command_id: Uuid,
    /// What tells a repetition from another command under the same id.
    pub content_hash: [u8; 32],
    /// Stored with each event.
    pub metadata: Metadata,
    /// In order. Several streams may be mixed.
    pub events: Vec<NewEvent>,
    /// Only without events. A command with neither leaves no trace.
    pub unchanged: Option<Unchanged>,
}

/// The acknowledgement of a command that changed nothing, kept so that it can be replayed.
#[derive(Clone, PartialEq)]
pub struct Unchanged {
    /// The stream that the receipt names.
    pub stream_id: String,
    /// That stream's version when the command was decided. It may be a version which the same batch appends.
    pub version: u64,
    /// The least position of the receipt. The stored one is no earlier than the event of `version`, whose position
    /// the caller cannot know when the same batch appends it; so 0 will do.
    pub position: u64,
    /// What already holds, for the answer, as JSON.
    pub standing: String,
}

/// A stream that was read and not written must still be at this version, 0 for one that does not exist.
///
/// For a stream that the same batch writes, the version before the batch and each one that the batch appends will
/// do: the decisions of a batch were taken one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The stream that was read.
    pub stream_id: String,
    /// The version at which it was read.
    pub version: u64,
}

/// The group of what rests on nothing that could move.
pub const NO_GROUP: i32 = -1;

/// A stream that the decisions of a batch rest on, for [`AppendStore::append_fitting`](crate::AppendStore::append_fitting).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The stream, read or written.
    pub stream_id: String,
    /// The version that it had before the batch; 0 for one that does not exist.
    pub version: u64,
    /// What the same commands touch is of one group, and so on: a group fits as a whole, or is left out as a whole.
    pub group: i32,
}

impl fmt::Debug for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unchanged")
            .field("stream_id", &self.stream_id)
            .field("version", &self.version)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
