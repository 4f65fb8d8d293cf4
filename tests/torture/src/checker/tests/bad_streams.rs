//! Each rule for those who listen, broken once.

use std::collections::BTreeSet;

use serde_json::json;

use super::story::{Story, allocated, failed, told};
use crate::checker::Rule;
use crate::history::{EventFilter, Failed, Handed, Start, StreamEnd, Told};

fn only(rule: Rule) -> BTreeSet<Rule> {
    BTreeSet::from([rule])
}

fn watched(wanted: i64, told: Vec<Told>, end: StreamEnd) -> BTreeSet<Rule> {
    let mut story = Story::good();
    story.watch(wanted, told, end);
    story.broken()
}

fn ended(failed: Failed, position: Option<i64>, version: Option<i64>) -> StreamEnd {
    StreamEnd::Failed { failed, position, version }
}

fn slow_reader() -> Failed {
    failed("ResourceExhausted", "SLOW_READER", true)
}

#[test]
fn a_watch_that_tells_what_the_log_does_not_say_is_found() {
    let wrong = told(3, Some(1));
    assert_eq!(watched(0, vec![wrong], StreamEnd::GivenUp), only(Rule::ViewIsFold));
    let missing = StreamEnd::Missing { position: 3, may_be_stale: false };
    assert_eq!(watched(0, vec![], missing), only(Rule::ViewIsFold), "what is there is said not to be");
}

#[test]
fn a_sign_of_life_that_passes_over_a_change_is_found() {
    let passes_over = vec![told(2, Some(1)), told(3, None)];
    assert_eq!(watched(0, passes_over, StreamEnd::GivenUp), only(Rule::ViewIsFold));
}

#[test]
fn a_watch_that_begins_without_its_view_is_found() {
    assert_eq!(watched(0, vec![told(3, None)], StreamEnd::GivenUp), only(Rule::WatchForwards));
}

#[test]
fn a_watch_that_goes_back_is_found() {
    let mut story = Story::good();
    let batch = json!({"batch_ref": "c", "sku": "LAMP"});
    story.event(4, Some(1), "batch-c", 1, "BatchRefClaimed", batch);
    story.unknown(4, 40, 50);
    story.watch(0, vec![told(4, Some(2)), told(3, None)], StreamEnd::GivenUp);
    assert_eq!(story.broken(), only(Rule::WatchForwards));

    let mut first = told(2, Some(1));
    first.shown.as_mut().unwrap().version = 9;
    let goes_back = vec![first, told(3, Some(2))];
    assert_eq!(watched(0, goes_back, StreamEnd::GivenUp), only(Rule::WatchForwards), "its version");
}

#[test]
fn a_watch_from_before_its_token_is_found() {
    let late = vec![told(2, Some(1)), told(3, Some(2))];
    assert_eq!(watched(3, late, StreamEnd::GivenUp), only(Rule::NeverStaleUnflagged));

    let mut story = Story::good();
    story.fault(0, 100, false);
    let flagged = Told { may_be_stale: true, ..told(2, Some(1)) };
    story.watch(3, vec![flagged.clone(), told(3, Some(2))], StreamEnd::GivenUp);
    assert_eq!(story.check().violations, [], "it says so");
    story.watch(3, vec![flagged, told(2, None)], StreamEnd::GivenUp);
    assert_eq!(story.broken(), only(Rule::NeverStaleUnflagged), "it says so no longer");
}

#[test]
fn a_watch_that_is_flagged_where_nothing_is_wrong_is_found() {
    let flagged = Told { may_be_stale: true, ..told(2, Some(1)) };
    assert_eq!(watched(3, vec![flagged], StreamEnd::GivenUp), only(Rule::CalmInCalm));
}

#[test]
fn a_watch_that_ends_as_none_may_is_found() {
    let heard = || vec![told(3, Some(2)), told(3, None)];
    for (end, is_promised) in [
        (ended(slow_reader(), Some(3), Some(2)), true),
        (ended(failed("Unavailable", "SHUTTING_DOWN", true), Some(3), Some(2)), true),
        (ended(failed("Unavailable", "STORE_UNAVAILABLE", true), None, None), true),
        (ended(slow_reader(), Some(2), Some(2)), false),
        (ended(slow_reader(), Some(3), None), false),
        (ended(failed("ResourceExhausted", "SLOW_READER", false), Some(3), Some(2)), false),
        (ended(failed("Internal", "INTERNAL", false), None, None), false),
        (StreamEnd::Silent, false),
    ] {
        let expected = if is_promised { BTreeSet::new() } else { only(Rule::PromisedErrors) };
        assert_eq!(watched(0, heard(), end.clone()), expected, "{end:?}");
    }
    let gone = StreamEnd::Missing { position: 0, may_be_stale: false };
    assert_eq!(watched(0, heard(), gone), only(Rule::PromisedErrors), "it was there");
    assert_eq!(watched(0, vec![], ended(slow_reader(), Some(0), None)), only(Rule::PromisedErrors), "nothing to read");
}

/// A subscription to the story's log from its beginning.
fn followed(filter: EventFilter, handed: impl Fn(&Story) -> Vec<Handed>, end: StreamEnd) -> BTreeSet<Rule> {
    let mut story = Story::good();
    let handed = handed(&story);
    story.subscription(Start::After(0), filter, handed, end);
    story.broken()
}

#[test]
fn a_subscription_that_is_not_the_log_is_found() {
    let messages: [fn(&Story) -> Vec<Handed>; 8] = [
        // A gap, within a message and between two.
        |story| vec![story.handed(3, &[1, 3])],
        |story| vec![story.handed(1, &[1]), story.handed(3, &[3])],
        // A double, within and between.
        |story| vec![story.handed(3, &[1, 2, 2, 3])],
        |story| vec![story.handed(2, &[1, 2]), story.handed(3, &[2, 3])],
        |story| vec![story.handed(3, &[1, 3, 2])],
        // Another event than is stored.
        |story| vec![Handed { events: vec![(1, 7)], ..story.handed(1, &[]) }],
        |story| vec![story.handed(2, &[1, 2]), story.handed(1, &[])],
        // Beyond the log.
        |story| vec![story.handed(4, &[1, 2, 3])],
    ];
    for handed in messages {
        let broken = followed(EventFilter::default(), handed, StreamEnd::GivenUp);
        assert_eq!(broken, only(Rule::SubscriptionIsLog), "{:?}", handed(&Story::good()));
    }
}

#[test]
fn a_filter_that_lets_too_much_or_too_little_through_is_found() {
    let filters = [
        EventFilter { event_types: vec!["Allocated".to_owned()], ..EventFilter::default() },
        EventFilter { stream_id_prefixes: vec!["product-T".to_owned(), "batch-".to_owned()], ..EventFilter::default() },
    ];
    for (filter, fitting) in filters.into_iter().zip([3, 1]) {
        let good = followed(filter.clone(), |story| vec![story.handed(3, &[fitting])], StreamEnd::GivenUp);
        assert_eq!(good, BTreeSet::new());
        let too_much = followed(filter.clone(), |story| vec![story.handed(3, &[1, 2, 3])], StreamEnd::GivenUp);
        assert_eq!(too_much, only(Rule::SubscriptionIsLog));
        let too_little = followed(filter, |story| vec![story.handed(3, &[])], StreamEnd::GivenUp);
        assert_eq!(too_little, only(Rule::SubscriptionIsLog));
    }
}

#[test]
fn a_subscription_to_what_is_new_that_passes_over_what_came_is_found() {
    for (start, begins_at, is_good) in [(3, 3, true), (2, 3, true), (3, 2, false)] {
        let mut story = Story::good();
        let handed = vec![story.handed(begins_at, &[])];
        story.subscription(Start::OnlyNew { least: start }, EventFilter::default(), handed, StreamEnd::GivenUp);
        let expected = if is_good { BTreeSet::new() } else { only(Rule::SubscriptionIsLog) };
        assert_eq!(story.broken(), expected, "at {begins_at} after {start}");
    }
}

#[test]
fn a_subscription_that_is_dropped_and_does_not_say_where_to_go_on_is_found() {
    let handed = |story: &Story| vec![story.handed(2, &[1, 2])];
    let away = || failed("Unavailable", "STORE_UNAVAILABLE", true);
    for (failed, position, rule) in [
        (slow_reader(), Some(2), None),
        (away(), Some(2), None),
        // An event is between.
        (slow_reader(), Some(3), Some(Rule::SubscriptionIsLog)),
        (slow_reader(), Some(1), Some(Rule::SubscriptionIsLog)),
        (slow_reader(), None, Some(Rule::PromisedErrors)),
        (away(), None, Some(Rule::PromisedErrors)),
        // The log is what it was.
        (failed("FailedPrecondition", "BEYOND_LOG", false), Some(2), Some(Rule::PromisedErrors)),
        (failed("FailedPrecondition", "LOG_REPLACED", false), Some(2), Some(Rule::PromisedErrors)),
        (failed("DataLoss", "LOG_HAS_HOLE", false), Some(2), Some(Rule::PromisedErrors)),
    ] {
        let end = ended(failed, position, None);
        let expected = rule.into_iter().collect();
        assert_eq!(followed(EventFilter::default(), handed, end.clone()), expected, "{end:?}");
    }
    let silent = followed(EventFilter::default(), handed, StreamEnd::Silent);
    assert_eq!(silent, only(Rule::PromisedErrors));
    let fits_not = EventFilter { event_types: vec!["OutOfStock".to_owned()], ..EventFilter::default() };
    let end = ended(slow_reader(), Some(3), None);
    assert_eq!(followed(fits_not, |story| vec![story.handed(2, &[])], end), BTreeSet::new(), "nothing is between");
}

/// Three lines that are published.
fn published() -> Story {
    let mut story = Story::good();
    story.event(4, Some(1), "product-LAMP", 3, "Allocated", allocated("p", 1));
    story.event(5, Some(1), "product-LAMP", 4, "Allocated", allocated("q", 1));
    story.unknown(4, 40, 50);
    story.unknown(5, 40, 50);
    story.publish();
    assert_eq!(story.check().violations, []);
    story
}

#[test]
fn what_is_published_and_is_not_the_log_is_found() {
    let breaks: [fn(&mut Story); 7] = [
        |story| drop(story.published().entries.remove(1)),
        |story| drop(story.published().entries.pop()),
        |story| drop(story.published().entries.remove(0)),
        |story| story.published().entries.clear(),
        |story| story.published().entries.swap(0, 1),
        |story| {
            let doubled = story.published().entries[1].clone();
            story.published().entries.insert(1, doubled);
        },
        |story| {
            let (_, fields) = story.published().entries[2].clone();
            story.published().entries.push(("6-0".to_owned(), fields));
        },
    ];
    for (index, break_it) in breaks.into_iter().enumerate() {
        let mut story = published();
        break_it(&mut story);
        assert_eq!(story.broken(), only(Rule::PublishedIsLog), "way {index}");
    }
}

#[test]
fn the_oldest_that_is_published_may_be_gone_and_no_more_than_that() {
    let mut story = published();
    story.published().entries.remove(0);
    story.published().kept_max = 2;
    assert_eq!(story.check().violations, []);
    story.published().entries.remove(0);
    assert_eq!(story.broken(), only(Rule::PublishedIsLog), "too few");

    let mut story = published();
    story.published().kept_max = 2;
    story.published().entries.remove(1);
    assert_eq!(story.broken(), only(Rule::PublishedIsLog), "not the oldest");
}

#[test]
fn a_cloud_event_that_says_something_else_than_the_log_is_found() {
    for (attribute, value) in [
        ("specversion", json!("0.3")),
        ("id", json!("4")),
        ("source", json!("/tally/other")),
        ("type", json!("tally.allocation.v1.Deallocated")),
        ("subject", json!("product-TABLE")),
        ("time", json!("1970-01-01T00:00:01Z")),
        ("datacontenttype", json!("text/plain")),
        ("data", json!({})),
        ("commandid", json!("1")),
        ("traceparent", json!("00-3-4-00")),
        ("actor", json!("somebody")),
    ] {
        let mut story = published();
        let (_, text) = &mut story.published().entries[0].1[0];
        let mut event: serde_json::Value = serde_json::from_str(text).unwrap();
        event[attribute] = value;
        *text = event.to_string();
        assert_eq!(story.broken(), only(Rule::PublishedIsLog), "{attribute}");
    }
    let mut story = published();
    story.published().entries[0].1[0].0 = "other".to_owned();
    assert_eq!(story.broken(), only(Rule::PublishedIsLog), "the field's name");
}
