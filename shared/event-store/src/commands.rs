//! Finding what became of commands, and forgetting it when the window is over.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use crate::batch::Unchanged;
use crate::event::{StoredEvent, event_columns, unsigned};

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

const FIND_COMMANDS: &str = "SELECT command_id, content_hash, event_count, stream_id, version, position, standing
     FROM commands WHERE command_id = ANY ($1)";

/// `LIMIT` says what the planner cannot know: that a command's events are few and follow each other. Joined by a range
/// of positions, it would rather read the whole log.
const FIND_EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM commands CROSS JOIN LATERAL (
         SELECT * FROM events WHERE events.position > commands.position - commands.event_count
         ORDER BY events.position LIMIT commands.event_count
     ) AS e
     WHERE commands.command_id = ANY ($1)"
);

/// Those of the commands that the log knows, each once.
pub(crate) async fn find_commands(
    connection: &mut PgConnection,
    command_ids: &[Uuid],
) -> Result<Vec<StoredCommand>, sqlx::Error> {
    let rows = sqlx::query(FIND_COMMANDS).bind(command_ids).fetch_all(&mut *connection).await?;
    let mut commands = rows.iter().map(command).collect::<Result<Vec<_>, _>>()?;
    if commands.iter().any(|command| matches!(command.outcome, Outcome::Appended(_))) {
        let mut events: HashMap<Uuid, Vec<StoredEvent>> = HashMap::new();
        for row in sqlx::query(FIND_EVENTS).bind(command_ids).fetch_all(connection).await? {
            let event = StoredEvent::from_row(&row)?;
            events.entry(event.command_id).or_default().push(event);
        }
        for command in &mut commands {
            if let Outcome::Appended(own) = &mut command.outcome {
                own.extend(events.remove(&command.command_id).unwrap_or_default());
                own.sort_by_key(|event| event.position);
            }
        }
    }
    Ok(commands)
}

/// A command; its events are still to come.
fn command(row: &PgRow) -> Result<StoredCommand, sqlx::Error> {
    let outcome = match row.try_get::<i32, _>(2)? {
        0 => Outcome::Unchanged(Unchanged {
            stream_id: row.try_get(3)?,
            version: unsigned(row, 4)?,
            position: unsigned(row, 5)?,
            standing: row.try_get(6)?,
        }),
        _ => Outcome::Appended(Vec::new()),
    };
    Ok(StoredCommand { command_id: row.try_get(0)?, content_hash: row.try_get(1)?, outcome })
}

/// Forgets the oldest commands that are older than the window, those of at most so many positions. Gives how many positions it went
/// through; 0: there is nothing left to forget, or somebody else is at it.
pub(crate) async fn prune(
    connection: &mut PgConnection,
    window: Duration,
    positions_max: u32,
) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT prune_commands(clock_timestamp() - $1, $2)")
        .bind(window)
        .bind(i64::from(positions_max))
        .fetch_one(connection)
        .await?;
    unsigned(&row, 0)
}
