//! Loading cold streams without holding up commands on warm ones.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Of these streams others were heard of since it was asked for: what they did may not be in it.
    pub(super) overtaken: HashSet<StreamId>,
}

/// Streams that are wanted, and loads under way.
#[derive(Default)]
pub(super) struct Loads {
    /// With the versions that are known, 0 for not at all.
    wanted: BTreeMap<StreamId, u64>,
    /// Whether others were heard of since.
    under_way: HashMap<StreamId, bool>,
    tasks: JoinSet<Brought>,
}

impl Loads {
    /// Asks for a stream; one that was asked for already isn't asked for twice. Whether it was new.
    pub(super) fn want(&mut self, id: StreamId, known: u64) -> bool {
        !self.under_way.contains_key(&id) && self.wanted.insert(id, known).is_none()
    }

    /// Starts what may be started.
    pub(super) fn start(&mut self, store: &AppendStore) {
        while !self.wanted.is_empty() && self.tasks.len() < LOADS_MAX {
            let mut known = Vec::new();
            while known.len() < STREAMS_PER_LOAD_MAX
                && let Some(stream) = self.wanted.pop_first()
            {
                known.push(stream);
            }
            let ids: Vec<StreamId> = known.iter().map(|(id, _)| id.clone()).collect();
            self.under_way.extend(ids.iter().map(|id| (id.clone(), false)));
            let mut store = store.clone();
            self.tasks.spawn(async move {
                Brought { streams: fold::load(&mut store, known).await, ids, overtaken: HashSet::new() }
            });
        }
    }

    /// Another process appended to a stream.
    pub(super) fn overtake(&mut self, id: &StreamId) {
        if let Some(overtaken) = self.under_way.get_mut(id) {
            *overtaken = true;
        }
    }

    /// Nobody knows to which streams others appended.
    pub(super) fn overtake_all(&mut self) {
        self.under_way.values_mut().for_each(|overtaken| *overtaken = true);
    }

    /// The next load that comes back. Pending for ever when there is none.
    pub(super) async fn next(&mut self) -> Result<Brought, JoinError> {
        match self.tasks.join_next().await {
            Some(mut brought) => {
                if let Ok(brought) = &mut brought {
                    let overtaken = brought.ids.iter().filter(|id| self.under_way.remove(id) == Some(true));
                    brought.overtaken = overtaken.cloned().collect();
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
