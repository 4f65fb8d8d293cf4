//! The reading side of a log: the tail.

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::{AppendOptions, ReadOptions, ReadRole, Sessions};
use crate::error::Error;
use crate::event::{StoredEvent, event_columns, signed, unsigned};
use crate::log_name::LogName;

const READ_AFTER: &str =
    concat!("SELECT ", event_columns!(), " FROM events AS e WHERE e.position > $1 ORDER BY e.position LIMIT $2");

/// Reads a log by position, with a role that can do nothing else to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadStore {
    pub(crate) sessions: Arc<Sessions>,
}

impl ReadStore {
    /// Prepares the store. Postgres is first called when it is first needed.
    pub async fn connect(database_url: &str, log: &LogName, options: ReadOptions) -> Result<Self, Error> {
        let limits = AppendOptions {
            connections_max: options.connections_max,
            acquire_timeout: options.acquire_timeout,
            statement_timeout: options.statement_timeout,
            ..AppendOptions::default()
        };
        let role = match options.role {
            ReadRole::Read => log.read_role(),
            ReadRole::Tail => log.tail_role(),
        };
        let sessions = Sessions::new(database_url, log, &role, &limits)?;
        Ok(Self { sessions: Arc::new(sessions) })
    }

    /// The identity of the log, made when it was migrated first.
    pub async fn log_id(&self) -> Result<Uuid, Error> {
        Ok(self.sessions.run(|connection| Box::pin(log_id(connection))).await?)
    }

    /// The events after a position, by position, at most `limit`.
    pub async fn read_after(&self, position: u64, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        let position = signed(position)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = READ_AFTER;
        #[cfg(feature = "planted-faults")]
        let statement = crate::planted::read_after(statement);
        let read = sqlx::query_as(statement).bind(position).bind(limit);
        Ok(self.sessions.run(move |connection| Box::pin(read.fetch_all(connection))).await?)
    }

    /// The position of the last event, 0 when there is none.
    pub async fn head(&self) -> Result<u64, Error> {
        Ok(self.sessions.run(|connection| Box::pin(head(connection))).await?)
    }

    /// Whether Postgres answers and the log is there.
    pub async fn ping(&self) -> Result<(), Error> {
        self.head().await.map(drop)
    }
}

pub(crate) async fn log_id(connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("SELECT log_id FROM log_head ORDER BY singleton DESC LIMIT 1").fetch_one(connection).await
}

/// From the events and not the head row, which leaves a dead version behind with each append.
pub(crate) async fn head(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT coalesce(max(position), 0) FROM events").fetch_one(connection).await?;
    unsigned(&row, 0)
}
