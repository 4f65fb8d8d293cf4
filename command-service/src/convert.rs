//! Where proto types stop: requests become the domain's commands, what the domain decided becomes responses.

mod answers;
mod orders;
mod requests;

pub(crate) use answers::{line_outcome, line_outcomes, receipt};

use tally_domain::Command;
use tally_runtime::Violations;
use uuid::Uuid;

/// A command request, decoded.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) command_id: Option<Uuid>,
    pub(crate) expected_version: Option<u64>,
    pub(crate) validate_only: bool,
}

/// A request message that asks for a command.
pub(crate) trait IntoCommand {
    /// Decodes the message, noting every field that is wrong. The command is only good for anything when nothing was noted.
    fn into_command(self, violations: &mut Violations) -> Request;
}

fn expected_version(violations: &mut Violations, value: Option<i64>) -> Option<u64> {
    let version = value?;
    u64::try_from(version).map_err(|_| violations.add("expected_version", "must not be negative")).ok()
}
