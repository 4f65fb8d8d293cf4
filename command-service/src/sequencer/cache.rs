//! The state of streams as this process knows it, committed or not, bounded in bytes.

use std::collections::VecDeque;

use lru::LruCache;
use tally_domain::{Event, Snapshot, States, StreamId, StreamState, Undo};

use super::fold::{Loaded, PlacedEvent, Whole};
use super::snapshots::DueSnapshot;

/// What an entry costs beside its state.
const ENTRY_BYTES: usize = 240;
/// Events after which a snapshot is worth its writing, where the state is small. Of a large one, as many as it has parts, so that a
/// snapshot costs each event about the same.
const SNAPSHOT_EVENTS_MIN: u64 = 128;

/// Rounds for which what was used stays: a batch is decided while another is under way, and is under way itself for a round.
const ROUNDS_KEPT: u64 = 2;

#[derive(Debug)]
struct Entry {
    state: StreamState,
    /// With what isn't committed yet.
    version: u64,
    /// Where its last committed event is; 0 for none.
    position: u64,
    /// What takes back each event that isn't committed yet, the oldest first. With any, the entry is not evicted: it can't be loaded.
    uncommitted: VecDeque<Undo>,
    /// Nobody has looked whether the stream exists.
    presumed: bool,
    /// Up to date as far as this process can know, if it is the cache's.
    freshness: u64,
    /// The cache's round in which it was used last.
    used: u64,
    /// The version of the newest snapshot, taken or asked for.
    snapshot_version: u64,
    /// Waits until its last event is committed.
    snapshot: Option<(u64, Snapshot)>,
    bytes: usize,
}

/// Streams by id, the least recently used evicted first. What the last batches used stays, however large it is: a stream that is larger than
/// the limit would be loaded again for each batch otherwise.
#[derive(Debug)]
pub(super) struct StateCache {
    entries: LruCache<StreamId, Entry>,
    bytes: usize,
    bytes_max: usize,
    freshness: u64,
    /// Counts the batches that came back, and loads while no batch is under way.
    round: u64,
    due: Vec<DueSnapshot>,
}

impl StateCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, bytes_max, freshness: 1, round: 1, due: Vec::new() }
    }

    /// Takes in what was loaded. `fresh`: nothing can have happened since that only a catch-up would have told.
    pub(super) fn take_in(&mut self, id: &StreamId, loaded: Loaded, fresh: bool) {
        let freshness = if fresh { self.freshness } else { 0 };
        match loaded {
            Loaded::State(whole) => {
                let Whole { state, version, position, snapshot_version } = *whole;
                if self.entries.peek(id).is_some_and(|entry| entry.version > version || !entry.uncommitted.is_empty()) {
                    return;
                }
                let entry = Entry { freshness, snapshot_version, ..Entry::new(state, version, position) };
                self.insert(id.clone(), entry);
            }
            Loaded::Events(events) => {
                for PlacedEvent { version, position, event } in events {
                    self.catch_up(id, version, position, || Some(event));
                }
                if let Some(entry) = self.entries.get_mut(id)
                    && entry.uncommitted.is_empty()
                {
                    entry.freshness = freshness.max(entry.freshness);
                }
            }
        }
    }

    /// Takes in an event that another process appended, if its stream is here. Whoever can't follow is no longer up to date.
    pub(super) fn catch_up(
        &mut self,
        id: &StreamId,
        version: u64,
        position: u64,
        event: impl FnOnce() -> Option<Event>,
    ) {
        let Some(entry) = self.entries.peek_mut(id) else { return };
        if version <= entry.version {
            return;
        }
        match (version == entry.version + 1 && entry.uncommitted.is_empty()).then(event).flatten() {
            Some(event) => {
                entry.state.evolve(&event);
                entry.version = version;
                entry.position = position;
                self.bytes = self.bytes + entry.weigh() - entry.bytes;
                entry.bytes = entry.weigh();
            }
            None => entry.freshness = 0,
        }
    }

    /// From now on nothing is up to date.
    pub(super) fn distrust_all(&mut self) {
        self.freshness += 1;
    }

    /// From now on this stream is not up to date.
    pub(super) fn distrust(&mut self, id: &StreamId) {
        if let Some(entry) = self.entries.peek_mut(id) {
            entry.freshness = 0;
        }
    }

    /// Takes a stream to be empty that isn't loaded; the append finds out if it is not.
    pub(super) fn presume_empty(&mut self, id: &StreamId) {
        let entry = Entry { presumed: true, freshness: self.freshness, ..Entry::new(StreamState::empty(id), 0, 0) };
        self.insert(id.clone(), entry);
    }

    fn insert(&mut self, id: StreamId, mut entry: Entry) {
        entry.bytes = entry.weigh();
        entry.used = self.round;
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.put(id, entry) {
            self.bytes -= replaced.bytes;
        }
    }

    /// Applies a new event and gives the version that it has.
    pub(super) fn apply(&mut self, id: &StreamId, event: &Event) -> u64 {
        let Some(entry) = self.entries.get_mut(id) else { return 0 };
        entry.uncommitted.push_back(entry.state.evolve(event));
        entry.version += 1;
        let parts = entry.state.snapshot_weight() as u64;
        if parts > 0
            && entry.version - entry.snapshot_version >= parts.max(SNAPSHOT_EVENTS_MIN)
            && entry.snapshot.is_none()
        {
            entry.snapshot = entry.state.to_snapshot().map(|snapshot| (entry.version, snapshot));
        }
        self.bytes = self.bytes + entry.weigh() - entry.bytes;
        entry.bytes = entry.weigh();
        entry.version
    }

    /// The oldest of the stream's events that aren't committed is, at this position.
    pub(super) fn committed(&mut self, id: &StreamId, position: u64) {
        let Some(entry) = self.entries.peek_mut(id) else { return };
        entry.uncommitted.pop_front();
        entry.position = position;
        entry.presumed = false;
        let version = entry.version - entry.uncommitted.len() as u64;
        if let Some((_, snapshot)) = entry.snapshot.take_if(|(at, _)| *at == version) {
            entry.snapshot_version = version;
            self.due.push(DueSnapshot { stream: id.clone(), version, position, snapshot });
        }
    }

    /// Takes the stream's newest event back.
    pub(super) fn undo(&mut self, id: &StreamId) {
        let Some(entry) = self.entries.peek_mut(id) else { return };
        let Some(undo) = entry.uncommitted.pop_back() else { return };
        entry.state.undo(undo);
        entry.version -= 1;
        entry.snapshot.take_if(|(at, _)| *at > entry.version);
        self.bytes = self.bytes + entry.weigh() - entry.bytes;
        entry.bytes = entry.weigh();
        if entry.presumed && entry.version == 0 {
            self.bytes -= entry.bytes;
            self.entries.pop(id);
        }
    }

    /// Snapshots whose last event is committed by now.
    pub(super) fn due_snapshots(&mut self) -> Vec<DueSnapshot> {
        std::mem::take(&mut self.due)
    }

    /// Whether anything is known of a stream, up to date or not.
    pub(super) fn contains(&self, id: &StreamId) -> bool {
        self.entries.contains(id)
    }

    /// The version of a stream, with what isn't committed yet; 0 for none.
    pub(super) fn version(&self, id: &StreamId) -> u64 {
        self.entries.peek(id).map_or(0, |entry| entry.version)
    }

    /// The version of a stream without what isn't committed yet; 0 for none.
    pub(super) fn committed_version(&self, id: &StreamId) -> u64 {
        self.entries.peek(id).map_or(0, |entry| entry.version - entry.uncommitted.len() as u64)
    }

    /// The position of a stream's last committed event; 0 for none.
    pub(super) fn position(&self, id: &StreamId) -> u64 {
        self.entries.peek(id).map_or(0, |entry| entry.position)
    }

    /// The position of a stream's last event; none while that isn't committed.
    pub(super) fn settled_position(&self, id: &StreamId) -> Option<u64> {
        self.entries.peek(id).filter(|entry| entry.uncommitted.is_empty()).map(|entry| entry.position)
    }

    /// A batch came back.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Makes room, if room is needed. Stops at the first entry that can't go: those behind it were used even later.
    pub(super) fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            match self.entries.peek_lru() {
                Some((_, entry)) if entry.uncommitted.is_empty() && entry.used + ROUNDS_KEPT < self.round => {
                    if let Some((_, entry)) = self.entries.pop_lru() {
                        self.bytes -= entry.bytes;
                    }
                }
                Some(_) | None => return,
            }
        }
    }

    /// How many streams there are, and the bytes that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Marks a stream as used.
    pub(super) fn touch(&mut self, id: &StreamId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.used = self.round;
        }
    }
}

impl Entry {
    fn new(state: StreamState, version: u64, position: u64) -> Self {
        Self {
            state,
            version,
            position,
            uncommitted: VecDeque::new(),
            presumed: false,
            freshness: 0,
            used: 0,
            snapshot_version: 0,
            snapshot: None,
            bytes: 0,
        }
    }

    fn weigh(&self) -> usize {
        ENTRY_BYTES + self.state.footprint() + self.uncommitted.len() * size_of::<Undo>()
    }
}

impl States for StateCache {
    fn get(&self, id: &StreamId) -> Option<&StreamState> {
        self.entries.peek(id).filter(|entry| entry.freshness == self.freshness).map(|entry| &entry.state)
    }
}

#[cfg(test)]
mod tests {
    use tally_domain::product;

    use super::*;

    /// More than an empty product takes, and less than two.
    const STREAM_BYTES: usize = 480;

    fn id(number: usize) -> StreamId {
        StreamId::Product(format!("SKU-{number}"))
    }

    fn batch_of(id: &StreamId, batch_ref: &str) -> Event {
        let (StreamId::Product(sku) | StreamId::Order(sku) | StreamId::Batch(sku)) = id;
        let (batch_ref, sku) = (batch_ref.to_owned(), sku.clone());
        Event::Product(product::Event::BatchCreated { batch_ref, sku, quantity: 1, eta: None })
    }

    fn load(cache: &mut StateCache, id: &StreamId) {
        let state = StreamState::empty(id);
        let whole = Whole { state, version: 1, position: 1, snapshot_version: 0 };
        cache.take_in(id, Loaded::State(Box::new(whole)), true);
    }

    /// As many rounds as make all that was used before old.
    fn next_batches(cache: &mut StateCache) {
        for _ in 0..=ROUNDS_KEPT {
            cache.begin_round();
        }
    }

    #[test]
    fn there_are_no_more_bytes_than_the_limit_and_the_least_recently_used_go_first() {
        let mut cache = StateCache::new(10 * STREAM_BYTES);
        for number in 0..1_000 {
            load(&mut cache, &id(number));
            cache.touch(&id(0));
            next_batches(&mut cache);
            cache.evict();
            let (streams, bytes) = cache.size();
            assert!(bytes <= 10 * STREAM_BYTES && streams >= (number + 1).min(9), "{streams} streams, {bytes} bytes");
        }
        assert!(
            cache.contains(&id(0)) && cache.contains(&id(999)) && !cache.contains(&id(1)) && !cache.contains(&id(900))
        );
    }

    /// It would be loaded for each batch again.
    #[test]
    fn what_the_last_batches_used_stays_however_large_it_is() {
        let mut cache = StateCache::new(10 * STREAM_BYTES);
        let large = id(0);
        load(&mut cache, &large);
        for number in 0..1_000 {
            cache.apply(&large, &batch_of(&large, &format!("batch-{number}")));
            cache.committed(&large, number);
        }
        assert!(cache.size().1 > 20 * STREAM_BYTES);
        for number in 1..100 {
            load(&mut cache, &id(number));
            cache.touch(&large);
            cache.begin_round();
            cache.evict();
            assert!(cache.contains(&large));
            assert!(cache.size().0 <= 4, "{} streams beside one above the limit", cache.size().0);
        }
        next_batches(&mut cache);
        cache.evict();
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn what_is_not_committed_stays() {
        let mut cache = StateCache::new(STREAM_BYTES);
        load(&mut cache, &id(0));
        cache.apply(&id(0), &batch_of(&id(0), "batch"));
        for number in 1..10 {
            load(&mut cache, &id(number));
        }
        next_batches(&mut cache);
        cache.evict();
        assert!(cache.contains(&id(0)));
        cache.committed(&id(0), 2);
        cache.evict();
        assert!(!cache.contains(&id(0)));
    }
}
