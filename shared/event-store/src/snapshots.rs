//! Keeping states of streams, as a cache.

use std::fmt;

use sqlx::PgConnection;

use crate::event::signed;

/// A state of a stream, to be kept.
#[derive(Clone, PartialEq)]
pub struct NewSnapshot {
    /// The stream, e.g. `product-…`.
    pub stream_id: String,
    /// The version of the last event in it.
    pub version: u64,
    /// The position of that event.
    pub position: u64,
    /// Text that means something to whoever loads it under the same format.
    pub state: String,
}

/// Keeps those that are newer than what is there; each stream at most once.
pub(crate) async fn save(
    connection: &mut PgConnection,
    format: i32,
    snapshots: &[NewSnapshot],
) -> Result<(), sqlx::Error> {
    let stream_ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.stream_id.as_str()).collect();
    let versions = snapshots.iter().map(|snapshot| signed(snapshot.version)).collect::<Result<Vec<_>, _>>()?;
    let positions = snapshots.iter().map(|snapshot| signed(snapshot.position)).collect::<Result<Vec<_>, _>>()?;
    let states: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.state.as_str()).collect();
    sqlx::query("SELECT save_snapshots($1, $2, $3, $4, $5)")
        .bind(format)
        .bind(stream_ids)
        .bind(versions)
        .bind(positions)
        .bind(states)
        .execute(connection)
        .await?;
    Ok(())
}

impl fmt::Debug for NewSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSnapshot")
            .field("stream_id", &self.stream_id)
            .field("version", &self.version)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
