//! Which streams a command needs, and what a state takes in and takes up.

use std::collections::HashMap;

use super::scenario::{Entry, Log, given};
use super::vocabulary::*;
use crate::{Command, StreamId, StreamState, decide, missing_streams};

fn missing(command: &Command, loaded: impl IntoIterator<Item = Entry>) -> Vec<StreamId> {
    missing_streams(command, &given(loaded).0)
}

#[test]
fn a_command_names_the_streams_that_it_needs() {
    assert_eq!(missing(&TABLE.create_batch("b1", 1), []), [on_batch("b1"), TABLE.stream()]);
    assert_eq!(missing(&TABLE.allocate("o1", 1), []), [TABLE.stream()]);
    assert_eq!(missing(&TABLE.allocate(OWN, 1), []), [TABLE.stream(), on_order(OWN)]);
    assert_eq!(missing(&TABLE.deallocate("o1"), []), [TABLE.stream()]);
    assert_eq!(missing(&TABLE.deallocate(OWN), []), [TABLE.stream(), on_order(OWN)]);
    let create = create_order(OWN, [(TABLE, 1), (LAMP, 1)]);
    assert_eq!(missing(&create, []), [on_order(OWN), TABLE.stream(), LAMP.stream()]);
}

#[test]
fn what_is_loaded_is_not_missing() {
    assert_eq!(missing(&TABLE.create_batch("b1", 1), [TABLE.created("b2", 1)]), [on_batch("b1")]);
    assert_eq!(missing(&TABLE.allocate("o1", 1), [TABLE.created("b2", 1)]), []);
}

#[test]
fn the_claim_on_a_batch_names_the_product() {
    for command in [receive("b1"), change_quantity("b1", 1)] {
        assert_eq!(missing(&command, []), [on_batch("b1")]);
        assert_eq!(missing(&command, [TABLE.claimed("b1")]), [TABLE.stream()]);
        assert_eq!(missing(&command, [TABLE.claimed("b1"), TABLE.created("b1", 1)]), []);
    }
}

#[test]
fn an_open_order_names_its_products() {
    let order = [order_created(OWN, [(TABLE, 1), (LAMP, 1)])];
    for command in [cancel(OWN), ship(OWN)] {
        assert_eq!(missing(&command, []), [on_order(OWN)]);
        assert_eq!(missing(&command, order.clone()), [TABLE.stream(), LAMP.stream()]);
        assert_eq!(missing(&command, order.clone().into_iter().chain([order_shipped(OWN)])), []);
        assert_eq!(missing(&command, order.clone().into_iter().chain([order_cancelled(OWN)])), []);
    }
}

#[test]
#[should_panic(expected = "decide() was called before product-TABLE was loaded")]
fn a_decision_on_less_than_is_needed_is_not_made() {
    let _never = decide(&TABLE.allocate("o1", 1), &HashMap::<StreamId, StreamState>::new());
}

#[test]
fn a_state_passes_over_what_can_not_be_meant_for_it() {
    let entries = [TABLE.created("b1", 5), order_created(OWN, [(TABLE, 1)]), TABLE.claimed("b1")];
    for (stream, own_event) in &entries {
        let mut state = StreamState::empty(stream);
        for (_, event) in entries.iter().filter(|(other, _)| other != stream) {
            state.evolve(event);
        }
        assert_eq!(state, StreamState::empty(stream));
        state.evolve(own_event);
        assert_ne!(state, StreamState::empty(stream));
    }
}

#[test]
fn a_product_passes_over_events_of_batches_and_lines_that_it_does_not_have() {
    let mut log = given([TABLE.created("b1", 5)]);
    let before = log.clone();
    for entry in [
        TABLE.created("b1", 9),
        TABLE.received("b2"),
        TABLE.quantity_changed("b2", 1, 2),
        TABLE.allocated("o1", "b2", 1),
        TABLE.deallocated("o1", "b1", 1),
        TABLE.shipped("o1", "b2", 1),
    ] {
        log.append(&entry);
        assert_eq!(log, before, "{entry:?}");
    }
}

fn footprint(log: &Log) -> usize {
    log.0.values().map(StreamState::footprint).sum()
}

#[test]
fn the_footprint_of_a_product_grows_by_more_than_its_ids_and_shrinks_with_its_lines() {
    let order_ids: Vec<String> = (0..10_000).map(|number| format!("order-with-a-long-name-{number:05}")).collect();
    let mut log = given([TABLE.created("b1", 1_000_000)]);
    let empty = footprint(&log);
    order_ids.iter().for_each(|order_id| log.append(&TABLE.allocated(order_id, "b1", 1)));
    let full = footprint(&log);
    let per_line = (full - empty) / order_ids.len();
    assert!((28 + 60..28 + 300).contains(&per_line), "{per_line} bytes a line");

    order_ids.iter().for_each(|order_id| log.append(&TABLE.out_of_stock(order_id, 1)));
    let place = (footprint(&log) - full) / order_ids.len();
    assert!((40..60).contains(&place), "a line that waits has its place in a queue as well: {place} bytes");
    order_ids.iter().for_each(|order_id| log.append(&TABLE.left_queue(order_id, 1)));
    assert!(footprint(&log) - empty < (full - empty) / 2);
}

#[test]
fn a_batch_takes_what_it_is_and_its_places_in_the_order_of_batches_and_by_its_reference() {
    let empty = StreamState::empty(&TABLE.stream()).footprint();
    let mut log = given([TABLE.created("b1", 10)]);
    let first = footprint(&log) - empty;
    log.append(&TABLE.created("b2", 10));
    let two = footprint(&log);
    log.append(&TABLE.created("b3", 10));
    let third = footprint(&log) - two;
    let table = first - third;
    assert!((60..100).contains(&table), "{table} bytes for a table of references, which has room for three at first");
    assert!((100..160).contains(&third), "{third} bytes");
}

#[test]
fn the_footprint_of_an_order_counts_its_lines_until_it_is_closed() {
    let mut log = given([]);
    log.append(&order_created(OWN, [(TABLE, 1)]));
    let one_line = footprint(&log);
    log.append(&order_created(OWN, [(TABLE, 1), (LAMP, 1)]));
    assert!(footprint(&log) > one_line);
    log.append(&order_shipped(OWN));
    let (empty, closed) = (StreamState::empty(&on_order(OWN)).footprint(), footprint(&log));
    assert!(closed < one_line);
    assert_eq!(closed, empty + "c-17".len(), "whose order it is stays");

    let another = given([order_created(OWN, [(LAMP, 1)])]);
    assert_eq!(one_line - footprint(&another), "TABLE".len() - "LAMP".len());
    assert!(one_line < closed + 100, "{one_line}");
}

#[test]
fn the_footprint_of_a_batch_reference_counts_its_sku() {
    assert_eq!(
        footprint(&given([TABLE.claimed("b1")])),
        StreamState::empty(&on_batch("b1")).footprint() + "TABLE".len()
    );
}
