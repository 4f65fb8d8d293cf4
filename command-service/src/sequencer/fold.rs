//! From what is stored of streams to their states, page by page. Done where it holds up no other command: a stream may have a million
//! events.

use tally_domain::{Event, Snapshot, StoredEventError, StreamId, StreamState};
use tally_event_store::{AppendStore, Error, ExclusiveAppend, KnownStream, LoadedEvent, StoredSnapshot, StoredStream};

use super::Failure;
use super::hold::failure;

/// Events in one page, over all streams that are loaded together.
const PAGE_EVENTS_MAX: usize = 16_384;
/// Who lacks more events than this of a stream begins it anew, and need not keep them all.
const EVENTS_MAX: usize = 16_384;

/// An event and where it is.
#[derive(Debug)]
pub(super) struct PlacedEvent {
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) event: Event,
}

/// What loading a stream brought.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The stream, whole.
    State(Box<Whole>),
    /// What came after the version that is known.
    Events(Vec<PlacedEvent>),
}

/// A stream from its beginning to its last event.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) state: StreamState,
    pub(super) version: u64,
    pub(super) position: u64,
    /// Of the snapshot that it was made from; 0 where there was none.
    pub(super) snapshot_version: u64,
}

/// Each stream with what was loaded of it, or with why it can't be read.
pub(super) type LoadedStreams = Vec<(StreamId, Result<Loaded, StoredEventError>)>;

/// Where streams come from.
pub(super) trait Pages {
    /// The next page of each.
    async fn load(&mut self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error>;
}

impl Pages for AppendStore {
    async fn load(&mut self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error> {
        AppendStore::load(self, known, events_max).await
    }
}

impl Pages for ExclusiveAppend {
    async fn load(&mut self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error> {
        ExclusiveAppend::load(self, known, events_max).await
    }
}

/// Loads streams from the versions on that are known, 0 for not at all. Each comes with what was loaded, or with why it can't be read.
pub(super) async fn load(pages: &mut impl Pages, known: Vec<(StreamId, u64)>) -> Result<LoadedStreams, Failure> {
    let mut rest: Vec<Loading> = known.into_iter().map(|(id, version)| Loading::new(id, version)).collect();
    let mut done = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let known = rest.iter().map(Loading::known).collect();
        let page = pages.load(known, PAGE_EVENTS_MAX).await.map_err(|error| failure(&error))?;
        // Folding thousands of events is no work for a thread that serves others.
        let folded = tokio::task::spawn_blocking(move || {
            rest.into_iter().zip(page).map(|(loading, page)| loading.fold(page)).collect::<Vec<_>>()
        });
        rest = Vec::new();
        for progress in folded.await.map_err(|error| {
            tracing::error!(%error, "a load was lost in a panic");
            Failure::Internal
        })? {
            match progress {
                Progress::Done(id, loaded) => done.push((id, loaded)),
                Progress::Goes(loading) => rest.push(loading),
            }
        }
    }
    Ok(done)
}

/// A stream that is being loaded.
struct Loading {
    id: StreamId,
    /// The last version that is here.
    version: u64,
    /// Whether a snapshot may stand for events.
    snapshot: bool,
    loaded: Loaded,
}

enum Progress {
    Done(StreamId, Result<Loaded, StoredEventError>),
    Goes(Loading),
}

impl Loading {
    fn new(id: StreamId, version: u64) -> Self {
        let loaded = if version == 0 { Loaded::nothing(&id) } else { Loaded::Events(Vec::new()) };
        Self { id, version, snapshot: true, loaded }
    }

    fn known(&self) -> KnownStream {
        KnownStream { stream_id: self.id.to_string(), version: self.version, snapshot: self.snapshot }
    }

    fn fold(mut self, page: StoredStream) -> Progress {
        if let Some(StoredSnapshot { version, position, state }) = page.snapshot {
            let Ok(snapshot) = serde_json::from_str::<Snapshot>(&state) else {
                tracing::warn!(stream = %self.id, "a snapshot can't be read; all events are read instead");
                self.snapshot = false;
                return Progress::Goes(self);
            };
            let state = StreamState::from_snapshot(snapshot);
            self.loaded = Loaded::State(Box::new(Whole { state, version, position, snapshot_version: version }));
            self.version = version;
        }
        let more = page.more;
        for event in page.events {
            if let Err(error) = self.take(event) {
                return Progress::Done(self.id, Err(error));
            }
        }
        match &self.loaded {
            Loaded::Events(events) if events.len() > EVENTS_MAX => Progress::Goes(Self::new(self.id, 0)),
            Loaded::Events(_) | Loaded::State(_) if more => Progress::Goes(self),
            Loaded::Events(_) | Loaded::State(_) => Progress::Done(self.id, Ok(self.loaded)),
        }
    }

    fn take(&mut self, event: LoadedEvent) -> Result<(), StoredEventError> {
        let LoadedEvent { version: at, position: place, event_type, payload } = event;
        let event = Event::from_stored(&event_type, &payload)?;
        self.version = at;
        match &mut self.loaded {
            Loaded::State(whole) => {
                whole.state.evolve(&event);
                (whole.version, whole.position) = (at, place);
            }
            Loaded::Events(events) => events.push(PlacedEvent { version: at, position: place, event }),
        }
        Ok(())
    }
}

impl Loaded {
    fn nothing(id: &StreamId) -> Self {
        Self::State(Box::new(Whole { state: StreamState::empty(id), version: 0, position: 0, snapshot_version: 0 }))
    }
}
