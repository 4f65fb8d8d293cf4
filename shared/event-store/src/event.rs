//! Events as they are appended and as they are read back.
//!
//! Payloads may hold personal data, so `Debug` leaves them out.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// The event's fields.
    pub payload: Value,
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
    /// The event's fields.
    pub payload: Value,
    /// Where the command came from that made the event.
    pub metadata: Metadata,
    /// The command that made the event.
    pub command_id: Uuid,
    /// When the event was appended, by the database's clock.
    pub recorded_at: OffsetDateTime,
}

/// A stream, whole. A stream that does not exist has version 0 and no events.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStream {
    /// The stream, e.g. `order-…`.
    pub stream_id: String,
    /// The version of its last event, 0 when there is none.
    pub version: u64,
    /// The position of its last event, 0 when there is none.
    pub last_position: u64,
    /// Its events by version.
    pub events: Vec<StoredEvent>,
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
