//! Appending with the head row held from before the first read.
//!
//! For who appends beside others: with the head held nobody can append, so what is read stays true until the commit and the
//! attempt cannot lose. It is a transaction with several statements, the very thing that must never be left open
//! in a pooled session, so its session goes back only after the commit. Dropping it closes the session, and the server rolls back; a
//! server that does not notice does so after `idle_in_transaction_session_timeout`.

use std::fmt;
use std::sync::Arc;

use sqlx::{Executor, Row};
use uuid::Uuid;

use crate::append::{self, Appended};
use crate::batch::Batch;
use crate::commands::{self, StoredCommand};
use crate::connection::{ExclusiveSession, Sessions, in_own_task};
use crate::error::Error;
use crate::event::{signed, unsigned};
use crate::load::{self, KnownStream, LoadedEvent, StoredStream};

/// The head of the log, held: nobody else appends until this appends or is dropped.
pub struct ExclusiveAppend {
    exclusive: ExclusiveSession,
    sessions: Arc<Sessions>,
    snapshot_format: i32,
    head: u64,
}

const READ_AFTER: &str = "SELECT stream_id, version, position, event_type, payload FROM events
     WHERE position > $1 ORDER BY position";

impl ExclusiveAppend {
    pub(crate) async fn begin(sessions: Arc<Sessions>, snapshot_format: i32) -> Result<Self, sqlx::Error> {
        let mut exclusive = sessions.acquire_exclusive().await?;
        let lock = exclusive.connection().fetch_one("BEGIN; SELECT lock_head()");
        let head = unsigned(&sessions.answer(lock).await?, 0)?;
        Ok(Self { exclusive, sessions, snapshot_format, head })
    }

    /// The position of the log's last event.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// All events after a position with their streams, by position.
    pub async fn read_after(&mut self, position: u64) -> Result<Vec<(String, LoadedEvent)>, Error> {
        let read = sqlx::query(READ_AFTER).bind(signed(position)?).fetch_all(self.exclusive.connection());
        let rows = self.sessions.answer(read).await?;
        let events = rows.iter().map(|row| {
            let event = LoadedEvent {
                version: unsigned(row, 1)?,
                position: unsigned(row, 2)?,
                event_type: row.try_get(3)?,
                payload: row.try_get(4)?,
            };
            Ok((row.try_get(0)?, event))
        });
        Ok(events.collect::<Result<_, sqlx::Error>>()?)
    }

    /// As [`AppendStore::load`](crate::AppendStore::load); what is read stays true until the append.
    pub async fn load(&mut self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error> {
        let load = load::load(self.exclusive.connection(), self.snapshot_format, &known, events_max);
        Ok(self.sessions.answer(load).await?)
    }

    /// As [`AppendStore::find_commands`](crate::AppendStore::find_commands).
    pub async fn find_commands(&mut self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        let find = commands::find_commands(self.exclusive.connection(), command_ids);
        Ok(self.sessions.answer(find).await?)
    }

    /// Appends and commits. Once polled it goes on even if the future is dropped.
    pub async fn append(self, batch: Batch) -> Result<Appended, append::Error> {
        let Self { mut exclusive, sessions, .. } = self;
        let append = in_own_task(async move {
            let appended = sessions.answer(append::append(exclusive.connection(), &batch)).await?;
            sessions.answer(exclusive.connection().execute("COMMIT")).await?;
            sessions.put_back_exclusive(exclusive);
            Ok(appended)
        });
        Ok(append.await?)
    }
}

impl fmt::Debug for ExclusiveAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveAppend").field("head", &self.head).finish_non_exhaustive()
    }
}
