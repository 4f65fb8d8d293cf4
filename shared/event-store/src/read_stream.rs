//! One stream, page by page, for those who want to look at it rather than decide on it.

use sqlx::PgConnection;

use crate::error::Error;
use crate::event::{StoredEvent, event_columns, signed};
use crate::tail::{ReadStore, head};

/// Which way a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The oldest first.
    Forwards,
    /// The newest first.
    Backwards,
}

/// Some events of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPage {
    /// In the order in which they were asked for.
    pub events: Vec<StoredEvent>,
    /// Whether the stream has any event at all.
    pub exists: bool,
    /// Where the log ended just before: every event of the stream up to there that was asked for is in the page, if it has room.
    pub head: u64,
}

const FORWARDS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events AS e WHERE e.stream_id = $1 AND e.version >= $2 ORDER BY e.version LIMIT $3"
);
const BACKWARDS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events AS e WHERE e.stream_id = $1 AND e.version <= $2 ORDER BY e.version DESC LIMIT $3"
);
/// Versions have no holes, so a stream that has any event has this one.
const EXISTS: &str = "SELECT EXISTS (SELECT FROM events AS e WHERE e.stream_id = $1 AND e.version = 1)";

impl ReadStore {
    /// A stream's events from a version on (that one included), at most `limit`. None: from its beginning, or its end when going backwards.
    pub async fn read_stream(
        &self,
        stream_id: &str,
        direction: Direction,
        from_version: Option<u64>,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        let stream_id = stream_id.to_owned();
        let (statement, default) = match direction {
            Direction::Forwards => (FORWARDS, 1),
            Direction::Backwards => (BACKWARDS, i64::MAX),
        };
        let from_version = from_version.map(signed).transpose()?.unwrap_or(default);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let page = self.sessions.run(move |connection| {
            Box::pin(async move {
                // First, so that it is no later than what is read.
                let head = head(connection).await?;
                let events: Vec<StoredEvent> = sqlx::query_as(statement)
                    .bind(&stream_id)
                    .bind(from_version)
                    .bind(limit)
                    .fetch_all(&mut *connection)
                    .await?;
                let exists = !events.is_empty() || exists(connection, &stream_id).await?;
                Ok(StreamPage { events, exists, head })
            })
        });
        Ok(page.await?)
    }
}

async fn exists(connection: &mut PgConnection, stream_id: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(EXISTS).bind(stream_id).fetch_one(connection).await
}
