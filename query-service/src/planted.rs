//! Faults that are planted on purpose, for the crash kit to find: only with the feature, and only the one that the variable names.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use tally_read_model::{Error, Found};

use crate::lookups::Lookups;

static PLANTED: LazyLock<String> = LazyLock::new(|| env::var("TALLY_PLANTED_FAULT").unwrap_or_default());
/// Between the view and its checkpoint.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether an answer says that it may be stale: never, if so planted.
pub(crate) fn flag(may_be_stale: bool) -> bool {
    may_be_stale && *PLANTED != "stale-answer-unflagged"
}

/// Where a subscription goes on that has handed over everything up to `last`: if so planted, where the log ends by now.
pub(crate) fn goes_on_after(last: u64, head: u64) -> u64 {
    if *PLANTED == "subscription-live-too-soon" { last.max(head) } else { last }
}

/// Whether a watch takes changes in and tells none.
pub(crate) fn keeps_changes() -> bool {
    *PLANTED == "change-passed-over"
}

/// The view of one look-up with the checkpoint of a later one.
pub(crate) async fn without_its_checkpoint(
    found: Result<Found, Error>,
    lookups: &Lookups,
    key: &str,
) -> Result<Found, Error> {
    if *PLANTED != "view-read-without-its-checkpoint" {
        return found;
    }
    let found = found?;
    tokio::time::sleep(PAUSE).await;
    let position = lookups.get(key).await?.position;
    Ok(Found { position, ..found })
}
