//! An event of the log as projections see it.

use serde::Deserialize;
use tally_domain::{Event, StoredEventError};
use tally_event_store::{Metadata, StoredEvent};
use tally_runtime::trace::TraceContext;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::digest;

/// An event and where it stands in the log. Decoded once, however many projections look at it.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Its place in the log.
    pub(crate) position: u64,
    /// Its stream.
    pub(crate) stream_id: String,
    /// Its place in its stream.
    pub(crate) version: u64,
    /// The command that it is part of.
    pub(crate) command_id: Uuid,
    /// When it was appended.
    pub(crate) recorded_at: OffsetDateTime,
    /// Where its command came from.
    pub(crate) metadata: Metadata,
    /// Where the command stands in a trace that is followed.
    pub(crate) trace: Option<TraceContext>,
    /// The name of its type, also where this version of Tally can't read it.
    pub(crate) event_type: String,
    /// What happened. Only a projection that handles the type is hindered by one that can't be read.
    pub(crate) event: Result<Event, StoredEventError>,
    /// Of one that can't be read: what may still be understood of it.
    pub(crate) named: Named,
    /// What tells it from any other event.
    pub(crate) fingerprint: u64,
}

/// What an event names, by the fields that events of all types have under these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) order_id: Option<String>,
    pub(crate) sku: Option<String>,
}

impl From<StoredEvent> for Recorded {
    fn from(stored: StoredEvent) -> Self {
        let event = Event::from_stored(&stored.event_type, &stored.payload);
        let named = match event {
            Ok(_) => Named::default(),
            Err(_) => serde_json::from_str(&stored.payload).unwrap_or_default(),
        };
        Self {
            fingerprint: digest::event(&stored),
            position: stored.position,
            stream_id: stored.stream_id,
            version: stored.version,
            command_id: stored.command_id,
            recorded_at: stored.recorded_at,
            trace: stored
                .metadata
                .traceparent
                .as_deref()
                .and_then(TraceContext::parse)
                .filter(TraceContext::is_sampled),
            metadata: stored.metadata,
            event,
            named,
            event_type: stored.event_type,
        }
    }
}
