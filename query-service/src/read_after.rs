//! What a query must have seen before it answers, as the caller said it.

use std::time::Duration;

use tally_api::consistency::v1::{self as proto, read_after};
use tally_receipt::Token;
use tally_runtime::{Violations, limits};
use uuid::Uuid;

/// The kinds of streams there are, as their ids begin.
const STREAM_KINDS: [&str; 3] = ["order-", "product-", "batch-"];
/// Characters in a stream id: what comes before the identifier, and the identifier.
pub(crate) const STREAM_ID_CHARS_MAX: usize = limits::IDENTIFIER_CHARS_MAX + "product-".len();

/// What must have been seen, how long to wait for it, and what then.
#[derive(Debug, PartialEq)]
pub(crate) struct ReadAfter {
    pub(crate) after: After,
    pub(crate) timeout: Duration,
    /// Otherwise what there is is the answer, and says that it may be stale.
    pub(crate) fail_on_timeout: bool,
}

/// What must have been seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum After {
    Nothing,
    Position(u64),
    /// A position of the log that the token names, and of no other.
    Token(Token),
    StreamVersion {
        stream_id: String,
        version: u64,
    },
}

impl ReadAfter {
    /// Notes what is wrong in `violations`; what is returned is good only if nothing was. `log_id` is the log that is read here, as far as that
    /// is known: a token of another one is wrong.
    pub(crate) fn parse(violations: &mut Violations, given: Option<proto::ReadAfter>, log_id: Option<Uuid>) -> Self {
        let given = given.unwrap_or_default();
        Self {
            after: given.after.map_or(After::Nothing, |given| after(violations, given, log_id)),
            timeout: given.timeout.map_or(limits::WAIT_DEFAULT, |given| timeout(violations, given)),
            fail_on_timeout: fail_on_timeout(violations, given.on_timeout),
        }
    }
}

fn after(violations: &mut Violations, given: read_after::After, log_id: Option<Uuid>) -> After {
    match given {
        read_after::After::Token(text) => token(violations, &text, log_id),
        read_after::After::Position(position) => After::Position(u64::try_from(position).unwrap_or_else(|_| {
            violations.add("read_after.position", "must not be negative");
            0
        })),
        read_after::After::StreamVersion(given) => {
            let stream_id = stream_id(violations, "read_after.stream_version.stream_id", &given.stream_id);
            let version = u64::try_from(given.version).unwrap_or_default();
            if version == 0 {
                violations.add("read_after.stream_version.version", "must be at least 1, the version of a first event");
            }
            After::StreamVersion { stream_id, version }
        }
    }
}

fn token(violations: &mut Violations, text: &str, log_id: Option<Uuid>) -> After {
    match Token::decode(text) {
        Ok(token) => {
            if log_id.is_some_and(|log_id| is_of_another_log(&token, log_id)) {
                violations.add("read_after.token", OF_ANOTHER_LOG);
            }
            After::Token(token)
        }
        Err(malformed) => {
            violations.add("read_after.token", malformed.to_string());
            After::Nothing
        }
    }
}

/// What is said of a token that another log handed out.
pub(crate) const OF_ANOTHER_LOG: &str = "was handed out by another log than the one that is read here";

/// The token of an answer that was given before the read model belonged to any log. Every log is past it.
pub(crate) const BEFORE_ANY_LOG: Token = Token { log_id: Uuid::nil(), position: 0 };

/// Whether a position of the log `log_id` says nothing about what `token` asks for.
pub(crate) fn is_of_another_log(token: &Token, log_id: Uuid) -> bool {
    token.log_id != log_id && *token != BEFORE_ANY_LOG
}

/// The id of a stream, as it is stored.
pub(crate) fn stream_id(violations: &mut Violations, field: &str, given: &str) -> String {
    violations.text(field, given, STREAM_ID_CHARS_MAX);
    let id = STREAM_KINDS.iter().find_map(|kind| given.strip_prefix(kind).filter(|id| !id.is_empty()));
    if id.is_none() && !given.is_empty() {
        violations.add(field, "must be order-ORDER_ID, product-SKU or batch-BATCH_REF");
    }
    match given.strip_prefix("order-") {
        Some(order_id) => format!("order-{}", canonical_order_id(order_id)),
        None => given.to_owned(),
    }
}

/// An order id as it is stored: one that is a UUID in lower case, any other as it is.
pub(crate) fn canonical_order_id(order_id: &str) -> String {
    let is_uuid = order_id.len() == uuid::fmt::Hyphenated::LENGTH && Uuid::try_parse(order_id).is_ok();
    if is_uuid { order_id.to_ascii_lowercase() } else { order_id.to_owned() }
}

fn timeout(violations: &mut Violations, given: prost_types::Duration) -> Duration {
    let seconds = u64::try_from(given.seconds).ok();
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let timeout = seconds.zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    timeout.filter(|timeout| !timeout.is_zero() && *timeout <= limits::WAIT_MAX).unwrap_or_else(|| {
        let seconds_max = limits::WAIT_MAX.as_secs();
        violations.add("read_after.timeout", format!("must be above 0 s and at most {seconds_max} s"));
        limits::WAIT_DEFAULT
    })
}

fn fail_on_timeout(violations: &mut Violations, given: i32) -> bool {
    match proto::OnTimeout::try_from(given) {
        Ok(proto::OnTimeout::Unspecified | proto::OnTimeout::ReturnStale) => false,
        Ok(proto::OnTimeout::Fail) => true,
        Err(_) => {
            violations.add("read_after.on_timeout", "is none of the values that there are");
            false
        }
    }
}

#[cfg(test)]
mod tests;
