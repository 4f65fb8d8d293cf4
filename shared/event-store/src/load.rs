//! Loading streams.

use std::collections::HashMap;

use futures::TryStreamExt;
use sqlx::{FromRow, PgConnection};

use crate::event::{StoredEvent, StoredStream, event_columns, unsigned};

const LOAD: &str = concat!("SELECT ", event_columns!(), " FROM events AS e WHERE e.stream_id = ANY ($1)");

/// A scalar subquery, so that it is one probe of the index for each stream.
const VERSIONS: &str = "
    SELECT coalesce((
        SELECT e.version FROM events AS e WHERE e.stream_id = asked.stream_id ORDER BY e.version DESC LIMIT 1
    ), 0)
    FROM unnest($1) WITH ORDINALITY AS asked (stream_id, place) ORDER BY asked.place";

/// The streams, each once, in the order asked for. Those that do not exist come back empty.
pub(crate) async fn load(
    connection: &mut PgConnection,
    stream_ids: &[String],
) -> Result<Vec<StoredStream>, sqlx::Error> {
    let mut streams: Vec<StoredStream> = Vec::with_capacity(stream_ids.len());
    let mut index_of: HashMap<&str, usize> = HashMap::with_capacity(stream_ids.len());
    for stream_id in stream_ids {
        index_of.entry(stream_id).or_insert_with(|| {
            streams.push(StoredStream {
                stream_id: stream_id.clone(),
                version: 0,
                last_position: 0,
                events: Vec::new(),
            });
            streams.len() - 1
        });
    }

    let mut rows = sqlx::query(LOAD).bind(stream_ids).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let event = StoredEvent::from_row(&row)?;
        if let Some(&index) = index_of.get(event.stream_id.as_str()) {
            streams[index].events.push(event);
        }
    }

    for stream in &mut streams {
        // They come in order, as the index has them, but nothing promises it; and a sort in Postgres would spill a long
        // stream to disk.
        stream.events.sort_by_key(|event| event.version);
        if let Some(last) = stream.events.last() {
            stream.version = last.version;
            stream.last_position = last.position;
        }
    }
    Ok(streams)
}

/// The versions of the streams, in the order asked for; 0 for one that does not exist.
pub(crate) async fn versions(connection: &mut PgConnection, stream_ids: &[String]) -> Result<Vec<u64>, sqlx::Error> {
    let rows = sqlx::query(VERSIONS).bind(stream_ids).fetch_all(connection).await?;
    rows.iter().map(|row| unsigned(row, 0)).collect()
}
