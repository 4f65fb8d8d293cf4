//! The order of the log is never against real time: what was acknowledged before something else was first sent stands before it.

use std::collections::BTreeSet;

use system_tests::Log;

use super::commands::Sent;
use super::{Findings, Rule};
use crate::history::AttemptResult;

pub(super) fn check(sent: &Sent<'_>, log: &Log, findings: &mut Findings) {
    let with_events: BTreeSet<_> = log.events.iter().map(|event| event.command_id).collect();
    let mut placed: Vec<Placed<'_>> = sent
        .0
        .iter()
        // What changed nothing names an event of another command, which may be long past.
        .filter(|(id, _)| with_events.contains(id))
        .filter_map(|(_, attempts)| {
            let invoked_us = attempts.iter().map(|attempt| attempt.invoked_us).min()?;
            let acknowledged = attempts.iter().filter(|attempt| attempt.is_acknowledged());
            let first = acknowledged.min_by_key(|attempt| attempt.ended_us)?;
            let AttemptResult::Acknowledged { position, version, stream_id, .. } = &first.result else { return None };
            Some(Placed { position: *position, version: *version, stream_id, invoked_us, ended_us: first.ended_us })
        })
        .collect();
    placed.sort_by_key(|one| one.position);
    let mut latest: Option<&Placed<'_>> = None;
    for one in &placed {
        if let Some(before) = latest.filter(|before| one.ended_us < before.invoked_us) {
            let what = format!(
                "{} at {} (version {}) was acknowledged {} µs before {} at {} (version {}) was sent",
                one.stream_id,
                one.position,
                one.version,
                before.invoked_us - one.ended_us,
                before.stream_id,
                before.position,
                before.version,
            );
            findings.add(Rule::RealTime, what);
        }
        if latest.is_none_or(|before| before.invoked_us < one.invoked_us) {
            latest = Some(one);
        }
    }
}

struct Placed<'a> {
    position: i64,
    version: i64,
    stream_id: &'a str,
    invoked_us: u64,
    ended_us: u64,
}
