//! The read model on Redis: views, the checkpoints they hold as of, lists of views, and the bells that tell of change.
//!
//! This crate alone names Redis keys and holds scripts. It knows nothing of what a view says: a view is bytes.

mod apply;
mod bell;
mod connection;
mod error;
mod generation;
mod keys;
mod model;
mod names;
mod read;
mod write;

pub use apply::{Applied, ViewChange};
pub use bell::Bell;
pub use connection::Options;
pub use error::Error;
pub use model::ReadModel;
pub use names::{lists, projections};
pub use read::{Checkpoint, Found, PAGE_ENTRIES_MAX, Page, list_member};
pub use write::{VIEWS_PER_LOAD_MAX, Writer};
