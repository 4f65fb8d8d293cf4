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
