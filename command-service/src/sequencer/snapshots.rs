//! Writing snapshots, off the way of commands. A cache: one that is dropped here costs a later load some time, and the next one comes.

use std::collections::HashMap;

use tally_domain::{Snapshot, StreamId};
use tally_event_store::{AppendStore, NewSnapshot};
use tokio::sync::mpsc;

/// Snapshots that wait to be written; further ones are dropped.
const WAITING_MAX: usize = 64;
/// Snapshots written together.
const SAVED_TOGETHER_MAX: usize = 16;

/// A snapshot whose last event is committed.
#[derive(Debug)]
pub(super) struct DueSnapshot {
    pub(super) stream: StreamId,
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) snapshot: Snapshot,
}

/// The way to the task that writes them, which ends with it.
#[derive(Debug)]
pub(super) struct Snapshots(mpsc::Sender<DueSnapshot>);

impl Snapshots {
    pub(super) fn start(store: AppendStore) -> Self {
        let (due, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(store, waiting));
        Self(due)
    }

    pub(super) fn write(&self, due: DueSnapshot) {
        if self.0.try_send(due).is_err() {
            tracing::debug!("a snapshot is not written: too many wait");
        }
    }
}

async fn write(store: AppendStore, mut waiting: mpsc::Receiver<DueSnapshot>) {
    let mut due = Vec::with_capacity(SAVED_TOGETHER_MAX);
    while waiting.recv_many(&mut due, SAVED_TOGETHER_MAX).await > 0 {
        // Of two of one stream the later is the newer.
        let newest: HashMap<StreamId, DueSnapshot> = due.drain(..).map(|due| (due.stream.clone(), due)).collect();
        // A large state takes a while to write down.
        let encoded = tokio::task::spawn_blocking(move || newest.into_values().filter_map(encode).collect());
        let saved = match encoded.await {
            Ok(snapshots) => store.save_snapshots(snapshots).await,
            Err(error) => return tracing::error!(%error, "the writing of snapshots ended in a panic"),
        };
        if let Err(error) = saved {
            tracing::debug!(%error, "snapshots were not written");
        }
    }
}

fn encode(DueSnapshot { stream, version, position, snapshot }: DueSnapshot) -> Option<NewSnapshot> {
    let state = serde_json::to_string(&snapshot)
        .inspect_err(|error| tracing::error!(%error, %stream, "a snapshot can't be encoded"))
        .ok()?;
    Some(NewSnapshot { stream_id: stream.to_string(), version, position, state })
}
