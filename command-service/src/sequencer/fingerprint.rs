//! What tells a repeated command from another one under the same id. A stored format: changing it makes repetitions of older commands look
//! like other content.

use serde::Serialize;
use sha2::{Digest, Sha256};
use tally_domain::Command;

use super::{Failure, Submission};

/// What a command asks for. Where it came from and how long its caller waits are no part of it.
#[derive(Serialize)]
struct Content<'a> {
    command: &'a Command,
    expected_version: Option<u64>,
    /// Who may touch one customer's things alone must not get the outcome of a command that touched another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_to: Option<&'a str>,
}

/// SHA-256 over the content as JSON, and how many bytes that is.
pub(super) fn of(submission: &Submission) -> Result<([u8; 32], usize), Failure> {
    let content = Content {
        command: &submission.command,
        expected_version: submission.expected_version,
        bound_to: submission.customer_id.as_deref(),
    };
    let json = serde_json::to_vec(&content).map_err(|error| {
        tracing::error!(%error, "a command can't be encoded");
        Failure::Internal
    })?;
    Ok((Sha256::digest(&json).into(), json.len()))
}
