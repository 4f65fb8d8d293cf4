//! The writing side of a log.

use std::sync::Arc;

use uuid::Uuid;

use crate::append::{self, Appended};
use crate::batch::Batch;
use crate::commands::StoredCommand;
use crate::connection::{AppendOptions, Sessions};
use crate::error::Error;
use crate::event::StoredStream;
use crate::exclusive::ExclusiveAppend;
use crate::log_name::LogName;

/// Appends to a log, and reads what a decision needs. Cheap to clone.
#[derive(Clone)]
pub struct AppendStore {
    sessions: Arc<Sessions>,
}

impl AppendStore {
    /// Prepares the store. Postgres is first called when it is first needed.
    pub async fn connect(database_url: &str, log: &LogName, options: AppendOptions) -> Result<Self, Error> {
        let sessions = Sessions::new(database_url, log, &log.append_role(), &options)?;
        Ok(Self { sessions: Arc::new(sessions) })
    }

    /// The identity of the log, made when it was migrated first.
    pub async fn log_id(&self) -> Result<Uuid, Error> {
        todo!()
    }

    /// Appends a batch in one commit, or nothing of it.
    ///
    /// Once polled, the append goes on even if the future is dropped.
    pub async fn append(&self, batch: Batch) -> Result<Appended, append::Error> {
        let _ = batch;
        todo!()
    }

    /// Takes the head of the log for itself, so that nothing can come between reading, deciding and appending.
    pub async fn begin_exclusive(&self) -> Result<ExclusiveAppend, Error> {
        todo!()
    }

    /// The streams, each once, in the order asked for. Those that do not exist come back empty.
    pub async fn load(&self, stream_ids: &[String]) -> Result<Vec<StoredStream>, Error> {
        let _ = stream_ids;
        todo!()
    }

    /// Those of the commands that the log knows, with their outcome.
    pub async fn find_commands(&self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        let _ = command_ids;
        todo!()
    }

    /// Whether Postgres answers and the log is there.
    pub async fn ping(&self) -> Result<(), Error> {
        self.log_id().await.map(drop)
    }
}
