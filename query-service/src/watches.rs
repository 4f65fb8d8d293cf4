//! Views that are watched. However many watch, one sweeper a projection listens to its bell and reads each watched view once.
//!
//! A bell tells a position and not which views changed, so at each ring all watched views are read and compared. What that costs Redis is
//! bounded by a rest after each sweep that is a multiple of what the sweep took: with a few views it is next to nothing, with thousands
//! changes are told some tenths of a second later. Rings during a sweep or a rest are one sweep more, and a lost ring is made good by
//! sweeping from time to time while anybody watches.
//!
//! Nothing is lost between the first look of a watch and the sweeps: the watch is entered before that look, so what changes afterwards is
//! seen by a sweep that finds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tally_read_model::{Bell, Error, Found, ReadModel};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Views that are read with one command.
const VIEWS_PER_READ_MAX: usize = 256;
/// How many times as long as a sweep took the sweeper rests afterwards …
const REST_FACTOR: u32 = 9;
/// … and how long at the most.
const REST_MAX: Duration = Duration::from_secs(1);

/// All watched views of one projection.
pub(crate) struct Watches {
    shared: Arc<Shared>,
    _sweeper: AbortOnDropHandle<()>,
    _bells: Vec<AbortOnDropHandle<()>>,
}

struct Shared {
    projection: &'static str,
    model: ReadModel,
    watched: Mutex<HashMap<String, Watched>>,
    begun: Notify,
    /// One of the shards' bells rang.
    rung: Notify,
}

struct Watched {
    seen: watch::Sender<Seen>,
    watchers: usize,
}

/// A view as it was seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The position that it holds as of.
    pub(crate) position: u64,
    /// The view; None where there is none, or nobody has looked yet.
    pub(crate) value: Option<Bytes>,
    /// Whether the last look found it so: otherwise the read model can't be read, or is behind what it was, for this view or any other.
    pub(crate) is_confirmed: bool,
    /// The position of the first event that the view lacks because it could not be projected.
    pub(crate) parked: Option<u64>,
}

/// One who watches a view; dropped, nothing of it is left.
pub(crate) struct WatchedView {
    shared: Arc<Shared>,
    key: String,
    /// Told of every change of the view's value.
    pub(crate) seen: watch::Receiver<Seen>,
}

impl Watches {
    /// Begins to listen to the bells of the projection's shards; Redis may be away.
    pub(crate) fn new(model: &ReadModel, projection: &'static str, poll_interval: Duration) -> Self {
        let shared = Arc::new(Shared {
            projection,
            model: model.clone(),
            watched: Mutex::default(),
            begun: Notify::new(),
            rung: Notify::new(),
        });
        let bells = model.units(projection).map(|unit| {
            let bell = model.subscribe(unit);
            AbortOnDropHandle::new(tokio::spawn(carry(bell, Arc::clone(&shared))))
        });
        let bells = bells.collect();
        let sweeper = tokio::spawn(sweep_for_ever(Arc::clone(&shared), poll_interval));
        Self { shared, _sweeper: AbortOnDropHandle::new(sweeper), _bells: bells }
    }

    /// Watches a view from now on.
    pub(crate) fn watch(&self, key: &str) -> WatchedView {
        let mut watched = self.shared.lock();
        let entry =
            watched.entry(key.to_owned()).or_insert_with(|| Watched { seen: watch::Sender::default(), watchers: 0 });
        entry.watchers += 1;
        let seen = entry.seen.subscribe();
        drop(watched);
        self.shared.begun.notify_one();
        WatchedView { shared: Arc::clone(&self.shared), key: key.to_owned(), seen }
    }
}

impl Drop for WatchedView {
    fn drop(&mut self) {
        let mut watched = self.shared.lock();
        if let Some(entry) = watched.get_mut(&self.key) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                watched.remove(&self.key);
            }
        }
    }
}

impl Shared {
    async fn sweep(&self) {
        let keys: Vec<String> = self.lock().keys().cloned().collect();
        for keys in keys.chunks(VIEWS_PER_READ_MAX) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found = self.model.get_many(self.projection, &keys).await;
            let watched = self.lock();
            keys.into_iter().zip(found).for_each(|(key, found)| tell(&watched, key, found));
        }
    }

    async fn somebody_watches(&self) {
        while self.lock().is_empty() {
            self.begun.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(watched: &HashMap<String, Watched>, key: &str, found: Result<Found, Error>) {
    // Nobody watches it any more, perhaps.
    if let Some(watched) = watched.get(key) {
        watched.seen.send_if_modified(|seen| seen.take_in(found));
    }
}

impl Seen {
    /// Whether the value is another one now. A read model that went back is not told of: until it is where it was, what was seen stands.
    fn take_in(&mut self, found: Result<Found, Error>) -> bool {
        match found {
            Ok(found) if found.position >= self.position => {
                let is_changed = found.value != self.value;
                let Found { position, value, may_be_stale, parked } = found;
                *self = Self { position, value, is_confirmed: !may_be_stale, parked };
                is_changed
            }
            // The readiness probe says so once.
            Ok(_) | Err(_) => {
                self.is_confirmed = false;
                false
            }
        }
    }
}

async fn sweep_for_ever(shared: Arc<Shared>, poll_interval: Duration) {
    let mut swept_at = Instant::now();
    loop {
        shared.somebody_watches().await;
        tokio::select! {
            () = shared.rung.notified() => {}
            () = sleep_until(swept_at + poll_interval) => {}
        }
        let began = Instant::now();
        shared.sweep().await;
        swept_at = Instant::now();
        sleep((began.elapsed() * REST_FACTOR).min(REST_MAX)).await;
    }
}

/// Until it falls silent for good; there is still polling then.
async fn carry(mut bell: Bell, shared: Arc<Shared>) {
    while bell.next().await.is_some() {
        shared.rung.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(position: u64, value: &'static str) -> Result<Found, Error> {
        let value = Some(Bytes::from_static(value.as_bytes()));
        Ok(Found { position, value, may_be_stale: false, parked: None })
    }

    #[test]
    fn only_another_value_is_a_change() {
        let mut seen = Seen::default();
        assert!(seen.take_in(found(3, "a")));
        assert!(!seen.take_in(found(4, "a")));
        assert!(seen.take_in(found(5, "b")));
        assert_eq!((seen.position, seen.is_confirmed), (5, true));
    }

    #[test]
    fn a_read_model_that_goes_back_changes_nothing_until_it_is_where_it_was() {
        let mut seen = Seen::default();
        seen.take_in(found(5, "b"));
        assert!(!seen.take_in(found(3, "a")));
        assert_eq!((seen.position, seen.value.as_deref(), seen.is_confirmed), (5, Some(b"b".as_slice()), false));
        assert!(!seen.take_in(Err(Error::ForeignLog)));
        assert!(!seen.is_confirmed);
        assert!(!seen.take_in(found(5, "b")));
        assert!(seen.is_confirmed);
    }

    #[test]
    fn a_read_model_that_is_behind_what_others_were_answered_confirms_nothing() {
        let mut seen = Seen::default();
        assert!(seen.take_in(found(5, "b").map(|found| Found { may_be_stale: true, ..found })));
        assert_eq!((seen.position, seen.value.as_deref(), seen.is_confirmed), (5, Some(b"b".as_slice()), false));
        assert!(!seen.take_in(found(6, "b")));
        assert!(seen.is_confirmed);
    }

    #[tokio::test]
    async fn who_stops_watching_leaves_nothing_behind() {
        let model = ReadModel::connect("redis://127.0.0.1:1/", "main", Default::default()).expect("settings");
        let watches = Watches::new(&model, "p", Duration::from_secs(60));
        let (one, other) = (watches.watch("a"), watches.watch("a"));
        drop(one);
        assert_eq!(watches.shared.lock().len(), 1);
        drop(other);
        assert_eq!(watches.shared.lock().len(), 0);
    }
}
