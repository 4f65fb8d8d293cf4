//! Every acknowledged command is in the log once, nothing else is, and an id has one answer.

use std::collections::{BTreeMap, BTreeSet};

use system_tests::{Log, StoredEvent};
use uuid::Uuid;

use super::{Findings, Rule};
use crate::history::{Attempt, AttemptResult, History};

/// All tries by command.
pub(super) struct Sent<'a>(pub(super) BTreeMap<Uuid, Vec<&'a Attempt>>);

/// Where the log has a command.
struct Stored<'a> {
    first: usize,
    events: Vec<&'a StoredEvent>,
}

impl<'a> Sent<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut sent: BTreeMap<Uuid, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &history.attempts {
            sent.entry(attempt.command_id).or_default().push(attempt);
        }
        Self(sent)
    }
}

impl Attempt {
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.result, AttemptResult::Acknowledged { .. })
    }
}

pub(super) fn check(sent: &Sent<'_>, log: &Log, findings: &mut Findings) {
    let stored = stored(log, findings);
    for (id, attempts) in &sent.0 {
        one_answer(*id, attempts, findings);
        effect(*id, attempts, stored.get(id), log, findings);
    }
    let all = stored.keys().chain(&log.unchanged);
    for id in all.filter(|id| !sent.0.contains_key(id)) {
        findings.add(Rule::NothingForeign, format!("nobody sent {id}, and it is in the log"));
    }
}

/// A command's events stand together: anywhere else they are there a second time.
fn stored<'a>(log: &'a Log, findings: &mut Findings) -> BTreeMap<Uuid, Stored<'a>> {
    let mut stored: BTreeMap<Uuid, Stored<'_>> = BTreeMap::new();
    let mut twice: BTreeSet<Uuid> = BTreeSet::new();
    for (index, event) in log.events.iter().enumerate() {
        let command = stored.entry(event.command_id).or_insert_with(|| Stored { first: index, events: Vec::new() });
        if command.first + command.events.len() != index && twice.insert(event.command_id) {
            let first = command.events.first().map(|event| event.position);
            let what = format!("{} has events at {first:?} and again at {}", event.command_id, event.position);
            findings.add(Rule::NothingTwice, what);
        }
        command.events.push(event);
    }
    for id in stored.keys().filter(|id| log.unchanged.contains(id)) {
        findings.add(Rule::NothingTwice, format!("{id} both changed something and nothing"));
    }
    for (id, command) in &stored {
        let noted = command.events[0].command_events.and_then(|count| usize::try_from(count).ok());
        match noted {
            Some(count) if count == command.events.len() => {}
            Some(count) => {
                let what = format!("{id} was noted with {count} events and has {}", command.events.len());
                findings.add(Rule::NothingTwice, what);
            }
            None => findings.add(Rule::NothingTwice, format!("{id} has events and is not noted, so it may come again")),
        }
    }
    stored
}

fn one_answer(id: Uuid, attempts: &[&Attempt], findings: &mut Findings) {
    let mut acknowledged = attempts.iter().filter(|attempt| attempt.is_acknowledged());
    let Some(first) = acknowledged.next() else { return };
    for other in acknowledged.filter(|other| other.result != first.result) {
        findings.add(Rule::OneAnswer, format!("{id} was answered {:?} and {:?}", first.result, other.result));
    }
    let earliest = attempts.iter().filter(|attempt| attempt.is_acknowledged()).map(|attempt| attempt.ended_us).min();
    for refused in attempts.iter().filter(|attempt| Some(attempt.invoked_us) > earliest) {
        if let AttemptResult::Refused(failed) = &refused.result
            && failed.reason != "OVERLOADED"
        {
            findings.add(Rule::OneAnswer, format!("{id} was acknowledged, and then refused: {failed:?}"));
        }
    }
}

fn effect(id: Uuid, attempts: &[&Attempt], stored: Option<&Stored<'_>>, log: &Log, findings: &mut Findings) {
    let acknowledged = attempts.iter().find(|attempt| attempt.is_acknowledged());
    match (acknowledged, stored) {
        (Some(attempt), Some(stored)) => receipt_names(attempt, stored, findings),
        (Some(attempt), None) if !log.unchanged.contains(&id) => {
            findings.add(Rule::NothingLost, format!("{id} was acknowledged and is not in the log: {attempt:?}"));
        }
        (None, Some(_)) if attempts.iter().all(|attempt| matches!(attempt.result, AttemptResult::Refused(_))) => {
            findings.add(Rule::NothingForeign, format!("{id} was refused and is in the log: {attempts:?}"));
        }
        _ => {}
    }
}

fn receipt_names(attempt: &Attempt, stored: &Stored<'_>, findings: &mut Findings) {
    let AttemptResult::Acknowledged { stream_id, version, position, .. } = &attempt.result else { return };
    let last = stored.events.last().map(|event| event.position);
    let in_stream = stored.events.iter().rfind(|event| event.stream_id == *stream_id).map(|event| event.version);
    if last != Some(*position) || in_stream != Some(*version) {
        let id = attempt.command_id;
        let what = format!(
            "{id} was acknowledged at {position} with {stream_id} at {version}; the log has it at {last:?} with {in_stream:?}"
        );
        findings.add(Rule::NothingLost, what);
    }
}
