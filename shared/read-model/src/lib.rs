//! The read model on Redis: views, the checkpoints they hold as of, lists of views, and the bells that tell of change.
//!
//! This crate alone names Redis keys and holds scripts. It knows nothing of what a view says: a view is bytes.
//!
//! In reading order: what there is (units and their builds, a build's state, a stored view, names), keys and connections; reading; and for
//! the projector alone writing: batches, what builds a unit has, who works at it, and what is kept beside the views.

mod error;
mod names;
mod state;
mod stored_view;
mod unit;

mod bell;
mod certificates;
mod connection;
mod fetch;
mod keys;
mod metrics;

mod model;
mod page;
#[cfg(feature = "planted-faults")]
mod planted;
mod read;

mod apply;
mod builds;
mod leases;
mod notes;
mod publish;
mod scan;
mod write;

pub use apply::{Applied, Batch, DigestChange, ParkedChange, Skipped, ViewChange};
pub use bell::Bell;
pub use builds::{Back, Look, Role, Started, Switched};
pub use connection::Options;
pub use error::Error;
pub use keys::{BUCKETS, LAYOUT, bucket_of_view};
pub use model::ReadModel;
pub use names::{line_key, lists, projections};
pub use page::{PAGE_ENTRIES_MAX, Page, PageEntry, list_member, list_member_oldest_first};
pub use publish::{LineEvent, LineEvents, Published};
pub use read::{Checkpoint, Found};
pub use scan::{Losses, Scanned, Walk};
pub use state::State;
pub use stored_view::StoredView;
pub use unit::{BuildId, READ_SHARDS_MAX, Unit, shard_of};
pub use write::{VIEWS_PER_LOAD_MAX, Writer};
