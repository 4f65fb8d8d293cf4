//! Watches and subscriptions end as is promised, and who is dropped is told where to go on.

use super::errors::{is_among, is_passing};
use super::{Findings, Rule};
use crate::history::{Failed, History, Shown, StreamEnd, Subscription, Watch};

/// What ends a stream that has begun, and has to say when to try again.
const ENDS: [(&str, &[&str]); 2] = [("ResourceExhausted", &["SLOW_READER"]), ("Unavailable", &["SHUTTING_DOWN"])];

pub(super) fn check(history: &History, findings: &mut Findings) {
    let watches = history.watches.iter().map(|watch| (format!("a watch of {:?}", watch.asked.view), watch_ends(watch)));
    let subscriptions = history
        .subscriptions
        .iter()
        .map(|one| (format!("a subscription from {:?}", one.start), subscription_ends(one)));
    for (who, ends) in watches.chain(subscriptions) {
        if let Err(how) = ends {
            findings.add(Rule::PromisedErrors, format!("{who} {how}"));
        }
    }
}

fn watch_ends(watch: &Watch) -> Result<(), String> {
    let has_begun = !watch.told.is_empty();
    match &watch.end {
        StreamEnd::GivenUp => Ok(()),
        StreamEnd::Missing { .. } if has_begun => Err("ends with that there is none".to_owned()),
        StreamEnd::Missing { .. } => Ok(()),
        StreamEnd::Silent => Err("ends without a word".to_owned()),
        StreamEnd::Failed { failed, position, version } => {
            promised(failed, has_begun)?;
            let told = watch.told.iter().rev().find_map(|told| Some((told.position, told.shown?)));
            match told {
                Some((last, Shown { version: shown, .. }))
                    if is_among(failed, &ENDS) && (*position, *version) != (Some(last), Some(shown)) =>
                {
                    Err(format!("ends after version {shown} as of {last} and says {version:?} as of {position:?}"))
                }
                _ => Ok(()),
            }
        }
    }
}

fn subscription_ends(subscription: &Subscription) -> Result<(), String> {
    let has_begun = !subscription.handed.is_empty();
    match &subscription.end {
        StreamEnd::GivenUp => Ok(()),
        StreamEnd::Missing { .. } => Err("ends with that there is no log".to_owned()),
        StreamEnd::Silent => Err("ends without a word".to_owned()),
        StreamEnd::Failed { failed, position, .. } => {
            promised(failed, has_begun)?;
            // Where to, the log says.
            if has_begun && !failed.reason.is_empty() && position.is_none() {
                return Err(format!("doesn't say where to go on: {failed:?}"));
            }
            Ok(())
        }
    }
}

fn promised(failed: &Failed, has_begun: bool) -> Result<(), String> {
    let is_end = has_begun && is_among(failed, &ENDS) && failed.says_when;
    if is_end || is_passing(failed) { Ok(()) } else { Err(format!("ends with {failed:?}")) }
}
