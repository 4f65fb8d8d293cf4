//! The errors that callers see: a code, a documented reason, and what a client needs to act on it.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// `ErrorInfo.domain` of every error of ours.
const ERROR_DOMAIN: &str = "tally";
/// The reason for UNAVAILABLE when Postgres or Redis is away.
pub const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";

/// When to try again after a store was away.
const STORE_RETRY_DELAY: Duration = Duration::from_millis(500);
/// When to try again after a limit was reached.
const OVERLOAD_RETRY_DELAY: Duration = Duration::from_millis(100);

/// An error under construction. Nothing in it may name SQL, a key or a host.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    bad_fields: Vec<FieldViolation>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// `reason` is UPPER_SNAKE and stands in the protos' comments; `message` is for people.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            bad_fields: Vec::new(),
            retry_after: None,
        }
    }

    /// Adds a fact for programs to read.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Names the fields of the request that are wrong.
    #[must_use]
    pub(crate) fn bad_fields(mut self, fields: Vec<FieldViolation>) -> Self {
        self.bad_fields = fields;
        self
    }

    /// Says that a retry helps, and when.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::with_error_info(refusal.reason, ERROR_DOMAIN, refusal.metadata);
        if !refusal.bad_fields.is_empty() {
            details.set_bad_request(refusal.bad_fields);
        }
        if let Some(delay) = refusal.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(refusal.code, refusal.message, details)
    }
}

/// UNAVAILABLE: Postgres or Redis is away.
pub fn store_unavailable(message: &str) -> Refusal {
    Refusal::new(Code::Unavailable, STORE_UNAVAILABLE, message).retry_after(STORE_RETRY_DELAY)
}

/// RESOURCE_EXHAUSTED: the named limit is reached.
pub fn overloaded(limit: &str) -> Refusal {
    Refusal::new(Code::ResourceExhausted, "OVERLOADED", format!("too much load: {limit} is reached"))
        .with("limit", limit)
        .retry_after(OVERLOAD_RETRY_DELAY)
}
