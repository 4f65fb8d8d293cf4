//! The sequencer: every command of this process passes through one task, which decides on the newest state it knows, committed or not,
//! and commits many commands together.
//!
//! The hazards, and what meets each:
//!
//! * *Deciding on what never commits.* A batch is decided while the one before it is on its way to Postgres. What of that one is not stored is
//!   taken back ([`decide::undo`]), with all that was decided on it, and decided again, in the order in which they came, on what is really
//!   stored. Nobody is answered before all that their answer rests on is stored: refusals travel with the batch too.
//! * *Deciding on what another replica changed.* The appending statement checks the version of every stream that a batch writes or has read
//!   ([`settle`]), and while others append it leaves out what does not fit ([`groups`]). A refusal writes nothing that could be checked, so the versions it rests on are looked up after the append; where one has
//!   moved, the command is decided again.
//! * *A race that is lost for ever.* A command that lost some times is decided with the head row held ([`hold`]), and so is all where much
//!   would not fit.
//! * *Commands of one stream in another order than they came.* A command that waits for a cold stream holds up those behind it that share
//!   a stream with it, and only those ([`parked`]).
//! * *A command that takes effect twice.* The command id is unique in the log. A repeated command is found in memory ([`recent`]), or by its
//!   refused append, or, when its decision has nothing to append, by a look-up before it is answered.
//! * *A caller that goes away.* Nothing here is cancelled with its caller: the reply is dropped, the work is not.

mod actor;
mod cache;
mod decide;
mod fingerprint;
mod fold;
mod groups;
mod hold;
mod loads;
mod parked;
mod recent;
mod replay;
mod settle;
mod snapshots;
mod ticket;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use tally_domain::{Command, Event, Rejection};
use tally_event_store::{AppendStore, Metadata};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::doorbell::Doorbell;
use crate::metrics::InFlight;
use ticket::{Accepted, Reply, Ticket};

/// The limits of a sequencer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Commands accepted and not answered yet.
    pub(crate) commands_in_flight_max: usize,
    /// What those may take together, in KiB.
    pub(crate) commands_in_flight_kib_max: usize,
    /// Commands committed together.
    pub(crate) batch_commands_max: usize,
    /// Events committed together, above which a batch takes no further command.
    pub(crate) batch_events_max: usize,
    /// Bytes for the state of streams.
    pub(crate) state_cache_bytes_max: usize,
    /// Outcomes kept in memory.
    pub(crate) recent_commands_max: usize,
}

/// A command on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) command: Command,
    pub(crate) command_id: Uuid,
    /// Whether the caller chose the command_id, so that the command may come again.
    pub(crate) repeatable: bool,
    pub(crate) expected_version: Option<u64>,
    pub(crate) validate_only: bool,
    /// The one customer whose things it may touch; None: everybody's.
    pub(crate) customer_id: Option<String>,
    pub(crate) metadata: Metadata,
    /// Nobody waits for an answer any more after this.
    pub(crate) deadline: Instant,
}

/// What a command did.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Absent with validate_only.
    pub(crate) receipt: Option<Receipt>,
    /// What was appended; where nothing was, what already held.
    pub(crate) events: Arc<Vec<Event>>,
}

/// Where in the log a command's effect is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Receipt {
    pub(crate) log_id: Uuid,
    pub(crate) stream_id: String,
    pub(crate) stream_version: u64,
    pub(crate) position: u64,
}

/// Why a command did nothing, or why that isn't known.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The domain's rules refuse it.
    Rejected(Rejection),
    /// The stream isn't at the version that the caller expects.
    VersionMismatch { stream_id: String, expected: u64, actual: u64 },
    /// It would touch what isn't its caller's.
    NotYours,
    /// The command id came before, with other content.
    CommandIdReused,
    /// The named limit is reached; nothing was done.
    Overloaded { limit: &'static str },
    /// Postgres is away. What became of the command is not known.
    Unavailable,
    /// No answer in time. What became of the command is not known.
    TimedOut,
    /// A stored event that this version of the program can't read.
    Unreadable,
    /// A bug, or a missing migration; logged where it was seen.
    Internal,
}

/// Hands commands to the sequencing task. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Sequencer {
    inbox: mpsc::Sender<Ticket>,
    counted: Arc<Semaphore>,
    weighed: Arc<Semaphore>,
}

impl Sequencer {
    /// Starts the sequencing task, which ends when every handle is gone and all it accepted is answered.
    pub(crate) fn start(store: AppendStore, doorbell: Doorbell, limits: Limits) -> (Self, JoinHandle<()>) {
        let (inbox, arrivals) = mpsc::channel(limits.commands_in_flight_max);
        let task = tokio::spawn(actor::Actor::new(store, doorbell, limits).run(arrivals));
        let counted = Arc::new(Semaphore::new(limits.commands_in_flight_max));
        let weighed = Arc::new(Semaphore::new(limits.commands_in_flight_kib_max));
        (Self { inbox, counted, weighed }, task)
    }

    /// Has a command decided on and, if it is accepted, committed. Cancel-safe for the command: once accepted, it goes its way.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Outcome, Failure> {
        const TOO_MANY: Failure = Failure::Overloaded { limit: "commands_in_flight_max" };
        const TOO_MUCH: Failure = Failure::Overloaded { limit: "commands_in_flight_kib_max" };
        let counted = Arc::clone(&self.counted).try_acquire_owned().map_err(|_| TOO_MANY)?;
        let (content_hash, bytes) = fingerprint::of(&submission)?;
        let kib = u32::try_from(bytes.div_ceil(1024)).map_err(|_| TOO_MUCH)?;
        let weighed = Arc::clone(&self.weighed).try_acquire_many_owned(kib).map_err(|_| TOO_MUCH)?;
        let (reply, answer) = oneshot::channel();
        let reply = Reply { answer: reply, _permits: [counted, weighed], _in_flight: InFlight::begin() };
        self.inbox.try_send(Accepted::new(submission, content_hash, bytes, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TOO_MANY,
            mpsc::error::TrySendError::Closed(_) => Failure::Unavailable,
        })?;
        answer.await.unwrap_or(Err(Failure::Unavailable))
    }
}
