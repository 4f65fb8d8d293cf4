//! Every error is one that the API promises, and none comes when nothing is wrong.

use super::{Findings, Rule, WAITED_MS};
use crate::history::{AttemptResult, Failed, History, ReadResult};

/// Microseconds after a fault has healed in which its traces may still be seen.
const TRACES_US: u64 = 15_000_000;

/// What commands may be refused with. Requests of the kit are well-formed, so nothing else is due.
const COMMAND_REFUSALS: [(&str, &[&str]); 4] = [
    (
        "FailedPrecondition",
        &[
            "INVALID_SKU",
            "LINE_DIFFERS",
            "NOT_IN_ORDER",
            "ORDER_CANCELLED",
            "ORDER_SHIPPED",
            "ITEMS_NOT_IN_STOCK",
            "TOO_MANY_BATCHES",
        ],
    ),
    ("NotFound", &["ORDER_NOT_FOUND", "BATCH_NOT_FOUND", "ALLOCATION_NOT_FOUND"]),
    ("AlreadyExists", &["BATCH_EXISTS", "ORDER_EXISTS"]),
    ("Aborted", &["VERSION_MISMATCH"]),
];
/// What anything may fail with, and has to say when to try again.
const PASSING: [(&str, &[&str]); 2] = [
    ("ResourceExhausted", &["OVERLOADED"]),
    ("Unavailable", &["STORE_UNAVAILABLE", "NOT_YET_VISIBLE", "VIEWS_RECOVERING"]),
];
/// gRPC's own, at the end of a deadline or of a connection.
const TRANSPORT: [&str; 2] = ["DeadlineExceeded", "Cancelled"];

pub(super) fn check(history: &History, findings: &mut Findings) {
    for attempt in &history.attempts {
        let (AttemptResult::Refused(failed) | AttemptResult::Unknown(failed)) = &attempt.result else { continue };
        if !is_passing(failed) && !is_among(failed, &COMMAND_REFUSALS) {
            findings.add(Rule::PromisedErrors, format!("{}: {failed:?}", attempt.kind));
        }
    }
    for read in &history.reads {
        let ReadResult::Failed(failed) = &read.result else { continue };
        if !is_passing(failed) {
            findings.add(Rule::PromisedErrors, format!("{:?}: {failed:?}", read.asked.view));
        }
    }
    calm(history, findings);
}

pub(super) fn is_passing(failed: &Failed) -> bool {
    failed.is_local
        || (TRANSPORT.contains(&failed.code.as_str()) && failed.reason.is_empty())
        || (is_among(failed, &PASSING) && failed.says_when)
}

pub(super) fn is_among(failed: &Failed, promised: &[(&str, &[&str])]) -> bool {
    promised.iter().any(|(code, reasons)| failed.code == *code && reasons.contains(&failed.reason.as_str()))
}

/// Outside of what anybody may notice, no answer is flagged.
fn calm(history: &History, findings: &mut Findings) {
    let noticed = |from_us: u64, to_us: u64| {
        let harmful = history.faults.iter().filter(|fault| !fault.is_harmless);
        let mut windows = harmful.map(|fault| (fault.began_us, fault.healed_us.saturating_add(TRACES_US)));
        windows.any(|(began, over)| began <= to_us && from_us <= over)
    };
    for read in &history.reads {
        let flagged = matches!(read.result, ReadResult::Answered { may_be_stale: true, .. });
        if flagged && read.asked.wait_ms >= WAITED_MS && !noticed(read.asked.invoked_us, read.asked.ended_us) {
            let waited_ms = (read.asked.ended_us - read.asked.invoked_us) / 1_000;
            let what = format!("{:?} may be stale after {waited_ms} ms, and nothing is wrong", read.asked.view);
            findings.add(Rule::CalmInCalm, what);
        }
    }
    for watch in history.watches.iter().filter(|watch| watch.asked.wait_ms >= WAITED_MS) {
        let Some(first) = watch.told.first().filter(|first| first.may_be_stale) else { continue };
        if !noticed(watch.asked.invoked_us, first.at_us) {
            let waited_ms = (first.at_us - watch.asked.invoked_us) / 1_000;
            let what =
                format!("a watch of {:?} may be stale after {waited_ms} ms, and nothing is wrong", watch.asked.view);
            findings.add(Rule::CalmInCalm, what);
        }
    }
}
