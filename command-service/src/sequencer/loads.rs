//! Loading cold streams without holding up commands on warm ones.

use std::collections::{BTreeMap, HashSet};

use tally_domain::StreamId;
use tally_event_store::AppendStore;
use tokio::task::{JoinError, JoinSet};

use super::Failure;
use super::fold::{self, LoadedStreams};

/// Loads under way at once; what is wanted meanwhile goes together into the next one.
const LOADS_MAX: usize = 2;
/// Streams in one load.
const STREAMS_PER_LOAD_MAX: usize = 512;

/// What a load brought.
pub(super) struct Brought {
    pub(super) ids: Vec<StreamId>,
    pub(super) streams: Result<LoadedStreams, Failure>,
    /// When it was asked for, in catch-ups: events of other processes that came since then aren't in it.
    pub(super) catch_ups: u64,
}

/// Streams that are wanted, and loads under way.
#[derive(Default)]
pub(super) struct Loads {
    /// With the versions that are known, 0 for not at all.
    wanted: BTreeMap<StreamId, u64>,
    under_way: HashSet<StreamId>,
    tasks: JoinSet<Brought>,
}

impl Loads {
    /// Asks for a stream; one that was asked for already isn't asked for twice. Whether it was new.
    pub(super) fn want(&mut self, id: StreamId, known: u64) -> bool {
        !self.under_way.contains(&id) && self.wanted.insert(id, known).is_none()
    }

    /// Starts what may be started.
    pub(super) fn start(&mut self, store: &AppendStore, catch_ups: u64) {
        while !self.wanted.is_empty() && self.tasks.len() < LOADS_MAX {
            let mut known = Vec::new();
            while known.len() < STREAMS_PER_LOAD_MAX
                && let Some(stream) = self.wanted.pop_first()
            {
                known.push(stream);
            }
            let ids: Vec<StreamId> = known.iter().map(|(id, _)| id.clone()).collect();
            self.under_way.extend(ids.iter().cloned());
            let mut store = store.clone();
            self.tasks.spawn(async move { Brought { streams: fold::load(&mut store, known).await, ids, catch_ups } });
        }
    }

    /// The next load that comes back. Pending for ever when there is none.
    pub(super) async fn next(&mut self) -> Result<Brought, JoinError> {
        match self.tasks.join_next().await {
            Some(brought) => {
                if let Ok(brought) = &brought {
                    for id in &brought.ids {
                        self.under_way.remove(id);
                    }
                }
                brought
            }
            None => std::future::pending().await,
        }
    }

    /// Drops all that is wanted or under way.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
