//! The writing side of a log.

use std::sync::Arc;

use uuid::Uuid;

use crate::append::{self, Appended};
use crate::batch::Batch;
use crate::commands::{self, StoredCommand};
use crate::connection::{AppendOptions, Sessions};
use crate::error::Error;
use crate::event::StoredStream;
use crate::exclusive::ExclusiveAppend;
use crate::load;
use crate::log_name::LogName;
use crate::tail::log_id;

/// Appends to a log, and reads what a decision needs. Cheap to clone.
#[derive(Clone, Debug)]
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
        Ok(self.sessions.run(|connection| Box::pin(log_id(connection))).await?)
    }

    /// Appends a batch in one commit, or nothing of it.
    ///
    /// Once polled, the append goes on even if the future is dropped.
    pub async fn append(&self, batch: Batch) -> Result<Appended, append::Error> {
        let append =
            self.sessions.run(move |connection| Box::pin(async move { append::append(connection, &batch).await }));
        Ok(append.await?)
    }

    /// Takes the head of the log for itself, so that nothing can come between reading, deciding and appending.
    ///
    /// It has a connection of its own, which is closed when it is dropped; that lets go of the head.
    pub async fn begin_exclusive(&self) -> Result<ExclusiveAppend, Error> {
        Ok(ExclusiveAppend::begin(Arc::clone(&self.sessions)).await?)
    }

    /// The streams, each once, in the order asked for. Those that do not exist come back empty.
    pub async fn load(&self, stream_ids: &[String]) -> Result<Vec<StoredStream>, Error> {
        let stream_ids = stream_ids.to_vec();
        let load =
            self.sessions.run(move |connection| Box::pin(async move { load::load(connection, &stream_ids).await }));
        Ok(load.await?)
    }

    /// The versions of the streams, in the order asked for; 0 for one that does not exist.
    pub async fn versions(&self, stream_ids: &[String]) -> Result<Vec<u64>, Error> {
        let stream_ids = stream_ids.to_vec();
        let versions =
            self.sessions.run(move |connection| Box::pin(async move { load::versions(connection, &stream_ids).await }));
        Ok(versions.await?)
    }

    /// Those of the commands that the log knows, each once, in no order.
    pub async fn find_commands(&self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        let command_ids = command_ids.to_vec();
        let find = self
            .sessions
            .run(move |connection| Box::pin(async move { commands::find_commands(connection, &command_ids).await }));
        Ok(find.await?)
    }

    /// Whether Postgres answers and the log is there.
    pub async fn ping(&self) -> Result<(), Error> {
        self.log_id().await.map(drop)
    }
}
