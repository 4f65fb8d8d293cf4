//! A migrated log in a database of its own, and short ways to say what is appended.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tally_event_store::{
    AppendOptions, AppendStore, Appended, Batch, Guard, KnownStream, LogName, Metadata, NewCommand, NewEvent,
    ReadOptions, ReadStore, StoredEvent, Unchanged, migrate,
};
use tally_servers::fresh_database;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Far longer than anything here takes, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Log {
    pub(crate) url: String,
    pub(crate) name: LogName,
    pub(crate) append: AppendStore,
    pub(crate) read: ReadStore,
}

impl Log {
    pub(crate) async fn fresh() -> Result<Self> {
        Self::at(fresh_database().await, LogName::default()).await
    }

    pub(crate) async fn at(url: String, name: LogName) -> Result<Self> {
        migrate(&url, &name).await?;
        let append = AppendStore::connect(&url, &name, append_options()).await?;
        let read = ReadStore::connect(&url, &name, ReadOptions { acquire_timeout: DEADLINE, ..Default::default() });
        Ok(Self { read: read.await?, url, name, append })
    }

    /// A session with all rights, as an operator has it.
    pub(crate) async fn owner(&self) -> Result<PgConnection> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let path = format!("SET search_path = {}", self.name.schema());
        sqlx::raw_sql(sqlx::AssertSqlSafe(path)).execute(&mut connection).await?;
        Ok(connection)
    }

    pub(crate) async fn events(&self) -> Result<Vec<StoredEvent>> {
        Ok(self.read.read_after(0, usize::MAX).await?)
    }

    /// Appends one command with these events.
    pub(crate) async fn given(&self, events: &[(&str, u64)]) -> Result<Appended> {
        Ok(self.append.append(batch([command(events)])).await?)
    }
}

/// Patient: tests of time-outs set their own.
pub(crate) fn append_options() -> AppendOptions {
    AppendOptions { connections_max: 16, acquire_timeout: DEADLINE, statement_timeout: DEADLINE, ..Default::default() }
}

/// A page that has room for all that tests append.
pub(crate) const EVENTS_MAX: usize = 100_000;

/// Streams, and up to which version they are known.
pub(crate) fn known<const N: usize>(streams: [(&str, u64); N]) -> Vec<KnownStream> {
    streams
        .into_iter()
        .map(|(stream_id, version)| KnownStream { stream_id: stream_id.to_owned(), version, snapshot: true })
        .collect()
}

pub(crate) fn event(stream_id: &str, version: u64) -> NewEvent {
    NewEvent {
        stream_id: stream_id.to_owned(),
        version,
        event_type: "Tested",
        payload: json!({ "stream": stream_id, "version": version }).to_string(),
    }
}

/// A command with a new id.
pub(crate) fn command(events: &[(&str, u64)]) -> NewCommand {
    NewCommand {
        command_id: Uuid::new_v4(),
        content_hash: [7; 32],
        metadata: Metadata { actor: Some("tester".to_owned()), ..Metadata::default() },
        events: events.iter().map(|(stream_id, version)| event(stream_id, *version)).collect(),
        unchanged: None,
    }
}

/// A command with a new id that changed nothing.
pub(crate) fn unchanged(stream_id: &str, version: u64) -> NewCommand {
    let unchanged = Unchanged {
        stream_id: stream_id.to_owned(),
        version,
        position: 0,
        standing: json!([{ "held": stream_id }]).to_string(),
    };
    NewCommand { unchanged: Some(unchanged), ..command(&[]) }
}

pub(crate) fn batch<const N: usize>(commands: [NewCommand; N]) -> Batch {
    Batch { commands: commands.into(), guards: Vec::new() }
}

pub(crate) fn guarded(commands: impl Into<Vec<NewCommand>>, guards: &[(&str, u64)]) -> Batch {
    let guard = |(stream_id, version): &(&str, u64)| Guard { stream_id: (*stream_id).to_owned(), version: *version };
    Batch { commands: commands.into(), guards: guards.iter().map(guard).collect() }
}

/// Positions are 1, 2, 3 …, and so are the versions in each stream.
pub(crate) fn ensure_contiguous(events: &[StoredEvent]) -> Result<()> {
    let mut versions = std::collections::HashMap::new();
    for (index, event) in events.iter().enumerate() {
        ensure!(event.position == index as u64 + 1, "a hole before {event:?}");
        let version = versions.entry(&event.stream_id).or_insert(0);
        *version += 1;
        ensure!(event.version == *version, "a gap before {event:?}");
    }
    Ok(())
}

/// Asks until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = Result<bool>>>(what: &str, mut ask: impl FnMut() -> F) -> Result<()> {
    let began = Instant::now();
    while !ask().await? {
        ensure!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
