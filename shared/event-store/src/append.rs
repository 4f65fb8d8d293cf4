//! The appending statement.
//!
//! Three hazards, and what keeps each away:
//!
//! - *Holes and disorder.* Positions come from the one row of `log_head`, locked first, inside the appending
//!   statement. Its row lock makes the order of positions the order of commits, and a rollback gives positions back.
//!   A sequence does neither.
//! - *A half-open transaction.* A future dropped around `BEGIN` can leave one in a pooled connection, into which the
//!   next acknowledged insert falls and is lost (sqlx up to 0.9.0). So this is one statement with no `BEGIN`, run in a
//!   task of its own that no caller can cancel: once polled, an append goes on whatever becomes of its caller.
//! - *A gap in a stream.* Uniqueness of `(stream_id, version)` refuses a duplicate and lets a gap through, so
//!   `append_batch` also checks that each stream's first new version follows its last.

mod columns;
mod fitting;

use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use self::columns::Columns;
pub use self::fitting::{Fitted, News};
pub(crate) use self::fitting::{append_fitting, news, unreadable};
use crate::batch::Batch;
use crate::error::{Cause, Class};
use crate::event::unsigned;

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of the batch's first event; one more than `last_position` when it had none.
    pub first_position: u64,
    /// The position of the batch's last event; of the log's when it had none.
    pub last_position: u64,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stream moved, a guard failed or a command id is taken. Nothing was written: reload and decide again.
    #[error("the log has moved on since the decision")]
    Conflict,
    /// Postgres is away or overloaded. The outcome is unknown: look for the commands before deciding again.
    #[error("the event store is unavailable")]
    Unavailable(#[source] Cause),
    /// Postgres is there and will not do it: a bug, a wrong setting, a missing migration. Nothing was written.
    #[error("the event store refused the batch")]
    Refused(#[source] Cause),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match Class::of(&error) {
            Class::Conflict => Self::Conflict,
            Class::Unavailable => Self::Unavailable(Cause::of(&error)),
            Class::Refused => Self::Refused(Cause::of(&error)),
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Unavailable(cause) => Self::Unavailable(cause),
            crate::Error::Refused(cause) => Self::Refused(cause),
        }
    }
}

const APPEND: &str = "SELECT append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

/// Appends on a connection that nobody can take away meanwhile.
pub(crate) async fn append(connection: &mut PgConnection, batch: &Batch) -> Result<Appended, sqlx::Error> {
    let statement = statement(Columns::of(batch)?);
    // Without BEGIN, Postgres sends the row first and commits then; sqlx waits for the end of that, failed or not.
    let row = statement.fetch_one(connection).await?;
    let last_position = unsigned(&row, 0)?;
    let event_count: usize = batch.commands.iter().map(|command| command.events.len()).sum();
    Ok(Appended { first_position: last_position + 1 - event_count as u64, last_position })
}

fn statement(columns: Columns<'_>) -> Query<'static, Postgres, PgArguments> {
    bind(sqlx::query(APPEND), columns)
}

fn bind<'q>(
    statement: Query<'q, Postgres, PgArguments>,
    Columns { events, commands, guards }: Columns<'_>,
) -> Query<'q, Postgres, PgArguments> {
    // Hardly ever: the statement has a shorter way without.
    let unchanged = if commands.iter().any(|row| row.event_count == 0) { commands.as_slice() } else { &[] };
    statement
        .bind(events.iter().map(|row| row.stream_id).bind_iter())
        .bind(events.iter().map(|row| row.version).bind_iter())
        .bind(events.iter().map(|row| row.event_type).bind_iter())
        .bind(events.iter().map(|row| row.payload).bind_iter())
        .bind(events.iter().map(|row| &*row.metadata).bind_iter())
        .bind(events.iter().map(|row| row.command_id).bind_iter())
        .bind(commands.iter().map(|row| row.command_id).bind_iter())
        .bind(commands.iter().map(|row| row.content_hash).bind_iter())
        .bind(commands.iter().map(|row| row.event_count).bind_iter())
        .bind(commands.iter().map(|row| row.position).bind_iter())
        .bind(unchanged.iter().map(|row| row.stream_id).bind_iter())
        .bind(unchanged.iter().map(|row| row.version).bind_iter())
        .bind(unchanged.iter().map(|row| row.standing).bind_iter())
        .bind(guards.iter().map(|row| row.stream_id).bind_iter())
        .bind(guards.iter().map(|row| row.version).bind_iter())
}
