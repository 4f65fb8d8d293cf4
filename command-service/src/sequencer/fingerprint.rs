//! What tells a repeated command from another one under the same id. A stored format: changing it makes repetitions of older commands look
//! like other content.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Failure, Submission};

/// SHA-256 over the command and its condition as JSON. Where it came from and how long its caller waits are not part of its content.
pub(super) fn of(submission: &Submission) -> Result<[u8; 32], Failure> {
    let content = serde_json::to_value(&submission.command).map_err(|error| {
        tracing::error!(%error, "a command can't be encoded");
        Failure::Internal
    })?;
    let content = json!({ "command": content, "expected_version": submission.expected_version });
    Ok(Sha256::digest(content.to_string()).into())
}
