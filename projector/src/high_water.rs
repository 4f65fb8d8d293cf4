//! How far each unit's views were seen to come, kept in Postgres: what Redis lost while no projector looked is known to the next one from there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tally_event_store::{Error, Reached, ReadStore};
use tally_read_model::{BuildId, Unit};
use tokio::time::sleep;
use tonic::async_trait;
use uuid::Uuid;

use crate::retry::Failure;
use crate::stores::HighWater;

/// How often what is new is written down, all of it with one statement. So much of what was seen may be forgotten when a projector dies.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// The high-water marks of all units that this process works at.
pub(crate) struct HighWaterMarks {
    store: ReadStore,
    log_id: Uuid,
    shards: u16,
    unwritten: Mutex<BTreeMap<Unit, (BuildId, u64)>>,
    /// Held by who writes: who comes then waits for that, too.
    writing: tokio::sync::Mutex<()>,
}

impl HighWaterMarks {
    /// Of a read model of so many shards that is made from the log with this identity.
    pub(crate) fn new(store: ReadStore, log_id: Uuid, shards: u16) -> Self {
        Self { store, log_id, shards, unwritten: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Writes down what is new, for ever. While Postgres is away the newest is kept.
    pub(crate) async fn run(&self) -> std::convert::Infallible {
        loop {
            sleep(WRITE_EVERY).await;
            if let Err(error) = self.write().await {
                tracing::debug!(%error, "how far the views have come is not written down yet");
            }
        }
    }

    /// Writes down what is new.
    pub(crate) async fn write(&self) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        let marks = std::mem::take(&mut *self.lock());
        let reached = marks.iter().map(|(unit, (build, position))| Reached {
            projection: unit.projection.to_owned(),
            shard: unit.shard,
            build: build.to_string(),
            position: *position,
        });
        let reached: Vec<Reached> = reached.collect();
        if reached.is_empty() {
            return Ok(());
        }
        let written = self.store.note_reached(self.log_id, self.shards, &reached).await;
        if written.is_err() {
            let mut unwritten = self.lock();
            marks.into_iter().for_each(|(unit, mark)| _ = unwritten.entry(unit).or_insert(mark));
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Unit, (BuildId, u64)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HighWater for HighWaterMarks {
    async fn mark(&self, unit: Unit) -> Result<Option<(BuildId, u64)>, Failure> {
        // This process may itself have been the last at the unit: a lease ends under it, and it gets it again.
        self.write().await?;
        let reached = self.store.reached(unit.projection, unit.shard, self.shards).await?;
        // Another version of the program may give builds other names.
        Ok(reached.and_then(|it| Some((it.build.parse().ok()?, it.position))))
    }

    fn reached(&self, unit: Unit, build: BuildId, position: u64) {
        self.lock().insert(unit, (build, position));
    }
}

#[cfg(test)]
mod tests {
    use tally_event_store::{LogName, ReadOptions, ReadRole, migrate};
    use tally_servers::{fresh_database, unique_log_name};

    use super::*;

    #[tokio::test]
    async fn what_was_reached_a_moment_ago_is_known_before_anything_wrote_it_down() {
        let (url, log): (_, LogName) = (fresh_database().await, unique_log_name().parse().unwrap());
        migrate(&url, &log).await.unwrap();
        let options = ReadOptions { role: ReadRole::Tail, ..ReadOptions::default() };
        let store = ReadStore::connect(&url, &log, options).await.unwrap();
        let log_id = store.log_id().await.unwrap();
        let (marks, unit) = (HighWaterMarks::new(store, log_id, 1), Unit { projection: "order", shard: 0 });
        assert_eq!(marks.mark(unit).await.unwrap(), None);
        let reached = (BuildId { generation: 1, repair: 0 }, 0);
        marks.reached(unit, reached.0, reached.1);
        assert_eq!(marks.mark(unit).await.unwrap(), Some(reached));
    }
}
