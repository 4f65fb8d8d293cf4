//! The writing side of a log.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::append::{self, Appended, Fitted};
use crate::batch::{Basis, Batch};
use crate::commands::{self, StoredCommand};
use crate::connection::{AppendOptions, Sessions};
use crate::error::Error;
use crate::exclusive::ExclusiveAppend;
use crate::load::{self, KnownStream, StoredStream};
use crate::log_name::LogName;
use crate::snapshots::{self, NewSnapshot};
use crate::tail::{head, log_id};

/// Appends to a log, and reads what a decision needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppendStore {
    sessions: Arc<Sessions>,
    snapshot_format: i32,
}

impl AppendStore {
    /// Prepares the store. Postgres is first called when it is first needed.
    pub async fn connect(database_url: &str, log: &LogName, options: AppendOptions) -> Result<Self, Error> {
        let sessions = Sessions::new(database_url, log, &log.append_role(), &options)?;
        Ok(Self { sessions: Arc::new(sessions), snapshot_format: options.snapshot_format })
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

    /// Appends what of a batch still fits, in one commit, and tells what others appended since `seen`; above `news_max` events it is a
    /// conflict. `basis`: all streams that the batch was decided on.
    ///
    /// Once polled, the append goes on even if the future is dropped.
    pub async fn append_fitting(
        &self,
        batch: Batch,
        basis: Vec<Basis>,
        seen: u64,
        news_max: u64,
    ) -> Result<Fitted, append::Error> {
        let append = self.sessions.run(move |connection| {
            Box::pin(async move { append::append_fitting(connection, &batch, &basis, seen, news_max).await })
        });
        Ok(append.await?)
    }

    /// Takes the head of the log for itself, so that nothing can come between reading, deciding and appending. Tells what was appended since
    /// `seen`, unless that is more than `news_max` events.
    ///
    /// It has a session of its own, which is closed when it is dropped before the append; that lets go of the head.
    pub async fn begin_exclusive(&self, seen: u64, news_max: u64) -> Result<ExclusiveAppend, Error> {
        Ok(ExclusiveAppend::begin(Arc::clone(&self.sessions), self.snapshot_format, seen, news_max).await?)
    }

    /// What the asker does not know of the streams yet, in the order asked for. Of those that do not exist, nothing. A page of
    /// `events_max` events has room for as many of each stream; [`StoredStream::more`] says of which there may be more.
    pub async fn load(&self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error> {
        let format = self.snapshot_format;
        let load = self
            .sessions
            .run(move |connection| Box::pin(async move { load::load(connection, format, &known, events_max).await }));
        Ok(load.await?)
    }

    /// Keeps snapshots that are newer than those that are there; each stream at most once. A cache: to lose them costs time only.
    pub async fn save_snapshots(&self, snapshots: Vec<NewSnapshot>) -> Result<(), Error> {
        let format = self.snapshot_format;
        let save = self
            .sessions
            .run(move |connection| Box::pin(async move { snapshots::save(connection, format, &snapshots).await }));
        Ok(save.await?)
    }

    /// Forgets the oldest commands that are older than `window`, by the database's clock: those of at most `positions_max` positions.
    /// Gives how many positions it went through; 0: nothing is left to forget, or somebody else is at it.
    pub async fn prune_commands(&self, window: Duration, positions_max: u32) -> Result<u64, Error> {
        let prune = self.sessions.run(move |connection| Box::pin(commands::prune(connection, window, positions_max)));
        Ok(prune.await?)
    }

    /// The position of the log's last event, 0 when there is none.
    pub async fn head(&self) -> Result<u64, Error> {
        Ok(self.sessions.run(|connection| Box::pin(head(connection))).await?)
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

    /// Whether Postgres answers and the log is there, as far migrated as this program needs it.
    pub async fn ping(&self) -> Result<(), Error> {
        let newest = "SELECT to_regproc('append_fitting') IS NOT NULL FROM log_head ORDER BY singleton DESC LIMIT 1";
        let ask =
            self.sessions.run(move |connection| Box::pin(sqlx::query_scalar::<_, bool>(newest).fetch_one(connection)));
        match ask.await? {
            true => Ok(()),
            false => Err(Error::refused("the log has to be migrated first")),
        }
    }
}
