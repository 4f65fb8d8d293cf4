use std::collections::HashMap;

use tonic_types::{ErrorDetails, StatusExt};

use super::*;

struct Told {
    code: Code,
    message: String,
    details: ErrorDetails,
}

fn told(failure: Failure) -> Told {
    let status = Status::from(failure);
    Told { code: status.code(), message: status.message().to_owned(), details: status.get_error_details() }
}

impl Told {
    fn reason(&self) -> &str {
        let info = self.details.error_info().expect("ErrorInfo");
        assert_eq!(info.domain, "tally");
        &info.reason
    }

    fn metadata(&self) -> HashMap<&str, &str> {
        let info = self.details.error_info().expect("ErrorInfo");
        info.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn says_when_to_retry(&self) -> bool {
        self.details.retry_info().is_some_and(|info| info.retry_delay.is_some_and(|delay| !delay.is_zero()))
    }
}

#[test]
fn what_is_missing_is_named_with_the_position_that_it_is_missing_at() {
    let cases = [
        (Missing::Order, "ORDER_NOT_FOUND"),
        (Missing::Allocations, "ALLOCATIONS_NOT_FOUND"),
        (Missing::Stock, "STOCK_NOT_FOUND"),
    ];
    for (what, reason) in cases {
        let told = told(Failure::NotFound { what, position: 7, may_be_stale: false });
        assert_eq!((told.code, told.reason()), (Code::NotFound, reason));
        assert_eq!(told.metadata(), HashMap::from([("position", "7")]));
        assert!(!told.says_when_to_retry());
    }
}

#[test]
fn what_may_be_missing_only_because_the_answer_is_old_says_so() {
    let told = told(Failure::NotFound { what: Missing::Order, position: 7, may_be_stale: true });
    assert_eq!(told.metadata(), HashMap::from([("position", "7"), ("may_be_stale", "true")]));
}

#[test]
fn not_yet_visible_says_where_the_projection_stands() {
    let told = told(Failure::NotYetVisible { projection: "order", position: 7, wanted: Wanted::Position(9) });
    assert_eq!((told.code, told.reason()), (Code::Unavailable, "NOT_YET_VISIBLE"));
    assert_eq!(told.metadata(), HashMap::from([("projection", "order"), ("position", "7"), ("wanted", "9")]));
    assert!(told.says_when_to_retry());
}

#[test]
fn not_yet_visible_names_the_stream_that_was_waited_for() {
    let wanted = Wanted::StreamVersion { stream_id: "order-o1".to_owned(), version: 3 };
    let told = told(Failure::NotYetVisible { projection: "streams", position: 7, wanted });
    let expected =
        [("projection", "streams"), ("position", "7"), ("wanted_stream_id", "order-o1"), ("wanted_version", "3")];
    assert_eq!(told.metadata(), HashMap::from(expected));
}

#[test]
fn a_token_of_another_log_is_the_callers_to_mend() {
    let told = told(Failure::TokenOfAnotherLog);
    assert_eq!((told.code, told.reason()), (Code::InvalidArgument, "INVALID_FIELDS"));
    assert_eq!(told.details.bad_request().expect("a BadRequest").field_violations[0].field, "read_after.token");
}

#[test]
fn too_much_load_names_the_limit_and_says_when_to_retry() {
    let told = told(Failure::Overloaded { limit: "waiters_max" });
    assert_eq!((told.code, told.reason()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(told.metadata(), HashMap::from([("limit", "waiters_max")]));
    assert!(told.says_when_to_retry());
}

#[test]
fn whatever_ails_the_store_its_words_stay_inside() {
    let secret = "redis://:password@10.0.0.1:6379 WRONGPASS";
    let away = [StoreError::Unavailable(secret.to_owned()), StoreError::Refused(secret.to_owned())];
    for error in away {
        let told = told(error.into());
        assert_eq!((told.code, told.reason()), (Code::Unavailable, "STORE_UNAVAILABLE"));
        assert!(told.says_when_to_retry());
        assert!(!format!("{} {:?}", told.message, told.details).contains("pass"));
    }
    for error in [StoreError::Corrupt("a key of another type"), StoreError::ForeignLog, StoreError::Settings("")] {
        let told = told(error.into());
        assert_eq!((told.code, told.reason()), (Code::DataLoss, "VIEW_UNREADABLE"));
        assert!(!told.message.contains("key"));
    }
}
