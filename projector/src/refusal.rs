//! Every way in which a call to the admin API fails, and what its caller is told. The one place in the projector that makes a `Status`.

use std::time::Duration;

use tally_runtime::{Refusal, store_unavailable};
use tonic::{Code, Status};

use crate::conduct::{self, Unfit};
use crate::retry::Failure;
use crate::retry_parked;

/// When to ask again for the promotion of a rebuild that has not caught up.
const BEHIND_RETRY_DELAY: Duration = Duration::from_secs(1);

pub(crate) fn no_projection(name: &str) -> Status {
    Refusal::new(Code::NotFound, "PROJECTION_NOT_FOUND", "there is no projection of this name")
        .with("projection", name)
        .into()
}

/// A store is away, or not as it should be.
pub(crate) fn failed(failure: Failure) -> Status {
    store_unavailable(&failure.to_string()).into()
}

pub(crate) fn conduct_refused(error: conduct::Error) -> Status {
    let unfit = match error {
        conduct::Error::Failed(failure) => return failed(failure),
        conduct::Error::Unfit(unfit) => unfit,
    };
    let refused = |reason| Refusal::new(Code::FailedPrecondition, reason, unfit.to_string());
    match unfit {
        Unfit::UnderWay => refused("REBUILD_UNDER_WAY"),
        Unfit::NotUnderWay => refused("NO_REBUILD"),
        Unfit::Behind => refused("REBUILD_BEHIND").retry_after(BEHIND_RETRY_DELAY),
        Unfit::NothingKept => refused("NOTHING_KEPT"),
        Unfit::Unknown => refused("NOTHING_PROJECTED"),
    }
    .into()
}

pub(crate) fn retry_refused(error: retry_parked::Error) -> Status {
    let message = error.to_string();
    let (code, reason) = match error {
        retry_parked::Error::Failed(failure) => return failed(failure),
        retry_parked::Error::NotParked => (Code::NotFound, "EVENT_NOT_PARKED"),
        retry_parked::Error::NoSingleView => (Code::FailedPrecondition, "NO_SINGLE_VIEW"),
        retry_parked::Error::StillUnfoldable(_) => (Code::FailedPrecondition, "STILL_UNFOLDABLE"),
    };
    Refusal::new(code, reason, message).into()
}
