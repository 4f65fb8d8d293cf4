//! The read model on Redis: views, the checkpoints they hold as of, lists of views, and the bells that tell of change.
//!
//! This crate alone names Redis keys and holds scripts. It knows nothing of what a view says: a view is bytes.

mod apply;
mod bell;
mod connection;
mod error;
mod generation;
mod keys;
mod metrics;
mod model;
mod names;
#[cfg(feature = "planted-faults")]
mod planted;
mod publish;
mod read;
mod write;

pub use apply::{Applied, ViewChange};
pub use bell::Bell;
pub use connection::Options;
pub use error::Error;
pub use model::ReadModel;
pub use names::{line_key, lists, projections};
pub use publish::{LineEvent, LineEvents, Published};
pub use read::{Checkpoint, Found, PAGE_ENTRIES_MAX, Page, list_member, list_member_oldest_first};
pub use write::{VIEWS_PER_LOAD_MAX, Writer};
