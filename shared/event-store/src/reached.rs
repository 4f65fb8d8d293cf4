//! How far projectors have seen the read model come. All of it needs [`ReadRole::Tail`](crate::ReadRole::Tail).

use sqlx::Row;
use uuid::Uuid;

use crate::error::Error;
use crate::event::{signed, unsigned};
use crate::tail::ReadStore;

// A log that lost its end has nothing behind it.
const REACHED: &str = "SELECT build, least(position, (SELECT coalesce(max(position), 0) FROM events)) FROM reached
    WHERE projection = $1 AND shard = $2 AND shards = $3";
const NOTE_REACHED: &str = "SELECT note_reached($1, $2, $3, $4, $5, $6)";

/// A set of views of one shard of a projection, and where it was seen to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The projection.
    pub projection: String,
    /// The shard, from 0.
    pub shard: u16,
    /// The set of views, by the name that the read model gives it.
    pub build: String,
    /// Up to which position of the log it was folded.
    pub position: u64,
}

impl ReadStore {
    /// What was noted last of one of so many shards of a projection.
    pub async fn reached(&self, projection: &str, shard: u16, shards: u16) -> Result<Option<Reached>, Error> {
        let read = sqlx::query(REACHED).bind(projection.to_owned()).bind(i32::from(shard)).bind(i32::from(shards));
        let row = self.sessions.run(move |connection| Box::pin(read.fetch_optional(connection))).await?;
        let reached = row.map(|row| {
            let (build, position) = (row.try_get(0)?, unsigned(&row, 1)?);
            Ok::<_, sqlx::Error>(Reached { projection: projection.to_owned(), shard, build, position })
        });
        Ok(reached.transpose()?)
    }

    /// Notes where sets of views stand, of a read model of so many shards that was made from the log with this identity. What is noted of one set
    /// never goes back; of another log than the one that is here nothing is.
    pub async fn note_reached(&self, log_id: Uuid, shards: u16, reached: &[Reached]) -> Result<(), Error> {
        let positions: Vec<i64> = reached.iter().map(|it| signed(it.position)).collect::<Result<_, _>>()?;
        let of = |text: fn(&Reached) -> &String| -> Vec<String> { reached.iter().map(|it| text(it).clone()).collect() };
        let note = sqlx::query(NOTE_REACHED)
            .bind(log_id)
            .bind(i32::from(shards))
            .bind(of(|it| &it.projection))
            .bind(reached.iter().map(|it| i32::from(it.shard)).collect::<Vec<_>>())
            .bind(of(|it| &it.build))
            .bind(positions);
        self.sessions.run(move |connection| Box::pin(note.execute(connection))).await?;
        Ok(())
    }
}
