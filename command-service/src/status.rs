//! What callers are told of a failure: every case, one code and one reason each.

use tally_domain::Rejection;
use tally_runtime::{Refusal, not_yours, overloaded, store_unavailable};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::sequencer::Failure;

/// The outcome of a command isn't known in these cases, so the error names the id under which it can be sent again without a second effect.
pub(crate) fn to_status(failure: Failure, command_id: Uuid) -> Status {
    match failure {
        Failure::Rejected(rejection) => {
            let refusal = Refusal::new(code(&rejection), rejection.reason(), rejection.to_string());
            facts(&rejection).into_iter().fold(refusal, |refusal, (key, value)| refusal.with(key, value))
        }
        Failure::VersionMismatch { stream_id, expected, actual } => Refusal::new(
            Code::Aborted,
            "VERSION_MISMATCH",
            format!("{stream_id} is at version {actual}, not at the expected {expected}"),
        )
        .with("stream_id", stream_id)
        .with("expected", expected)
        .with("actual", actual),
        Failure::NotYours => not_yours(),
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
        Rejection::InvalidSku { .. }
        | Rejection::TooManyBatches { .. }
        | Rejection::LineDiffers { .. }
        | Rejection::NotInOrder { .. }
        | Rejection::OrderCancelled { .. }
        | Rejection::OrderShipped { .. }
        | Rejection::ItemsNotInStock { .. }
        | Rejection::TotalOverflow
        | Rejection::CommandTooLarge => Code::FailedPrecondition,
    }
}

/// What the refusal is about, for programs to read.
fn facts(rejection: &Rejection) -> Vec<(&'static str, String)> {
    match rejection {
        Rejection::InvalidSku { sku } | Rejection::TooManyBatches { sku } => vec![("sku", sku.clone())],
        Rejection::BatchExists { batch_ref } | Rejection::BatchNotFound { batch_ref } => {
            vec![("batch_ref", batch_ref.clone())]
        }
        Rejection::LineDiffers { order_id, sku, quantity } => {
            vec![("order_id", order_id.clone()), ("sku", sku.clone()), ("quantity", quantity.to_string())]
        }
        Rejection::AllocationNotFound { order_id, sku }
        | Rejection::NotInOrder { order_id, sku }
        | Rejection::ItemsNotInStock { order_id, sku } => vec![("order_id", order_id.clone()), ("sku", sku.clone())],
        Rejection::OrderExists { order_id }
        | Rejection::OrderNotFound { order_id }
        | Rejection::OrderCancelled { order_id }
        | Rejection::OrderShipped { order_id } => vec![("order_id", order_id.clone())],
        Rejection::TotalOverflow | Rejection::CommandTooLarge => Vec::new(),
    }
}
