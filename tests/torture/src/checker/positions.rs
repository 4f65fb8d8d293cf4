//! Positions and versions are dense.

use std::collections::BTreeMap;

use system_tests::Log;

use super::{Findings, Rule};

pub(super) fn check(log: &Log, findings: &mut Findings) {
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    let mut expected = 1;
    for event in &log.events {
        if event.position != expected {
            findings.add(Rule::Dense, format!("position {} stands where {expected} is due", event.position));
        }
        expected = event.position + 1;
        let version = versions.entry(&event.stream_id).or_default();
        if event.version != *version + 1 {
            let what = format!("{} goes from {version} to {} at {}", event.stream_id, event.version, event.position);
            findings.add(Rule::Dense, what);
        }
        *version = event.version;
    }
    if log.head != expected - 1 {
        findings.add(Rule::Dense, format!("the head says {}, the last event is at {}", log.head, expected - 1));
    }
}
