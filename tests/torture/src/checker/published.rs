//! What others read in Redis: each event of a line once, in the order of the log, from the oldest that is still there to the end.

use serde_json::{Value, json};
use system_tests::{Log, StoredEvent};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Findings, Rule};
use crate::history::{Entry, History, Published};

/// What is published.
const TYPES: [&str; 3] = ["Allocated", "Deallocated", "OutOfStock"];
/// Redis forgets entries by the hundred: so many more than are to be kept may be there.
const SURPLUS_MAX: usize = 1_000;

/// Whether others are told of it.
pub(crate) fn is_published(event: &StoredEvent) -> bool {
    TYPES.contains(&event.event_type.as_str())
}

/// Holds what is published against the log, and returns how many events there were.
pub(super) fn check(history: &History, log: &Log, findings: &mut Findings) -> usize {
    let Some(published) = &history.published else { return 0 };
    let due: Vec<&StoredEvent> = log.events.iter().filter(|event| is_published(event)).collect();
    let Published { log: name, kept_max, entries } = published;
    if !(due.len().min(*kept_max)..=kept_max.saturating_add(SURPLUS_MAX)).contains(&entries.len()) {
        let what = format!("{} events of {} are there, and {kept_max} stay", entries.len(), due.len());
        findings.add(Rule::PublishedIsLog, what);
    }
    // The oldest are forgotten.
    let oldest = entries.first().and_then(|(id, _)| id.strip_suffix("-0")?.parse::<i64>().ok()).unwrap_or_default();
    let due = &due[due.partition_point(|event| event.position < oldest)..];
    for index in 0..due.len().max(entries.len()) {
        let found = entries.get(index).map(|(id, _)| id.clone());
        let expected = due.get(index).map(|event| format!("{}-0", event.position));
        if found != expected {
            let what = format!("{found:?} stands where {expected:?} is due");
            findings.add(Rule::PublishedIsLog, what);
            // What comes after is at other places.
            break;
        }
    }
    for (entry, event) in entries.iter().zip(due) {
        if let Some(what) = differs(name, entry, event) {
            findings.add(Rule::PublishedIsLog, format!("{}: {what}", entry.0));
        }
    }
    entries.len()
}

/// How an entry is not the event, if it isn't.
fn differs(log: &str, (_, fields): &Entry, event: &StoredEvent) -> Option<String> {
    let [(field, text)] = fields.as_slice() else { return Some(format!("{} fields", fields.len())) };
    let Ok(Value::Object(mut found)) = serde_json::from_str(text) else { return Some(format!("no JSON: {text}")) };
    let time = found.remove("time");
    let time = time.as_ref().and_then(Value::as_str).and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    let expected = cloud_event(log, event);
    let is_same = field == "event" && time == Some(event.recorded_at) && Value::Object(found) == expected;
    (!is_same).then(|| format!("{field} is {text}; at {} {expected} is due", event.recorded_at))
}

/// An event as others read it, but for its time.
fn cloud_event(log: &str, event: &StoredEvent) -> Value {
    let mut expected = json!({
        "specversion": "1.0",
        "id": event.position.to_string(),
        "source": format!("/tally/{log}"),
        "type": format!("tally.allocation.v1.{}", event.event_type),
        "subject": event.stream_id,
        "datacontenttype": "application/json",
        "data": event.payload,
        "commandid": event.command_id.to_string(),
    });
    let known = [("correlationid", "correlation_id"), ("causationid", "causation_id"), ("traceparent", "traceparent")];
    for (attribute, stored) in known {
        if let Some(value) = event.metadata.get(stored) {
            expected[attribute] = value.clone();
        }
    }
    expected
}
