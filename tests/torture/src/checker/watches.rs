//! What watches told: the view first, then on and on forwards, and nothing from before what was asked for without saying so. That each message
//! is the fold of the log as of its position is seen with all other answers.

use super::{Findings, Rule};
use crate::history::{History, Shown, StreamEnd, Told, Watch};

pub(super) fn check(history: &History, findings: &mut Findings) {
    for watch in &history.watches {
        begins(watch, findings);
        goes_forwards(watch, findings);
        for (position, may_be_stale) in as_of(watch) {
            if !may_be_stale && position < watch.asked.wanted {
                let what = format!(
                    "a watch told {:?} as of {position}, after {} was asked for",
                    watch.asked.view, watch.asked.wanted
                );
                findings.add(Rule::NeverStaleUnflagged, what);
            }
        }
    }
}

fn begins(watch: &Watch, findings: &mut Findings) {
    if watch.told.first().is_some_and(|first| first.shown.is_none()) {
        findings.add(Rule::WatchForwards, format!("a watch of {:?} begins without it", watch.asked.view));
    }
}

fn goes_forwards(watch: &Watch, findings: &mut Findings) {
    let mut last: Option<&Told> = None;
    let mut shown: Option<Shown> = None;
    for told in &watch.told {
        if let Some(last) = last.filter(|last| told.position < last.position) {
            let what = format!("a watch told {:?} as of {} after {}", watch.asked.view, told.position, last.position);
            findings.add(Rule::WatchForwards, what);
        }
        if let (Some(now), Some(before)) = (told.shown, shown)
            && now.version < before.version
        {
            let what =
                format!("a watch told {:?} in version {} after {}", watch.asked.view, now.version, before.version);
            findings.add(Rule::WatchForwards, what);
        }
        last = Some(told);
        shown = told.shown.or(shown);
    }
}

/// As of when each message is, and whether it says that it may be stale.
fn as_of(watch: &Watch) -> impl Iterator<Item = (i64, bool)> {
    let missing = match watch.end {
        StreamEnd::Missing { position, may_be_stale } => Some((position, may_be_stale)),
        StreamEnd::GivenUp | StreamEnd::Failed { .. } | StreamEnd::Silent => None,
    };
    watch.told.iter().map(|told| (told.position, told.may_be_stale)).chain(missing)
}

/// What a watch says of its view: as of when, and a digest; None: there is no such thing. Where a message only shows that the watch is alive, the
/// view is still what it was.
pub(super) fn answers(watch: &Watch) -> impl Iterator<Item = (i64, Option<u64>)> {
    let mut shown = None;
    let told = watch.told.iter().filter_map(move |told| {
        shown = told.shown.or(shown);
        Some((told.position, Some(shown?.view)))
    });
    let missing = match watch.end {
        StreamEnd::Missing { position, .. } => Some((position, None)),
        StreamEnd::GivenUp | StreamEnd::Failed { .. } | StreamEnd::Silent => None,
    };
    told.chain(missing)
}
