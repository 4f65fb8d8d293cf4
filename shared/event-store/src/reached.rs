//! How far projectors have seen the read model come.

use sqlx::Row;

use crate::error::Error;
use crate::event::{signed, unsigned};
use crate::tail::ReadStore;

const REACHED: &str = "SELECT projection, shard, build, position FROM reached WHERE shards = $1";
const NOTE_REACHED: &str = "SELECT note_reached($1, $2, $3, $4, $5)";

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
    /// What was noted last of a read model of so many shards, with [`ReadRole::Tail`](crate::ReadRole::Tail).
    pub async fn reached(&self, shards: u16) -> Result<Vec<Reached>, Error> {
        let read = sqlx::query(REACHED).bind(i32::from(shards));
        let rows = self.sessions.run(move |connection| Box::pin(read.fetch_all(connection))).await?;
        let reached = rows.iter().map(|row| {
            let shard = u16::try_from(row.try_get::<i32, _>(1)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(Reached { projection: row.try_get(0)?, shard, build: row.try_get(2)?, position: unsigned(row, 3)? })
        });
        Ok(reached.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Notes where sets of views of a read model of so many shards stand, with [`ReadRole::Tail`](crate::ReadRole::Tail). What is noted of one set
    /// never goes back.
    pub async fn note_reached(&self, shards: u16, reached: &[Reached]) -> Result<(), Error> {
        let positions: Vec<i64> = reached.iter().map(|it| signed(it.position)).collect::<Result<_, _>>()?;
        let of = |text: fn(&Reached) -> &String| -> Vec<String> { reached.iter().map(|it| text(it).clone()).collect() };
        let note = sqlx::query(NOTE_REACHED)
            .bind(of(|it| &it.projection))
            .bind(reached.iter().map(|it| i32::from(it.shard)).collect::<Vec<_>>())
            .bind(i32::from(shards))
            .bind(of(|it| &it.build))
            .bind(positions);
        self.sessions.run(move |connection| Box::pin(note.execute(connection))).await?;
        Ok(())
    }
}
