//! google.rpc.Status's details as proto3's JSON shows them.

use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use super::Error;

/// The error in a code, a message and the details.
pub(super) fn error(code: Code, message: &str, details: &[Value]) -> Error {
    let detail = |kind: &str| {
        let of_kind = |detail: &&Value| detail["@type"].as_str().is_some_and(|name| name.ends_with(kind));
        details.iter().find(of_kind).cloned().unwrap_or_default()
    };
    let info = detail("google.rpc.ErrorInfo");
    let violations = detail("google.rpc.BadRequest")["fieldViolations"].take();
    let metadata = info["metadata"].as_object().cloned().unwrap_or_default();
    let error = Error {
        code,
        reason: text(&info["reason"]),
        message: message.to_owned(),
        violations: violations
            .as_array()
            .into_iter()
            .flatten()
            .map(|bad| (text(&bad["field"]), text(&bad["description"])))
            .collect(),
        metadata: metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        is_local: false,
        retry_after: detail("google.rpc.RetryInfo")["retryDelay"].as_str().and_then(duration),
    };
    error.shows_no_secret();
    error
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A duration such as `0.500s`.
fn duration(text: &str) -> Option<Duration> {
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs_f64)
}
