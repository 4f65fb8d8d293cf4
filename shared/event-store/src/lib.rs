//! The event log on Postgres: migrations, append, load, tail.
//!
//! The only crate with SQL on events. [`AppendStore`] is the writing side (append, and what a decision has to
//! read first), [`ReadStore`] the tail. Both connect when first used, so a process starts while Postgres is away.

// What there is to know first.
mod error;
mod event;
mod log_name;

// Making a log, and after it was restored.
mod migrate;
mod restored;

// Writing: what one commit takes, the appending statement, and the same with the head row held.
pub mod append;
mod append_store;
mod batch;
mod exclusive;

// Reading: for a repeated command, for a decision (from a snapshot on, where there is one), to look at a stream, and by position.
mod commands;
mod load;
mod read_stream;
mod snapshots;
mod tail;

// How far the read model was seen to come.
mod reached;

#[cfg(feature = "planted-faults")]
mod planted;

// Sessions of Postgres.
mod connection;
mod metrics;

pub use append::{Appended, Fitted, News};
pub use append_store::AppendStore;
pub use batch::{Basis, Batch, Guard, NO_GROUP, NewCommand, Unchanged};
pub use commands::{Outcome, StoredCommand};
pub use connection::{AppendOptions, ReadOptions, ReadRole};
pub use error::{Cause, Error};
pub use event::{Metadata, NewEvent, StoredEvent};
pub use exclusive::ExclusiveAppend;
pub use load::{KnownStream, LoadedEvent, StoredSnapshot, StoredStream};
pub use log_name::{InvalidLogName, LogName};
pub use migrate::migrate;
pub use reached::Reached;
pub use read_stream::{Direction, StreamPage};
pub use restored::renew_identity;
pub use snapshots::NewSnapshot;
pub use tail::ReadStore;
