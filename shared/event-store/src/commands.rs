//! Finding what became of commands.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use crate::batch::Unchanged;
use crate::event::{EVENT_COLUMNS, StoredEvent, event_columns, unsigned};

/// A command that the log knows.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCommand {
    /// The idempotency key.
    pub command_id: Uuid,
    /// What tells a repetition from another command under the same id.
    pub content_hash: [u8; 32],
    /// What it did.
    pub outcome: Outcome,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its events, in order; at least one.
    Appended(Vec<StoredEvent>),
    /// Nothing, and what was said then.
    Unchanged(Unchanged),
}

/// `LIMIT` says what the planner cannot know: that a command's events are few and follow each other. Joined by a range
/// of positions, it would rather read the whole log.
const FIND_APPENDED: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", first.content_hash
     FROM events AS first
     CROSS JOIN LATERAL (
         SELECT * FROM events WHERE events.position >= first.position
         ORDER BY events.position LIMIT first.command_events
     ) AS e
     WHERE first.command_id = ANY ($1) AND first.command_events IS NOT NULL"
);

const FIND_UNCHANGED: &str = "SELECT command_id, content_hash, stream_id, version, position, standing
     FROM unchanged_commands WHERE command_id = ANY ($1)";

/// Those of the commands that the log knows, each once.
pub(crate) async fn find_commands(
    connection: &mut PgConnection,
    command_ids: &[Uuid],
) -> Result<Vec<StoredCommand>, sqlx::Error> {
    let mut found: HashMap<Uuid, ([u8; 32], Vec<StoredEvent>)> = HashMap::new();
    let rows = sqlx::query(FIND_APPENDED).bind(command_ids).fetch_all(&mut *connection).await?;
    for row in rows {
        let event = StoredEvent::from_row(&row)?;
        let content_hash = row.try_get(EVENT_COLUMNS)?;
        found.entry(event.command_id).or_insert_with(|| (content_hash, Vec::new())).1.push(event);
    }

    let mut commands = Vec::with_capacity(command_ids.len());
    for (command_id, (content_hash, mut events)) in found {
        events.sort_by_key(|event| event.position);
        commands.push(StoredCommand { command_id, content_hash, outcome: Outcome::Appended(events) });
    }

    let rows = sqlx::query(FIND_UNCHANGED).bind(command_ids).fetch_all(connection).await?;
    for row in rows {
        commands.push(unchanged(&row)?);
    }
    Ok(commands)
}

fn unchanged(row: &PgRow) -> Result<StoredCommand, sqlx::Error> {
    Ok(StoredCommand {
        command_id: row.try_get(0)?,
        content_hash: row.try_get(1)?,
        outcome: Outcome::Unchanged(Unchanged {
            stream_id: row.try_get(2)?,
            version: unsigned(row, 3)?,
            position: unsigned(row, 4)?,
            standing: row.try_get::<Json<_>, _>(5)?.0,
        }),
    })
}
