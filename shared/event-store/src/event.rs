//! Events as they are appended and as they are read back.
//!
//! Payloads may hold personal data, so `Debug` leaves them out.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// Where a command came from. A stored format: every field is optional and absent when not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// What all commands and events of one piece of business have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The message that caused this command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The W3C trace context of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// An event to append.
#[derive(Clone, PartialEq)]
pub struct NewEvent {
    /// The stream, e.g. `order-…`.
    pub stream_id: String,
    /// The event's number in its stream, from 1, without gaps.
    pub version: u64,
    /// The stored name of the event's type.
    pub event_type: &'static str,
    /// The event's fields, as JSON.
    pub payload: String,
}

/// An event as the log holds it.
#[derive(Clone, PartialEq)]
pub struct StoredEvent {
    /// The event's place in the log, from 1, without gaps.
    pub position: u64,
    /// The stream, e.g. `order-…`.
    pub stream_id: String,
    /// The event's number in its stream, from 1, without gaps.
    pub version: u64,
    /// The stored name of the event's type.
    pub event_type: String,
    /// The event's fields, as JSON.
    pub payload: String,
    /// Where the command came from that made the event.
    pub metadata: Metadata,
    /// The command that made the event.
    pub command_id: Uuid,
    /// When the event was appended, by the database's clock.
    pub recorded_at: OffsetDateTime,
}

/// The columns of an event, in the order in which [`StoredEvent`] reads them, from a table called `e`.
macro_rules! event_columns {
    () => {
        "e.position, e.stream_id, e.version, e.event_type, e.payload, e.metadata, e.command_id, e.recorded_at"
    };
}
pub(crate) use event_columns;

/// By index, since a look-up by name costs more than the rest of the decoding.
impl FromRow<'_, PgRow> for StoredEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: unsigned(row, 0)?,
            stream_id: row.try_get(1)?,
            version: unsigned(row, 2)?,
            event_type: row.try_get(3)?,
            payload: row.try_get(4)?,
            metadata: from_json(row.try_get(5)?)?,
            command_id: row.try_get(6)?,
            recorded_at: row.try_get(7)?,
        })
    }
}

/// Positions and versions are `u64` above SQL, and `bigint` in it.
pub(crate) fn unsigned(row: &PgRow, index: usize) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(index)?;
    u64::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The reverse of [`unsigned`], for values that are bound to a statement.
pub(crate) fn signed(value: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The reverse of [`from_json`].
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent")
            .field("stream_id", &self.stream_id)
            .field("version", &self.version)
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("position", &self.position)
            .field("stream_id", &self.stream_id)
            .field("version", &self.version)
            .field("event_type", &self.event_type)
            .field("command_id", &self.command_id)
            .finish_non_exhaustive()
    }
}
