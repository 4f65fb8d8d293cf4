//! Hand-made histories, good and bad: the checker is worth what it refuses.

mod bad;
mod bad_streams;
mod story;

use story::Story;

#[test]
fn a_history_as_it_should_be_breaks_no_rule() {
    let story = Story::good();
    let verdict = story.check();
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.views_checked, 7);
}

#[test]
fn what_is_told_to_those_who_listen_breaks_no_rule() {
    let story = Story::good().listened_to();
    let verdict = story.check();
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.views_checked, verdict.handed_checked, verdict.published_checked), (10, 3, 1));
}

#[test]
fn an_unknown_outcome_may_have_happened_or_not() {
    let mut story = Story::good();
    story.unknown(77, 10, 20);
    assert_eq!(story.check().violations, [], "it did not happen");

    let mut story = Story::good();
    story.result_of(2, story::unknown());
    assert_eq!(story.check().violations, [], "it happened");
}

#[test]
fn a_command_that_is_settled_by_sending_it_again_is_one_command() {
    let mut story = Story::good();
    story.again(2, 50, 60);
    assert_eq!(story.check().violations, []);
}

#[test]
fn a_flagged_answer_may_be_from_before_its_token_while_something_is_wrong() {
    let mut story = Story::good();
    story.fault(0, 100, false);
    story.read_stock(500, 0, true, 3);
    assert_eq!(story.check().violations, []);
}

#[test]
fn only_the_first_violations_of_a_rule_are_told() {
    let mut story = Story::good();
    for number in 0..100 {
        story.acknowledge(1_000 + number, 10, 20, "product-LAMP", 1, 1);
    }
    let verdict = story.check();
    assert_eq!((verdict.violations.len(), verdict.left_out), (20, 80));
}
