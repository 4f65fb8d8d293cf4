//! The state of streams as this process knows it, committed or not, bounded in bytes.

use lru::LruCache;
use tally_domain::{Event, States, StoredEventError, StreamId, StreamState};
use tally_event_store::StoredStream;

/// What an entry costs beside its state.
const ENTRY_BYTES: usize = 160;

#[derive(Debug)]
struct Entry {
    state: StreamState,
    version: u64,
    /// Where its last committed event is; 0 for none.
    position: u64,
    /// Events applied and not committed yet. Such an entry is not evicted: it can't be loaded.
    uncommitted: usize,
    bytes: usize,
}

/// Streams by id, the least recently used evicted first.
#[derive(Debug)]
pub(super) struct StateCache {
    entries: LruCache<StreamId, Entry>,
    bytes: usize,
    bytes_max: usize,
}

impl StateCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, bytes_max }
    }

    /// Takes in what is stored.
    pub(super) fn insert_stored(&mut self, id: &StreamId, stream: StoredStream) -> Result<(), StoredEventError> {
        let mut state = StreamState::empty(id);
        for event in stream.events {
            state.evolve(&Event::from_stored(&event.event_type, event.payload)?);
        }
        let (version, position) = (stream.version, stream.last_position);
        self.insert(id.clone(), Entry { state, version, position, uncommitted: 0, bytes: 0 });
        Ok(())
    }

    /// Takes a stream to be empty that isn't loaded; the append finds out if it is not.
    pub(super) fn presume_empty(&mut self, id: &StreamId) {
        if !self.entries.contains(id) {
            let state = StreamState::empty(id);
            self.insert(id.clone(), Entry { state, version: 0, position: 0, uncommitted: 0, bytes: 0 });
        }
    }

    fn insert(&mut self, id: StreamId, mut entry: Entry) {
        entry.bytes = ENTRY_BYTES + entry.state.footprint();
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.put(id, entry) {
            self.bytes -= replaced.bytes;
        }
    }

    /// Applies a new event and gives the version that it has.
    pub(super) fn apply(&mut self, id: &StreamId, event: &Event) -> u64 {
        self.presume_empty(id);
        let Some(entry) = self.entries.get_mut(id) else { return 0 };
        entry.state.evolve(event);
        entry.version += 1;
        entry.uncommitted += 1;
        let bytes = ENTRY_BYTES + entry.state.footprint();
        self.bytes = self.bytes + bytes - entry.bytes;
        entry.bytes = bytes;
        entry.version
    }

    /// One of the applied events is stored, at this position.
    pub(super) fn committed(&mut self, id: &StreamId, position: u64) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.uncommitted = entry.uncommitted.saturating_sub(1);
            entry.position = entry.position.max(position);
        }
    }

    /// The version of a stream, with what isn't committed yet; 0 for none.
    pub(super) fn version(&self, id: &StreamId) -> u64 {
        self.entries.peek(id).map_or(0, |entry| entry.version)
    }

    /// The position of a stream's last committed event; 0 for none.
    pub(super) fn position(&self, id: &StreamId) -> u64 {
        self.entries.peek(id).map_or(0, |entry| entry.position)
    }

    /// Drops what is known of a stream, events not committed included.
    pub(super) fn forget(&mut self, id: &StreamId) {
        if let Some(entry) = self.entries.pop(id) {
            self.bytes -= entry.bytes;
        }
    }

    /// Drops what is known of a stream unless events of ours are on their way to it.
    pub(super) fn forget_committed(&mut self, id: &StreamId) {
        if self.entries.peek(id).is_some_and(|entry| entry.uncommitted == 0) {
            self.forget(id);
        }
    }

    /// Takes over all that another cache knows.
    pub(super) fn absorb(&mut self, other: StateCache) {
        for (id, entry) in other.entries {
            self.insert(id, entry);
        }
    }

    /// Makes room, if room is needed. Stops at the first entry that can't go: those behind it were used even later.
    pub(super) fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            match self.entries.peek_lru() {
                Some((_, entry)) if entry.uncommitted == 0 => {
                    if let Some((_, entry)) = self.entries.pop_lru() {
                        self.bytes -= entry.bytes;
                    }
                }
                Some(_) | None => return,
            }
        }
    }

    /// Marks a stream as used.
    pub(super) fn touch(&mut self, id: &StreamId) {
        self.entries.promote(id);
    }
}

impl States for StateCache {
    fn get(&self, id: &StreamId) -> Option<&StreamState> {
        self.entries.peek(id).map(|entry| &entry.state)
    }
}
