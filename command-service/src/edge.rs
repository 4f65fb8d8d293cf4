//! The gRPC edge: decode, submit, encode.

mod allocation;
mod orders;

use std::time::{Duration, Instant};

use tally_event_store::Metadata;
use tally_runtime::trace::{self, Span};
use tally_runtime::{Caller, Violations, time_left};
use tonic::{Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::convert::IntoCommand;
use crate::metrics::METRICS;
use crate::sequencer::{Failure, Outcome, Sequencer, Submission};
use crate::status::to_status;

/// Characters of a caller's metadata value that are kept with an event; what is longer is left out.
const METADATA_CHARS_MAX: usize = 256;

/// Both command services.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    sequencer: Sequencer,
    wait_max: Duration,
}

impl Edge {
    pub(crate) fn new(sequencer: Sequencer, wait_max: Duration) -> Self {
        Self { sequencer, wait_max }
    }

    /// Decodes a request and has it decided on. Gives what the response is made from, and the id that an order got.
    async fn execute<T: IntoCommand>(&self, request: tonic::Request<T>) -> Result<Outcome, Status> {
        let wait = time_left(request.metadata()).map_or(self.wait_max, |left| left.min(self.wait_max));
        let caller = Caller::of(request.extensions()).cloned();
        let customer_id = Caller::bound_customer(request.extensions()).map(str::to_owned);
        let metadata = event_metadata(request.metadata(), caller.as_deref());
        let mut violations = Violations::new();
        let decoded = request.into_inner().into_command(&mut violations);
        violations.into_result()?;

        let command_id = decoded.command_id.unwrap_or_else(Uuid::now_v7);
        let submission = Submission {
            command_id,
            repeatable: decoded.command_id.is_some(),
            command: decoded.command,
            expected_version: decoded.expected_version,
            validate_only: decoded.validate_only,
            customer_id,
            metadata,
            deadline: Instant::now() + wait,
        };
        let mut span = Span::of_call("decide and commit");
        #[cfg(not(feature = "planted-faults"))]
        let submitted = self.sequencer.submit(submission);
        #[cfg(feature = "planted-faults")]
        let submitted = crate::planted::submit(&self.sequencer, submission);
        let outcome = match tokio::time::timeout(wait, submitted).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::TimedOut),
        };
        if let Ok(Outcome { receipt: Some(receipt), .. }) = &outcome {
            span.set("tally.stream.id", receipt.stream_id.clone());
            span.set("tally.position", i64::try_from(receipt.position).unwrap_or(i64::MAX));
        }
        outcome.map_err(|failure| {
            match &failure {
                Failure::Overloaded { limit } => METRICS.overloaded(limit),
                Failure::TimedOut => METRICS.timed_out.inc(),
                // The cause was logged where it was seen, once for all commands that it hit. This line names the trace of one of them.
                Failure::Internal | Failure::Unreadable => {
                    tracing::error!(%command_id, "a command failed by no fault of its caller");
                }
                _ => {}
            }
            span.fail("the command was not carried out");
            to_status(failure, command_id)
        })
    }
}

/// What is kept with each event about where it came from. Ids that aren't plain short text are left out: they're only for tracing.
fn event_metadata(metadata: &MetadataMap, caller: Option<&Caller>) -> Metadata {
    let value = |key: &str| {
        let text = metadata.get(key)?.to_str().ok()?;
        (!text.is_empty() && text.len() <= METADATA_CHARS_MAX).then(|| text.to_owned())
    };
    Metadata {
        correlation_id: value("correlation-id"),
        causation_id: value("causation-id"),
        traceparent: trace::current().map(|context| context.to_string()),
        // Where callers are known, they can't say that they are somebody else.
        actor: caller.map_or_else(|| value("actor"), |caller| Some(caller.subject.clone())),
    }
}
