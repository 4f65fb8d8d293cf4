//! An error as a client sees it, and what no error may ever show.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What a call gives.
pub type Answer<T> = Result<T, Error>;

/// `ErrorInfo.domain` of every error of ours.
const DOMAIN: &str = "tally";
/// What would tell a caller about our insides. In lower case.
const SECRETS: [&str; 20] = [
    "select ",
    "insert ",
    "update ",
    "delete ",
    "sqlstate",
    "sqlx",
    "postgres",
    "redis",
    "relation \"",
    "constraint",
    "tally:",
    "tally_",
    "127.0.0.1",
    "localhost",
    "::1",
    "panicked",
    "backtrace",
    ".rs:",
    "os error",
    "prost",
];

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty without an ErrorInfo.
    pub reason: String,
    /// What people read.
    pub message: String,
    /// `BadRequest`: each field and what is wrong with it.
    pub violations: Vec<(String, String)>,
    /// `ErrorInfo.metadata`: what programs read.
    pub metadata: BTreeMap<String, String>,
    /// No server sent it: a connection was refused or cut.
    pub is_local: bool,
    /// `RetryInfo`: when to try again.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// The error in a status. One that a server sent is looked over for what no caller may see.
    ///
    /// # Panics
    /// When it shows any of that.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let error = Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: violations
                .iter()
                .map(|violation| (violation.field.clone(), violation.description.clone()))
                .collect(),
            is_local: status.source().is_some(),
            metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        };
        if !error.is_local {
            error.shows_no_secret();
            if let Some(info) = info {
                assert_eq!(info.domain, DOMAIN, "the domain of {error:?}");
            }
        }
        error
    }

    /// The names of the bad fields, sorted.
    pub fn bad_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = self.violations.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        fields
    }

    /// Checks that no text of it tells about our insides.
    ///
    /// # Panics
    /// When one does.
    pub fn shows_no_secret(&self) {
        let descriptions = self.violations.iter().flat_map(|(field, description)| [field, description]);
        let facts = self.metadata.iter().flat_map(|(key, value)| [key, value]);
        for text in descriptions.chain(facts).chain([&self.message]) {
            let lower = text.to_lowercase();
            for secret in SECRETS {
                assert!(!lower.contains(secret), "an error shows {secret:?}: {self:?}");
            }
        }
    }

    /// Whether it is this code for this reason.
    pub fn is(&self, code: Code, reason: &str) -> bool {
        self.code == code && self.reason == reason
    }
}
