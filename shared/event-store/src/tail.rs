//! The reading side of a log: the tail.

use std::sync::Arc;

use uuid::Uuid;

use crate::connection::{AppendOptions, ReadOptions, Sessions};
use crate::error::Error;
use crate::event::StoredEvent;
use crate::log_name::LogName;

/// Reads a log by position, with a role that can do nothing else. Cheap to clone.
#[derive(Clone)]
pub struct ReadStore {
    sessions: Arc<Sessions>,
}

impl ReadStore {
    /// Prepares the store. Postgres is first called when it is first needed.
    pub async fn connect(database_url: &str, log: &LogName, options: ReadOptions) -> Result<Self, Error> {
        let limits = AppendOptions {
            connections_max: options.connections_max,
            acquire_timeout: options.acquire_timeout,
            statement_timeout: options.statement_timeout,
        };
        let sessions = Sessions::new(database_url, log, &log.read_role(), &limits)?;
        Ok(Self { sessions: Arc::new(sessions) })
    }

    /// The identity of the log, made when it was migrated first.
    pub async fn log_id(&self) -> Result<Uuid, Error> {
        todo!()
    }

    /// The events after a position, by position, at most `limit`.
    pub async fn read_after(&self, position: u64, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        let _ = (position, limit);
        todo!()
    }

    /// The position of the last event, 0 when there is none.
    pub async fn head(&self) -> Result<u64, Error> {
        todo!()
    }

    /// Whether Postgres answers and the log is there.
    pub async fn ping(&self) -> Result<(), Error> {
        self.log_id().await.map(drop)
    }
}
