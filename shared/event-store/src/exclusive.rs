//! Appending with the head row held from before the first read.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::append::{self, Appended};
use crate::batch::Batch;
use crate::commands::StoredCommand;
use crate::error::Error;
use crate::event::StoredStream;

/// The head of the log, held: nobody else appends until this appends or is dropped.
pub struct ExclusiveAppend {
    connection: PgConnection,
}

impl ExclusiveAppend {
    /// As [`AppendStore::load`](crate::AppendStore::load); what is read stays true until the append.
    pub async fn load(&mut self, stream_ids: &[String]) -> Result<Vec<StoredStream>, Error> {
        let _ = stream_ids;
        todo!()
    }

    /// As [`AppendStore::find_commands`](crate::AppendStore::find_commands).
    pub async fn find_commands(&mut self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        let _ = command_ids;
        todo!()
    }

    /// Appends and commits.
    pub async fn append(self, batch: Batch) -> Result<Appended, append::Error> {
        let _ = batch;
        todo!()
    }
}
