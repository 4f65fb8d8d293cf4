//! Tally's rules: orders, products, batches. Pure functions, no I/O, no clock.
//!
//! A command is decided on the states of the streams that it touches ([`missing_streams`] says which) and gives events or a
//! [`Rejection`]; a state is the fold of its stream's events.

mod address;
mod command;
mod date;
mod decide;
mod event;
mod money;
mod rejection;
mod snapshot;
mod states;
mod stream;

pub mod batch;
pub mod order;
pub mod product;

pub use address::PostalAddress;
pub use command::{Command, is_own_order_id};
pub use date::{Date, ParseDateError};
pub use decide::{
    BATCHES_PER_SKU_MAX, Decision, EVENTS_PER_COMMAND_MAX, decide, missing_streams, named_stream, needed_streams,
};
pub use event::{Event, StoredEventError};
pub use money::Money;
pub use order::Item;
pub use rejection::Rejection;
pub use snapshot::{SNAPSHOT_FORMAT, Snapshot};
pub use states::{States, StreamState, Undo};
pub use stream::{ParseStreamIdError, StreamId};

#[cfg(test)]
mod tests;
