//! Every way in which a query fails, and what its caller is told. The one place on the read side that makes a `Status`.

use std::time::Duration;

use tally_api::consistency::v1::Freshness;
use tally_event_store::Error as LogError;
use tally_read_model::Error as StoreError;
use tally_runtime::{Refusal, STORE_UNAVAILABLE, Violations, overloaded, store_unavailable};
use tonic::{Code, Status};

use crate::metrics::METRICS;
use crate::read_after::OF_ANOTHER_LOG;

/// When to ask again for what a projection hasn't got to yet.
const NOT_YET_VISIBLE_RETRY_DELAY: Duration = Duration::from_millis(250);

/// The reason for DATA_LOSS when a view isn't one.
const VIEW_UNREADABLE: &str = "VIEW_UNREADABLE";
/// When to open a stream again that was ended from here.
const STREAM_RETRY_DELAY: Duration = Duration::from_millis(100);

/// When to ask again for views that are made again.
const RECOVERING_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why a query has no answer.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// There is no such thing, as of `position`.
    NotFound { what: Missing, position: i64, may_be_stale: bool },
    /// The wait was over before `projection` had got to what was asked for, and the caller wants no older answer.
    NotYetVisible { projection: &'static str, position: u64, wanted: Wanted },
    /// `read_after.token` is about another log than the one that is read here.
    TokenOfAnotherLog,
    /// This limit is reached.
    Overloaded { limit: &'static str },
    /// The views are not all there, for now: they were lost and are made again, and can be read from this position on.
    Recovering { shard: u16, complete_from: u64 },
    /// What was asked for was lost and is made again.
    Lost,
    /// What was asked for lacks an event that could not be projected.
    Incomplete { projection: &'static str, parked: u64 },
    /// Redis is away, or took longer than the caller had.
    StoreUnavailable,
    /// What is stored isn't what the projector writes.
    Unreadable,
    /// The log can't be read now. A subscription knows where to go on.
    LogUnavailable(Option<Resume>),
    /// The log ends at `head`, before the position that a subscription stands at.
    BeyondLog { position: u64, head: u64 },
    /// The database holds another log now.
    LogReplaced(Resume),
    /// The event after this position is missing.
    LogHasHole(Resume),
    /// The caller took too long to take a message.
    SlowReader(Resume),
    /// The process stops.
    ShuttingDown(Resume),
}

/// Where a stream of messages had got to: what its caller goes on from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Resume {
    pub(crate) position: u64,
    /// The version of the last view that was sent, where there is one.
    pub(crate) version: Option<i64>,
}

/// What isn't there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    Order,
    Allocations,
    Stock,
    Stream,
}

/// What a projection must have got to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Position(u64),
    StreamVersion { stream_id: String, version: u64 },
}

impl Failure {
    /// `what` isn't there, by an answer of this freshness.
    pub(crate) fn not_found(what: Missing, freshness: &Freshness) -> Self {
        Failure::NotFound { what, position: freshness.position, may_be_stale: freshness.may_be_stale }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            // The readiness probe says so once; a line for each read would say it a thousand times a second.
            StoreError::Unavailable(_) | StoreError::Refused(_) => Failure::StoreUnavailable,
            StoreError::NotBuilt { shard, complete_from, .. } => Failure::Recovering { shard, complete_from },
            StoreError::Lost => Failure::Lost,
            StoreError::Layout { .. } => Failure::StoreUnavailable,
            StoreError::Corrupt(_) | StoreError::ForeignLog | StoreError::Settings(_) => {
                tracing::error!(%error, "the read model can't be read");
                Failure::Unreadable
            }
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        match error {
            LogError::Unavailable(_) => tracing::debug!(cause, "the log can't be read"),
            LogError::Refused(_) => tracing::error!(cause, "the log can't be read"),
        }
        Failure::LogUnavailable(None)
    }
}

impl Failure {
    /// The reason that a caller is given, as far as a stream of messages can end by it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Failure::SlowReader(_) => "SLOW_READER",
            Failure::ShuttingDown(_) => "SHUTTING_DOWN",
            Failure::BeyondLog { .. } => "BEYOND_LOG",
            Failure::LogReplaced(_) => "LOG_REPLACED",
            Failure::LogHasHole(_) => "LOG_HAS_HOLE",
            Failure::LogUnavailable(_) | Failure::StoreUnavailable => STORE_UNAVAILABLE,
            Failure::Unreadable => VIEW_UNREADABLE,
            Failure::Recovering { .. } | Failure::Lost => "VIEWS_RECOVERING",
            Failure::Incomplete { .. } => "VIEW_INCOMPLETE",
            Failure::NotFound { .. }
            | Failure::NotYetVisible { .. }
            | Failure::TokenOfAnotherLog
            | Failure::Overloaded { .. } => "REFUSED",
        }
    }

    /// Says where to go on from, where a subscription's own failure did not know.
    pub(crate) fn at(self, position: u64) -> Self {
        match self {
            Failure::LogUnavailable(_) => Failure::LogUnavailable(Some(Resume { position, version: None })),
            other => other,
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let reason = failure.reason();
        match failure {
            Failure::NotFound { what, position, may_be_stale } => not_found(what, position, may_be_stale).into(),
            Failure::NotYetVisible { projection, position, wanted } => {
                not_yet_visible(projection, position, wanted).into()
            }
            Failure::TokenOfAnotherLog => token_of_another_log(),
            Failure::Recovering { .. } | Failure::Lost => Refusal::new(
                Code::Unavailable,
                reason,
                "the read model lost what is asked for, or has not got it yet, and is making it",
            )
            .retry_after(RECOVERING_RETRY_DELAY)
            .into(),
            Failure::Incomplete { projection, parked } => Refusal::new(
                Code::Unavailable,
                reason,
                format!("the event at position {parked} could not be projected; what is asked for waits for it"),
            )
            .with("projection", projection)
            .with("parked_position", parked)
            .into(),
            Failure::Overloaded { limit } => {
                METRICS.overloaded(limit);
                overloaded(limit).into()
            }
            Failure::StoreUnavailable => store_unavailable("the read model can't be reached").into(),
            Failure::Unreadable => {
                Refusal::new(Code::DataLoss, reason, "what is stored can't be read; rebuild the projection").into()
            }
            Failure::LogUnavailable(resume) => {
                let refusal = store_unavailable("the log of events can't be reached");
                match resume {
                    Some(resume) => resume.told_in(refusal).into(),
                    None => refusal.into(),
                }
            }
            Failure::BeyondLog { position, head } => beyond_log(position, head).into(),
            Failure::LogReplaced(resume) => {
                let message = "the database holds another log than a moment ago";
                resume.told_in(Refusal::new(Code::FailedPrecondition, reason, message)).into()
            }
            Failure::LogHasHole(resume) => {
                let message = format!("the event after position {} is missing", resume.position);
                resume.told_in(Refusal::new(Code::DataLoss, reason, message)).into()
            }
            Failure::SlowReader(resume) => {
                let message = "the messages were not taken in time; go on from where they ended";
                let refusal = Refusal::new(Code::ResourceExhausted, reason, message);
                resume.told_in(refusal).retry_after(STREAM_RETRY_DELAY).into()
            }
            Failure::ShuttingDown(resume) => {
                let message = "this process stops; another one goes on";
                let refusal = Refusal::new(Code::Unavailable, reason, message);
                resume.told_in(refusal).retry_after(STREAM_RETRY_DELAY).into()
            }
        }
    }
}

impl Resume {
    fn told_in(self, refusal: Refusal) -> Refusal {
        let refusal = refusal.with("position", self.position);
        match self.version {
            Some(version) => refusal.with("version", version),
            None => refusal,
        }
    }
}

fn beyond_log(position: u64, head: u64) -> Refusal {
    let message = format!("the log ends at position {head}, before {position}: it lost events when it was restored");
    Refusal::new(Code::FailedPrecondition, "BEYOND_LOG", message).with("position", position).with("head", head)
}

fn not_found(what: Missing, position: i64, may_be_stale: bool) -> Refusal {
    let (reason, message) = match what {
        Missing::Order => ("ORDER_NOT_FOUND", "there is no such order"),
        Missing::Allocations => ("ALLOCATIONS_NOT_FOUND", "nothing is allocated to this order"),
        Missing::Stream => ("STREAM_NOT_FOUND", "the stream has no event"),
        Missing::Stock => ("STOCK_NOT_FOUND", "no batch of this SKU was ever created"),
    };
    let refusal = Refusal::new(Code::NotFound, reason, message).with("position", position);
    if may_be_stale { refusal.with("may_be_stale", true) } else { refusal }
}

fn not_yet_visible(projection: &str, position: u64, wanted: Wanted) -> Refusal {
    let message = format!("the projection {projection} is at position {position}, before what was asked for");
    let refusal = Refusal::new(Code::Unavailable, "NOT_YET_VISIBLE", message)
        .with("projection", projection)
        .with("position", position)
        .retry_after(NOT_YET_VISIBLE_RETRY_DELAY);
    match wanted {
        Wanted::Position(wanted) => refusal.with("wanted", wanted),
        Wanted::StreamVersion { stream_id, version } => {
            refusal.with("wanted_stream_id", stream_id).with("wanted_version", version)
        }
    }
}

fn token_of_another_log() -> Status {
    let mut violations = Violations::new();
    violations.add("read_after.token", OF_ANOTHER_LOG);
    violations.into_result().err().unwrap_or_else(|| Status::invalid_argument(OF_ANOTHER_LOG))
}

#[cfg(test)]
mod tests;
