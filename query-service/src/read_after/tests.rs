use tally_api::consistency::v1::StreamVersion;
use tonic_types::StatusExt;

use super::*;

const LOG: Uuid = Uuid::from_u128(1);
const OTHER_LOG: Uuid = Uuid::from_u128(2);

fn parsed(given: proto::ReadAfter) -> Result<ReadAfter, Vec<String>> {
    let mut violations = Violations::new();
    let read_after = ReadAfter::parse(&mut violations, Some(given), Some(LOG));
    match violations.into_result() {
        Ok(()) => Ok(read_after),
        Err(status) => {
            let details = status.get_error_details();
            let found = &details.bad_request().expect("a BadRequest").field_violations;
            Err(found.iter().map(|violation| violation.field.clone()).collect())
        }
    }
}

fn asking(after: read_after::After) -> proto::ReadAfter {
    proto::ReadAfter { after: Some(after), ..Default::default() }
}

fn waiting(seconds: i64, nanos: i32) -> proto::ReadAfter {
    proto::ReadAfter { timeout: Some(prost_types::Duration { seconds, nanos }), ..Default::default() }
}

fn stream_at(stream_id: &str, version: i64) -> proto::ReadAfter {
    asking(read_after::After::StreamVersion(StreamVersion { stream_id: stream_id.to_owned(), version }))
}

fn refused(given: proto::ReadAfter) -> Vec<String> {
    parsed(given).expect_err("violations")
}

#[test]
fn nothing_asked_is_nothing_to_wait_for() {
    let mut violations = Violations::new();
    let read_after = ReadAfter::parse(&mut violations, None, None);
    assert!(violations.into_result().is_ok());
    let expected = ReadAfter { after: After::Nothing, timeout: limits::WAIT_DEFAULT, fail_on_timeout: false };
    assert_eq!(read_after, expected);
}

#[test]
fn each_way_to_ask_is_understood() {
    let token = Token { log_id: LOG, position: 7 };
    let after = |given| parsed(given).expect("valid").after;
    assert_eq!(after(asking(read_after::After::Token(token.encode()))), After::Token(token));
    assert_eq!(after(asking(read_after::After::Position(7))), After::Position(7));
    assert_eq!(after(asking(read_after::After::Position(0))), After::Position(0));
    for stream_id in ["order-o1", "product-SMALL-TABLE", "batch-b/1", "order-order-"] {
        let expected = After::StreamVersion { stream_id: stream_id.to_owned(), version: 3 };
        assert_eq!(after(stream_at(stream_id, 3)), expected);
    }
}

#[test]
fn the_longest_sku_has_a_stream_that_can_be_named() {
    let longest = format!("product-{}", "ü".repeat(limits::IDENTIFIER_CHARS_MAX));
    assert!(parsed(stream_at(&longest, 1)).is_ok());
    assert_eq!(refused(stream_at(&format!("{longest}x"), 1)), ["read_after.stream_version.stream_id"]);
}

#[test]
fn an_order_stream_is_found_in_whichever_case_its_uuid_is_written() {
    let given = stream_at("order-0192F0C1-7E1B-7C11-8D2E-1F2A3B4C5D6E", 1);
    let stream_id = "order-0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e".to_owned();
    assert_eq!(parsed(given).expect("valid").after, After::StreamVersion { stream_id, version: 1 });
    // Ids that aren't UUIDs belong to somebody else and stay as they are.
    let stream_id = "order-O1".to_owned();
    assert_eq!(parsed(stream_at("order-O1", 1)).expect("valid").after, After::StreamVersion { stream_id, version: 1 });
}

#[test]
fn a_text_that_is_no_token_is_refused() {
    let cut = &Token { log_id: LOG, position: 7 }.encode()[1..];
    for text in ["", "x", cut, &"A".repeat(100_000), "\0", "DROP TABLE events"] {
        assert_eq!(refused(asking(read_after::After::Token(text.to_owned()))), ["read_after.token"]);
    }
}

#[test]
fn a_token_of_another_log_is_refused() {
    let token = Token { log_id: OTHER_LOG, position: 7 }.encode();
    assert_eq!(refused(asking(read_after::After::Token(token))), ["read_after.token"]);
    let position_of_no_log = Token { log_id: Uuid::nil(), position: 1 }.encode();
    assert_eq!(refused(asking(read_after::After::Token(position_of_no_log))), ["read_after.token"]);
}

#[test]
fn a_token_from_before_there_was_a_log_is_good_for_every_log() {
    assert!(parsed(asking(read_after::After::Token(BEFORE_ANY_LOG.encode()))).is_ok());
}

#[test]
fn negative_positions_and_versions_below_the_first_are_refused() {
    for position in [-1, i64::MIN] {
        assert_eq!(refused(asking(read_after::After::Position(position))), ["read_after.position"]);
    }
    for version in [0, -1, i64::MIN] {
        assert_eq!(refused(stream_at("order-o1", version)), ["read_after.stream_version.version"]);
    }
}

#[test]
fn a_stream_that_cannot_be_is_refused() {
    for stream_id in ["", "order-", "product-", "o1", "customer-1", "Order-o1", "order-a\0", "order-a "] {
        assert_eq!(refused(stream_at(stream_id, 1)), ["read_after.stream_version.stream_id"], "{stream_id:?}");
    }
}

#[test]
fn timeouts_are_above_zero_and_at_most_a_minute() {
    assert_eq!(parsed(waiting(0, 1)).expect("valid").timeout, Duration::from_nanos(1));
    assert_eq!(parsed(waiting(60, 0)).expect("valid").timeout, limits::WAIT_MAX);
    for (seconds, nanos) in
        [(0, 0), (-1, 0), (0, -1), (60, 1), (61, 0), (i64::MAX, 0), (i64::MIN, i32::MIN), (1, -1), (0, 1_000_000_000)]
    {
        assert_eq!(refused(waiting(seconds, nanos)), ["read_after.timeout"], "{seconds} s {nanos} ns");
    }
}

#[test]
fn on_timeout_is_one_of_the_values_that_there_are() {
    let on_timeout = |on_timeout| parsed(proto::ReadAfter { on_timeout, ..Default::default() });
    assert!(!on_timeout(1).expect("valid").fail_on_timeout);
    assert!(on_timeout(2).expect("valid").fail_on_timeout);
    for unknown in [3, -1, i32::MAX] {
        assert_eq!(on_timeout(unknown).expect_err("violations"), ["read_after.on_timeout"]);
    }
}

#[test]
fn all_that_is_wrong_is_named_at_once() {
    let given = proto::ReadAfter {
        timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        on_timeout: 9,
        ..stream_at("nothing", 0)
    };
    let expected = [
        "read_after.stream_version.stream_id",
        "read_after.stream_version.version",
        "read_after.timeout",
        "read_after.on_timeout",
    ];
    assert_eq!(refused(given), expected);
}
