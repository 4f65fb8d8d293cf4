//! Events as they are handed out, and how many fit into a message.

use prost::Message;
use tally_api::events::v1::{self as proto, EventMetadata};
use tally_event_store::StoredEvent;

/// Bytes of events in one message, but for one event that is larger by itself. Clients take four times as much unless told otherwise.
const MESSAGE_EVENT_BYTES_MAX: usize = 1024 * 1024;

/// An event as it is handed out: the payload as it is stored, whatever this version of Tally makes of it.
pub(super) struct Event(pub(super) proto::Event);

impl From<&StoredEvent> for Event {
    fn from(stored: &StoredEvent) -> Self {
        let metadata = &stored.metadata;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self(proto::Event {
            position: proto_position(stored.position),
            stream_id: stored.stream_id.clone(),
            version: proto_position(stored.version),
            event_type: stored.event_type.clone(),
            payload_json: stored.payload.clone(),
            record_time: Some(prost_types::Timestamp {
                seconds: stored.recorded_at.unix_timestamp(),
                // Below 10^9.
                nanos: stored.recorded_at.nanosecond() as i32,
            }),
            metadata: Some(EventMetadata {
                command_id: stored.command_id.to_string(),
                correlation_id: text(&metadata.correlation_id),
                causation_id: text(&metadata.causation_id),
                traceparent: text(&metadata.traceparent),
                actor: text(&metadata.actor),
            }),
        })
    }
}

/// How many of the first events one message takes: at most `events_max`, and at least one if there is any.
pub(super) fn fitting(events: &[Event], events_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take(events_max).take_while(|event| {
        bytes += event.0.encoded_len();
        bytes <= MESSAGE_EVENT_BYTES_MAX
    });
    fitting.count().max(1).min(events.len())
}

/// A version or position; both are i64 in the log, too.
pub(super) fn proto_position(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload_bytes: usize) -> Event {
        Event(proto::Event { payload_json: "x".repeat(payload_bytes), ..Default::default() })
    }

    #[test]
    fn a_message_has_no_more_than_its_bytes_but_always_one_event() {
        let third = MESSAGE_EVENT_BYTES_MAX / 3 - 100;
        assert_eq!(fitting(&[event(third), event(third), event(third), event(third)], 10), 3);
        assert_eq!(fitting(&[event(third), event(third)], 1), 1);
        assert_eq!(fitting(&[event(MESSAGE_EVENT_BYTES_MAX * 2), event(1)], 10), 1);
        assert_eq!(fitting(&[], 10), 0);
    }
}
