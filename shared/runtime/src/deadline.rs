//! How much time a caller has left.

use std::time::Duration;

use http::HeaderMap;
use tonic::metadata::MetadataMap;

/// What is kept back from a caller's deadline, so that our answer is there before it gives up.
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(100);

/// The time that is left to answer within the deadline the caller sent as `grpc-timeout`, less a margin of a tenth of it (at most 100 ms) for
/// the way back. None when it sent none, or one that isn't in the form the gRPC specification gives.
pub fn time_left(metadata: &MetadataMap) -> Option<Duration> {
    time_left_by(metadata.as_ref())
}

/// [`time_left`], where a call is still a request of HTTP.
pub(crate) fn time_left_by(headers: &HeaderMap) -> Option<Duration> {
    let deadline = parse(headers.get("grpc-timeout")?.to_str().ok()?)?;
    Some(deadline - ANSWER_MARGIN_MAX.min(deadline / 10))
}

/// At most eight digits and a unit: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(value: &str) -> Option<Duration> {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", value.parse().expect("ascii"));
        time_left(&metadata)
    }

    #[test]
    fn every_unit_is_read_and_a_margin_kept() {
        assert_eq!(left("10S"), Some(Duration::from_millis(9_900)));
        assert_eq!(left("500m"), Some(Duration::from_millis(450)));
        assert_eq!(left("1000u"), Some(Duration::from_micros(900)));
        assert_eq!(left("1000n"), Some(Duration::from_nanos(900)));
        assert_eq!(left("2M"), Some(Duration::from_millis(119_900)));
        assert_eq!(left("1H"), Some(Duration::from_millis(3_599_900)));
    }

    #[test]
    fn what_is_not_a_timeout_is_none() {
        for value in ["", "S", "x", "123456789S", "-1S", "+1S", "1.5S", "10"] {
            assert_eq!(left(value), None, "{value}");
        }
    }
}
