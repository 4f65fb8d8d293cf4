//! CreateBatch and ReceiveBatch.

use super::scenario::given;
use super::vocabulary::*;
use crate::{BATCHES_PER_SKU_MAX, EVENTS_PER_COMMAND_MAX, Rejection};

#[test]
fn a_new_batch_claims_its_reference_and_is_created() {
    let decision = given([]).when(TABLE.create_batch("b1", 10)).then([TABLE.claimed("b1"), TABLE.created("b1", 10)]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn a_shipment_keeps_the_date_on_which_it_is_due() {
    given([])
        .when(TABLE.create_batch_due("b1", 10, "2011-01-02"))
        .then([TABLE.claimed("b1"), TABLE.created_due("b1", 10, "2011-01-02")]);
}

#[test]
fn a_batch_reference_can_be_used_once_over_all_skus() {
    given([TABLE.claimed("b1"), TABLE.created("b1", 10)])
        .when(TABLE.create_batch("b1", 10))
        .then_rejected(batch_exists("b1"));
    given([TABLE.claimed("b1"), TABLE.created("b1", 10)])
        .when(LAMP.create_batch("b1", 10))
        .then_rejected(batch_exists("b1"));
}

#[test]
fn a_new_batch_serves_backorders_first_come_first_served() {
    given([
        TABLE.created("b1", 1),
        TABLE.out_of_stock("o1", 4),
        TABLE.out_of_stock("o2", 3),
        TABLE.out_of_stock("o3", 4),
        TABLE.out_of_stock("o4", 4),
    ])
    .when(TABLE.create_batch("b2", 11))
    .then([
        TABLE.claimed("b2"),
        TABLE.created("b2", 11),
        TABLE.served("o1", "b2", 4),
        TABLE.served("o2", "b2", 3),
        TABLE.served("o3", "b2", 4),
    ]);
}

#[test]
fn a_smaller_later_backorder_overtakes_only_one_that_does_not_fit() {
    given([
        TABLE.created("b1", 1),
        TABLE.out_of_stock("o1", 8),
        TABLE.out_of_stock("o2", 5),
        TABLE.out_of_stock("o3", 2),
    ])
    .when(TABLE.create_batch("b2", 7))
    .then([TABLE.claimed("b2"), TABLE.created("b2", 7), TABLE.served("o2", "b2", 5), TABLE.served("o3", "b2", 2)]);
    given([
        TABLE.created("b1", 1),
        TABLE.out_of_stock("o1", 7),
        TABLE.out_of_stock("o2", 5),
        TABLE.out_of_stock("o3", 2),
    ])
    .when(TABLE.create_batch("b2", 7))
    .then([TABLE.claimed("b2"), TABLE.created("b2", 7), TABLE.served("o1", "b2", 7)]);
}

#[test]
fn a_backorder_is_served_by_a_shipment_that_is_still_due() {
    given([TABLE.created("b1", 1), TABLE.out_of_stock("o1", 2)])
        .when(TABLE.create_batch_due("b2", 2, "2011-01-02"))
        .then([TABLE.claimed("b2"), TABLE.created_due("b2", 2, "2011-01-02"), TABLE.served("o1", "b2", 2)]);
}

#[test]
fn a_new_batch_serves_no_backorder_that_it_can_not_hold_whole_nor_one_of_another_sku() {
    given([TABLE.created("b1", 1), TABLE.out_of_stock("o1", 3), LAMP.out_of_stock("o2", 1)])
        .when(TABLE.create_batch("b2", 2))
        .then([TABLE.claimed("b2"), TABLE.created("b2", 2)]);
}

#[test]
fn a_sku_has_a_limited_number_of_batches() {
    let batches = |count: usize| (0..count).map(|number| TABLE.created(&format!("b{number}"), 1));
    given(batches(BATCHES_PER_SKU_MAX - 1))
        .when(TABLE.create_batch("last", 1))
        .then([TABLE.claimed("last"), TABLE.created("last", 1)]);
    given(batches(BATCHES_PER_SKU_MAX))
        .when(TABLE.create_batch("one more", 1))
        .then_rejected(Rejection::TooManyBatches { sku: "TABLE".to_owned() });
}

#[test]
fn a_command_makes_a_limited_number_of_events() {
    let waiting = |count: usize| (0..count).map(|number| TABLE.out_of_stock(&format!("o{number}"), 1));
    let as_many_as_may_be =
        given(waiting(EVENTS_PER_COMMAND_MAX - 2)).when(TABLE.create_batch("b1", 1_000_000)).decision();
    assert_eq!(as_many_as_may_be.events.len(), EVENTS_PER_COMMAND_MAX);
    given(waiting(EVENTS_PER_COMMAND_MAX - 1))
        .when(TABLE.create_batch("b1", 1_000_000))
        .then_rejected(Rejection::CommandTooLarge);
}

#[test]
fn a_shipment_that_arrives_is_received() {
    let decision = given([TABLE.claimed("b1"), TABLE.created_due("b1", 10, "2011-01-02")])
        .when(receive("b1"))
        .then([TABLE.received("b1")]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn receiving_what_is_in_the_warehouse_changes_nothing() {
    given([TABLE.claimed("b1"), TABLE.created("b1", 10)]).when(receive("b1")).then_nothing();
    given([TABLE.claimed("b1"), TABLE.created_due("b1", 10, "2011-01-02"), TABLE.received("b1")])
        .when(receive("b1"))
        .then_nothing();
}

#[test]
fn a_batch_that_there_is_not_can_not_be_received() {
    given([]).when(receive("b1")).then_rejected(batch_not_found("b1"));
    given([TABLE.claimed("b1")]).when(receive("b1")).then_rejected(batch_not_found("b1"));
}

#[test]
fn a_received_batch_is_used_before_those_that_are_still_due() {
    given([TABLE.created_due("b1", 10, "2011-01-01"), TABLE.created_due("b2", 10, "2011-01-02"), TABLE.received("b2")])
        .when(TABLE.allocate("o1", 1))
        .then([TABLE.allocated("o1", "b2", 1)]);
}

#[test]
fn a_received_batch_keeps_its_arrival_among_those_in_the_warehouse() {
    given([TABLE.created_due("b1", 10, "2011-01-01"), TABLE.created("b2", 10), TABLE.received("b1")])
        .when(TABLE.allocate("o1", 1))
        .then([TABLE.allocated("o1", "b1", 1)]);
}
