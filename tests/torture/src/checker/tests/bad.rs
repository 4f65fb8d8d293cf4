//! Each rule, broken once.

use std::collections::BTreeSet;

use super::story::{Story, allocated, failed, id, unknown};
use crate::checker::Rule;
use crate::history::{AttemptResult, ReadResult, View};

fn only(rule: Rule) -> BTreeSet<Rule> {
    BTreeSet::from([rule])
}

#[test]
fn a_hole_in_the_positions_is_found() {
    let mut story = Story::good();
    story.log.events[2].position = 4;
    story.log.head = 4;
    assert!(story.broken().contains(&Rule::Dense));
}

#[test]
fn a_head_beyond_the_last_event_is_found() {
    let mut story = Story::good();
    story.log.head = 4;
    assert_eq!(story.broken(), only(Rule::Dense));
}

#[test]
fn a_gap_in_a_stream_is_found() {
    let mut story = Story::good();
    story.log.events[2].version = 3;
    assert!(story.broken().contains(&Rule::Dense));
}

#[test]
fn an_acknowledged_command_that_is_not_in_the_log_is_found() {
    let mut story = Story::good();
    story.acknowledge(9, 200, 210, "product-LAMP", 3, 4);
    assert_eq!(story.broken(), only(Rule::NothingLost));
}

#[test]
fn a_command_that_is_elsewhere_than_its_receipt_says_is_found() {
    let mut story = Story::good();
    story.result_of(
        2,
        AttemptResult::Acknowledged { stream_id: "product-LAMP".to_owned(), version: 2, position: 2, answer: 1 },
    );
    assert!(story.broken().contains(&Rule::NothingLost));
}

#[test]
fn a_command_that_took_effect_twice_is_found() {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("p", 1));
    story.event(2, None, "product-LAMP", 4, "Allocated", allocated("q", 1));
    story.unknown(4, 40, 50);
    assert!(story.broken().contains(&Rule::NothingTwice));
}

#[test]
fn a_command_that_is_not_noted_is_found() {
    let mut story = Story::good();
    story.log.events[2].command_events = None;
    assert_eq!(story.broken(), only(Rule::NothingTwice));
}

#[test]
fn a_command_that_nobody_sent_is_found() {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("p", 1));
    assert_eq!(story.broken(), only(Rule::NothingForeign));
}

#[test]
fn a_refused_command_that_took_effect_is_found() {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("p", 1));
    story.refused(4, 200, 210, failed("FailedPrecondition", "INVALID_SKU", false));
    assert_eq!(story.broken(), only(Rule::NothingForeign));
}

#[test]
fn two_answers_to_one_command_are_found() {
    let mut story = Story::good();
    story.acknowledge(2, 200, 210, "product-LAMP", 2, 4);
    assert_eq!(story.broken(), only(Rule::OneAnswer));

    let mut story = Story::good();
    story.refused(2, 200, 210, failed("FailedPrecondition", "LINE_DIFFERS", false));
    assert_eq!(story.broken(), only(Rule::OneAnswer), "an acknowledged command that is refused later");
}

#[test]
fn an_order_against_real_time_is_found() {
    let mut story = Story::good();
    // Command 2 stands after command 1 and was acknowledged before that was sent.
    story.history.attempts[0].invoked_us = 45;
    story.history.attempts[0].ended_us = 48;
    assert_eq!(story.broken(), only(Rule::RealTime));
}

#[test]
fn an_oversold_batch_is_found() {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("p", 8));
    story.unknown(4, 40, 50);
    assert_eq!(story.broken(), only(Rule::NeverOversold));
}

#[test]
fn a_line_that_got_stock_twice_is_found() {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("o", 3));
    story.unknown(4, 40, 50);
    assert_eq!(story.broken(), only(Rule::NeverOversold));
}

#[test]
fn a_view_that_is_not_the_fold_at_its_position_is_found() {
    let mut story = Story::good();
    story.read(View::Stock("LAMP".to_owned()), 200, 3, false, 0, Some(1));
    assert_eq!(story.broken(), only(Rule::ViewIsFold));

    let mut story = Story::good();
    story.read(View::Stock("LAMP".to_owned()), 200, 3, false, 0, None);
    assert_eq!(story.broken(), only(Rule::ViewIsFold), "what is there is said not to be");

    for view in [View::History("o".to_owned()), View::Backorders("LAMP".to_owned())] {
        let mut story = Story::good();
        story.read(view, 200, 3, false, 0, Some(1));
        assert_eq!(story.broken(), only(Rule::ViewIsFold));
    }

    let mut story = Story::good();
    story.read(View::Order("o".to_owned()), 200, 4, false, 0, None);
    assert_eq!(story.broken(), only(Rule::ViewIsFold), "as of a position beyond the log");
}

#[test]
fn a_flagged_view_must_be_the_fold_too() {
    let mut story = Story::good();
    story.fault(0, 100, false);
    story.read(View::Stock("LAMP".to_owned()), 200, 2, true, 3, Some(1));
    assert_eq!(story.broken(), only(Rule::ViewIsFold));
}

#[test]
fn an_answer_from_before_its_token_is_found() {
    let mut story = Story::good();
    story.history.reads.clear();
    story.read_stock(200, 2, false, 3);
    assert_eq!(story.broken(), only(Rule::NeverStaleUnflagged));
}

#[test]
fn a_session_that_reads_backwards_is_found() {
    let mut story = Story::good();
    story.read_stock(200, 2, false, 2);
    assert_eq!(story.broken(), only(Rule::NeverBackwards));
}

#[test]
fn an_error_that_the_api_does_not_promise_is_found() {
    for failed in [
        failed("Internal", "INTERNAL", false),
        failed("Unknown", "", false),
        failed("AlreadyExists", "COMMAND_ID_REUSED", false),
        failed("Unavailable", "STORE_UNAVAILABLE", false),
        failed("InvalidArgument", "INVALID_FIELDS", false),
    ] {
        let mut story = Story::good();
        story.refused(9, 200, 210, failed.clone());
        assert_eq!(story.broken(), only(Rule::PromisedErrors), "{failed:?}");
    }
    let mut story = Story::good();
    story.history.reads[0].result = ReadResult::Failed(failed("DataLoss", "VIEW_UNREADABLE", false));
    assert_eq!(story.broken(), only(Rule::PromisedErrors));
}

#[test]
fn a_flag_where_nothing_is_wrong_is_found() {
    let mut story = Story::good();
    story.read_stock(200, 2, true, 3);
    assert_eq!(story.broken(), only(Rule::CalmInCalm));

    let mut story = Story::good();
    story.fault(0, 1_000, true);
    story.read_stock(200, 2, true, 3);
    assert_eq!(story.broken(), only(Rule::CalmInCalm), "what is harmless is no reason");
}

#[test]
fn a_view_that_stays_behind_and_a_client_that_is_broken_are_found() {
    let mut story = Story::good();
    story.history.views_behind.push("Stock".to_owned());
    assert_eq!(story.broken(), only(Rule::CatchesUp));

    let mut story = Story::good();
    story.history.broken_sessions.push("panicked".to_owned());
    assert_eq!(story.broken(), only(Rule::ClientsLive));
}

#[test]
fn an_unknown_outcome_excuses_nobody_else() {
    let mut story = Story::good();
    story.result_of(2, unknown());
    story.log.events[2].command_id = id(5);
    assert_eq!(story.broken(), only(Rule::NothingForeign));
}
