use serde::{Deserialize, Serialize};

use crate::{StreamState, product};

/// What snapshots hold and mean. Higher whenever either changes: snapshots of another format are passed over, and all events read again.
pub const SNAPSHOT_FORMAT: i32 = 1;

/// A state, to be kept beside its events so that they need not all be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot(product::Snapshot);

impl StreamState {
    /// The state, to be kept. Takes the time of a walk over it. None: streams of this kind are too short to be worth one.
    pub fn to_snapshot(&self) -> Option<Snapshot> {
        match self {
            StreamState::Product(product) => Some(Snapshot(product.to_snapshot())),
            StreamState::Order(_) | StreamState::Batch(_) => None,
        }
    }

    /// The state that the snapshot was taken of.
    pub fn from_snapshot(Snapshot(snapshot): Snapshot) -> StreamState {
        StreamState::Product(product::Product::from_snapshot(snapshot))
    }

    /// How many parts a snapshot of it has: about what it costs to take one, at no cost. 0: there are none of it.
    pub fn snapshot_weight(&self) -> usize {
        match self {
            StreamState::Product(product) => product.weight(),
            StreamState::Order(_) | StreamState::Batch(_) => 0,
        }
    }
}
