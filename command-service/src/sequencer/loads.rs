//! Loading cold streams without holding up commands on warm ones.

use std::collections::{BTreeSet, HashSet};

use tally_domain::StreamId;
use tally_event_store::{AppendStore, Error, StoredStream};
use tokio::task::{JoinError, JoinSet};

/// Loads under way at once; what is wanted meanwhile goes together into the next one.
const LOADS_MAX: usize = 2;
/// Streams in one load.
const STREAMS_PER_LOAD_MAX: usize = 512;

/// What a load brought.
pub(super) struct Loaded {
    pub(super) ids: Vec<StreamId>,
    pub(super) streams: Result<Vec<StoredStream>, Error>,
}

/// Streams that are wanted, and loads under way.
#[derive(Default)]
pub(super) struct Loads {
    wanted: BTreeSet<StreamId>,
    under_way: HashSet<StreamId>,
    tasks: JoinSet<Loaded>,
}

impl Loads {
    /// Asks for streams; those asked for already aren't asked for twice. Whether any was new.
    pub(super) fn want(&mut self, ids: Vec<StreamId>) -> bool {
        let before = self.wanted.len();
        self.wanted.extend(ids.into_iter().filter(|id| !self.under_way.contains(id)));
        self.wanted.len() > before
    }

    /// Starts what may be started.
    pub(super) fn start(&mut self, store: &AppendStore) {
        while !self.wanted.is_empty() && self.tasks.len() < LOADS_MAX {
            let mut ids = Vec::new();
            while ids.len() < STREAMS_PER_LOAD_MAX
                && let Some(id) = self.wanted.pop_first()
            {
                ids.push(id);
            }
            self.under_way.extend(ids.iter().cloned());
            let store = store.clone();
            self.tasks.spawn(async move {
                let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
                Loaded { streams: store.load(&names).await, ids }
            });
        }
    }

    /// The next load that comes back. Pending for ever when there is none.
    pub(super) async fn next(&mut self) -> Result<Loaded, JoinError> {
        match self.tasks.join_next().await {
            Some(loaded) => {
                if let Ok(loaded) = &loaded {
                    for id in &loaded.ids {
                        self.under_way.remove(id);
                    }
                }
                loaded
            }
            None => std::future::pending().await,
        }
    }

    /// Drops all that is wanted or under way: what comes back may be older than what was appended since it was asked for.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
