//! What callers are told of a failure: every case, one code and one reason each.

use tally_domain::Rejection;
use tally_runtime::{Refusal, overloaded, store_unavailable};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::sequencer::Failure;

/// The outcome of a command isn't known in these cases, so the error names the id under which it can be sent again without a second effect.
pub(crate) fn to_status(failure: Failure, command_id: Uuid) -> Status {
    match failure {
        Failure::Rejected(rejection) => Refusal::new(code(&rejection), rejection.reason(), rejection.to_string()),
        Failure::VersionMismatch { expected, actual } => Refusal::new(
            Code::Aborted,
            "VERSION_MISMATCH",
            format!("the stream is at version {actual}, not at the expected {expected}"),
        )
        .with("expected", expected)
        .with("actual", actual),
        Failure::CommandIdReused => Refusal::new(
            Code::AlreadyExists,
            "COMMAND_ID_REUSED",
            "a command with this command_id and other content came before",
        )
        .with("command_id", command_id),
        Failure::Overloaded { limit } => overloaded(limit),
        Failure::Unavailable => {
            store_unavailable("the event store is away; the outcome is not known: send the same command_id again")
                .with("command_id", command_id)
        }
        Failure::TimedOut => {
            store_unavailable("no answer in time; the outcome is not known: send the same command_id again")
                .with("command_id", command_id)
        }
        Failure::Unreadable => Refusal::new(
            Code::Unavailable,
            "STREAM_UNREADABLE",
            "a stored event can't be read by this version of the service",
        ),
        Failure::Internal => Refusal::new(Code::Internal, "INTERNAL", "an internal error; it is in the service's log")
            .with("command_id", command_id),
    }
    .into()
}

fn code(rejection: &Rejection) -> Code {
    match rejection {
        Rejection::OrderExists { .. } | Rejection::BatchExists { .. } => Code::AlreadyExists,
        Rejection::OrderNotFound { .. } | Rejection::BatchNotFound { .. } | Rejection::AllocationNotFound { .. } => {
            Code::NotFound
        }
        _ => Code::FailedPrecondition,
    }
}
