//! Appending with the head row held from before the first read.
//!
//! For who has lost a race: with the head held nobody can append, so what is read stays true until the commit and the
//! next attempt cannot lose. It is a transaction with several statements, the very thing that must never be left open
//! in a pooled connection, so it has a connection of its own. Dropping it closes that, and the server rolls back; a server
//! that does not notice does so after `idle_in_transaction_session_timeout`.

use std::sync::Arc;

use sqlx::Executor;
use uuid::Uuid;

use crate::append::{self, Appended};
use crate::batch::Batch;
use crate::commands::{self, StoredCommand};
use crate::connection::{ExclusiveConnection, Sessions, in_own_task};
use crate::error::Error;
use crate::event::StoredStream;
use crate::load;

/// The head of the log, held: nobody else appends until this appends or is dropped.
#[derive(Debug)]
pub struct ExclusiveAppend {
    exclusive: ExclusiveConnection,
    sessions: Arc<Sessions>,
}

impl ExclusiveAppend {
    pub(crate) async fn begin(sessions: Arc<Sessions>) -> Result<Self, sqlx::Error> {
        let mut exclusive = sessions.open_exclusive().await?;
        sessions.answer(exclusive.connection.execute("BEGIN; SELECT lock_head()")).await?;
        Ok(Self { exclusive, sessions })
    }

    /// As [`AppendStore::load`](crate::AppendStore::load); what is read stays true until the append.
    pub async fn load(&mut self, stream_ids: &[String]) -> Result<Vec<StoredStream>, Error> {
        Ok(self.sessions.answer(load::load(&mut self.exclusive.connection, stream_ids)).await?)
    }

    /// As [`AppendStore::find_commands`](crate::AppendStore::find_commands).
    pub async fn find_commands(&mut self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        Ok(self.sessions.answer(commands::find_commands(&mut self.exclusive.connection, command_ids)).await?)
    }

    /// Appends and commits. Once polled it goes on even if the future is dropped.
    pub async fn append(self, batch: Batch) -> Result<Appended, append::Error> {
        let Self { mut exclusive, sessions } = self;
        let append = in_own_task(async move {
            let appended = sessions.answer(append::append(&mut exclusive.connection, &batch)).await?;
            sessions.answer(exclusive.connection.execute("COMMIT")).await?;
            Ok(appended)
        });
        Ok(append.await?)
    }
}
