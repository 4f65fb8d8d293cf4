//! What subscriptions handed out: exactly the log from where they began, as far as it fits their filters.

use serde_json::Value;
use system_tests::{Log, StoredEvent};
use tally_api::events::v1 as events;

use super::{Findings, Rule, digest};
use crate::history::{EventFilter, Handed, History, Start, StreamEnd, Subscription};

/// Holds each message against the log, and returns how many events there were.
pub(super) fn check(history: &History, log: &Log, findings: &mut Findings) -> usize {
    if history.subscriptions.is_empty() {
        return 0;
    }
    let stored: Vec<(i64, u64)> = log.events.iter().map(|event| (event.position, of_stored(event))).collect();
    let mut checked = 0;
    for subscription in &history.subscriptions {
        if let Err(what) = hold(subscription, log, &stored) {
            let who = format!("a subscription of session {} to replica {}", subscription.session, subscription.replica);
            findings.add(Rule::SubscriptionIsLog, format!("{who} from {:?} {what}", subscription.start));
        }
        checked += subscription.handed.iter().map(|handed| handed.events.len()).sum::<usize>();
    }
    checked
}

fn hold(subscription: &Subscription, log: &Log, stored: &[(i64, u64)]) -> Result<(), String> {
    let mut from = match (subscription.start, subscription.handed.first()) {
        (_, None) => return Ok(()),
        (Start::After(position), _) => position,
        (Start::OnlyNew { least }, Some(first)) if first.position < least => {
            return Err(format!("begins at {}, and {least} was there already", first.position));
        }
        // It says where it begins.
        (Start::OnlyNew { .. }, Some(first)) => first.position,
    };
    for handed in &subscription.handed {
        goes_on(from, handed, log, &subscription.filter, stored)?;
        if handed.head < handed.position {
            return Err(format!("is at {}, and says that the log ends at {}", handed.position, handed.head));
        }
        from = handed.position;
    }
    // Where it says to go on is as a message without events.
    match &subscription.end {
        StreamEnd::Failed { position: Some(position), .. } => {
            let last = Handed { events: Vec::new(), position: *position, head: *position };
            goes_on(from, &last, log, &subscription.filter, stored).map_err(|what| format!("was ended and {what}"))
        }
        _ => Ok(()),
    }
}

fn goes_on(from: i64, handed: &Handed, log: &Log, filter: &EventFilter, stored: &[(i64, u64)]) -> Result<(), String> {
    let Handed { events, position, head } = handed;
    if *position < from {
        return Err(format!("goes back from {from} to {position}"));
    }
    if *position > log.head || *head > log.head {
        return Err(format!("is at {position} of {head}, and the log ends at {}", log.head));
    }
    let begin = stored.partition_point(|(stored, _)| *stored <= from);
    let end = stored.partition_point(|(stored, _)| stored <= position);
    let fitting = log.events[begin..end].iter().zip(&stored[begin..end]);
    let due: Vec<(i64, u64)> =
        fitting.filter(|(event, _)| filter.fits(event)).map(|(_, as_stored)| *as_stored).collect();
    if due == *events {
        return Ok(());
    }
    let differs = due.iter().zip(events).position(|(due, found)| due != found).unwrap_or(due.len().min(events.len()));
    Err(format!(
        "hands out {:?} between {from} and {position} where {:?} is due",
        events.get(differs),
        due.get(differs)
    ))
}

impl EventFilter {
    fn fits(&self, event: &StoredEvent) -> bool {
        let is_of_type = self.event_types.is_empty() || self.event_types.contains(&event.event_type);
        let begins = |prefix: &String| event.stream_id.starts_with(prefix.as_str());
        is_of_type && (self.stream_id_prefixes.is_empty() || self.stream_id_prefixes.iter().any(begins))
    }
}

/// Of all that an event says.
pub(crate) fn of_event(event: events::Event) -> u64 {
    let payload: Value = serde_json::from_str(&event.payload_json).unwrap_or_default();
    let time = event.record_time.map(|time| (time.seconds, time.nanos)).unwrap_or_default();
    let metadata = event.metadata.unwrap_or_default();
    let origin =
        [metadata.command_id, metadata.correlation_id, metadata.causation_id, metadata.traceparent, metadata.actor];
    digest(&(event.position, event.stream_id, event.version, event.event_type, payload, time, origin))
}

/// The same, of an event as it is stored.
pub(crate) fn of_stored(event: &StoredEvent) -> u64 {
    let time = (event.recorded_at.unix_timestamp(), event.recorded_at.nanosecond());
    let known = |name: &str| event.metadata[name].as_str().unwrap_or_default().to_owned();
    let origin = [
        event.command_id.to_string(),
        known("correlation_id"),
        known("causation_id"),
        known("traceparent"),
        known("actor"),
    ];
    digest(&(event.position, &event.stream_id, event.version, &event.event_type, &event.payload, time, origin))
}
