//! Loading streams, whole or from a version on.

use std::fmt;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::event::{signed, unsigned};

/// A stream, and up to which version the asker knows it: 0 for not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStream {
    /// The stream, e.g. `order-…`.
    pub stream_id: String,
    /// The version after which its events are wanted.
    pub version: u64,
    /// Whether a snapshot may stand for events.
    pub snapshot: bool,
}

/// What the asker did not know of a stream: one page of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredStream {
    /// The state to begin with instead of what is known; then come the events after it.
    pub snapshot: Option<StoredSnapshot>,
    /// Its further events by version.
    pub events: Vec<LoadedEvent>,
    /// There may be more after these.
    pub more: bool,
}

/// An event, as far as a state needs it.
#[derive(Clone, PartialEq)]
pub struct LoadedEvent {
    /// The event's number in its stream.
    pub version: u64,
    /// The event's place in the log.
    pub position: u64,
    /// The stored name of the event's type.
    pub event_type: String,
    /// The event's fields, as JSON.
    pub payload: String,
}

/// A state of a stream, kept so that the events before need not be read.
#[derive(Clone, PartialEq)]
pub struct StoredSnapshot {
    /// The version of the last event in it.
    pub version: u64,
    /// The position of that event.
    pub position: u64,
    /// As whoever took it wrote it.
    pub state: String,
}

/// Who knows a stream is better served with as many events as this than with a new state.
const EVENTS_BEFORE_SNAPSHOT: i64 = 4096;

/// Only where its last event is the one that the log has there: a snapshot of another history is none.
const SNAPSHOTS: &str = "
    SELECT asked.place, snapshots.version, snapshots.position, snapshots.state
    FROM unnest($1, $2) WITH ORDINALITY AS asked (stream_id, version, place)
    JOIN snapshots ON snapshots.stream_id = asked.stream_id AND snapshots.format = $3
    WHERE (asked.version = 0 OR snapshots.version > asked.version + $4) AND (
        SELECT events.stream_id = snapshots.stream_id AND events.version = snapshots.version
        FROM events WHERE events.position = snapshots.position
    )";

/// `LIMIT` keeps it one range of the index for each stream, too.
const EVENTS: &str = "
    SELECT asked.place, e.version, e.position, e.event_type, e.payload
    FROM unnest($1, $2) WITH ORDINALITY AS asked (stream_id, version, place)
    CROSS JOIN LATERAL (
        SELECT events.version, events.position, events.event_type, events.payload FROM events
        WHERE events.stream_id = asked.stream_id AND events.version > asked.version
        ORDER BY events.version LIMIT $3
    ) AS e";

/// A scalar subquery, so that it is one probe of the index for each stream.
const VERSIONS: &str = "
    SELECT coalesce((
        SELECT e.version FROM events AS e WHERE e.stream_id = asked.stream_id ORDER BY e.version DESC LIMIT 1
    ), 0)
    FROM unnest($1) WITH ORDINALITY AS asked (stream_id, place) ORDER BY asked.place";

/// What is not known of the streams yet, in the order asked for; of each stream as many events as one page of `events_max` has for it.
pub(crate) async fn load(
    connection: &mut PgConnection,
    snapshot_format: i32,
    known: &[KnownStream],
    events_max: usize,
) -> Result<Vec<StoredStream>, sqlx::Error> {
    let events_max = (events_max / known.len().max(1)).max(1);
    let stream_ids: Vec<&str> = known.iter().map(|known| known.stream_id.as_str()).collect();
    let mut versions = known.iter().map(|known| signed(known.version)).collect::<Result<Vec<i64>, _>>()?;
    let mut streams = vec![StoredStream::default(); known.len()];

    let snapshots = sqlx::query(SNAPSHOTS).bind(&stream_ids).bind(&versions).bind(snapshot_format);
    for row in snapshots.bind(EVENTS_BEFORE_SNAPSHOT).fetch_all(&mut *connection).await? {
        let index = place(&row)?;
        if !known[index].snapshot {
            continue;
        }
        let snapshot =
            StoredSnapshot { version: unsigned(&row, 1)?, position: unsigned(&row, 2)?, state: row.try_get(3)? };
        versions[index] = signed(snapshot.version)?;
        streams[index].snapshot = Some(snapshot);
    }
    let events = sqlx::query(EVENTS).bind(&stream_ids).bind(&versions).bind(signed(events_max as u64)?);
    for row in events.fetch_all(connection).await? {
        streams[place(&row)?].events.push(LoadedEvent {
            version: unsigned(&row, 1)?,
            position: unsigned(&row, 2)?,
            event_type: row.try_get(3)?,
            payload: row.try_get(4)?,
        });
    }
    for stream in &mut streams {
        stream.more = stream.events.len() == events_max;
    }
    Ok(streams)
}

/// The versions of the streams, in the order asked for; 0 for one that does not exist.
pub(crate) async fn versions(connection: &mut PgConnection, stream_ids: &[String]) -> Result<Vec<u64>, sqlx::Error> {
    let rows = sqlx::query(VERSIONS).bind(stream_ids).fetch_all(connection).await?;
    rows.iter().map(|row| unsigned(row, 0)).collect()
}

/// Which of those asked for a row is about.
fn place(row: &PgRow) -> Result<usize, sqlx::Error> {
    let place = usize::try_from(unsigned(row, 0)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(place.saturating_sub(1))
}

impl fmt::Debug for LoadedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedEvent")
            .field("version", &self.version)
            .field("position", &self.position)
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSnapshot")
            .field("version", &self.version)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
