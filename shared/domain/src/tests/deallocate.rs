//! Deallocate.

use super::scenario::given;
use super::vocabulary::*;
use crate::{EVENTS_PER_COMMAND_MAX, Rejection};

#[test]
fn a_line_is_freed() {
    let decision = given([TABLE.created("b1", 5), TABLE.allocated("o1", "b1", 3)])
        .when(TABLE.deallocate("o1"))
        .then([TABLE.deallocated("o1", "b1", 3)]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn what_is_freed_goes_to_the_backorders_together_with_what_was_left() {
    given([
        TABLE.created("b1", 5),
        TABLE.allocated("o1", "b1", 3),
        TABLE.out_of_stock("o2", 6),
        TABLE.out_of_stock("o3", 4),
        TABLE.out_of_stock("o4", 3),
    ])
    .when(TABLE.deallocate("o1"))
    .then([TABLE.deallocated("o1", "b1", 3), TABLE.served("o3", "b1", 4)]);
}

#[test]
fn a_line_that_waits_leaves_the_queue_and_nobody_is_served() {
    given([TABLE.created("b1", 5), TABLE.out_of_stock("o1", 6), TABLE.out_of_stock("o2", 6)])
        .when(TABLE.deallocate("o1"))
        .then([TABLE.left_queue("o1", 6)]);
}

#[test]
fn a_line_that_left_the_queue_is_not_served_any_more() {
    given([
        TABLE.created("b1", 5),
        TABLE.out_of_stock("o1", 6),
        TABLE.out_of_stock("o2", 6),
        TABLE.left_queue("o1", 6),
    ])
    .when(TABLE.create_batch("b2", 6))
    .then([TABLE.claimed("b2"), TABLE.created("b2", 6), TABLE.served("o2", "b2", 6)]);
}

#[test]
fn there_must_be_such_a_line() {
    given([TABLE.created("b1", 5), TABLE.allocated("o1", "b1", 3)])
        .when(TABLE.deallocate("o2"))
        .then_rejected(allocation_not_found("o2", TABLE));
    given([TABLE.created("b1", 5), TABLE.allocated("o1", "b1", 3), TABLE.deallocated("o1", "b1", 3)])
        .when(TABLE.deallocate("o1"))
        .then_rejected(allocation_not_found("o1", TABLE));
}

#[test]
fn a_sku_that_never_had_a_batch_is_refused_before_all_else() {
    given([]).when(TABLE.deallocate("o1")).then_rejected(invalid_sku(TABLE));
    given([order_created(OWN, [(LAMP, 1)]), order_shipped(OWN)])
        .when(TABLE.deallocate(OWN))
        .then_rejected(invalid_sku(TABLE));
}

#[test]
fn a_uuid_that_tally_does_not_know_has_no_line() {
    let decision = given([TABLE.created("b1", 5)]).when(TABLE.deallocate(OWN));
    decision.then_rejected(allocation_not_found(OWN, TABLE));
}

#[test]
fn a_line_of_a_registered_uuid_is_freed() {
    given([TABLE.created("b1", 5), registered(OWN), TABLE.allocated(OWN, "b1", 3)])
        .when(TABLE.deallocate(OWN))
        .then([TABLE.deallocated(OWN, "b1", 3)]);
}

#[test]
fn a_line_of_an_open_order_is_freed() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)]), TABLE.allocated(OWN, "b1", 3)])
        .when(TABLE.deallocate(OWN))
        .then([TABLE.deallocated(OWN, "b1", 3)]);
}

#[test]
fn a_closed_order_has_nothing_to_free() {
    let order = [TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)])];
    given(order.clone().into_iter().chain([order_cancelled(OWN)]))
        .when(TABLE.deallocate(OWN))
        .then_rejected(order_is_cancelled(OWN));
    given(order.into_iter().chain([order_shipped(OWN)]))
        .when(TABLE.deallocate(OWN))
        .then_rejected(order_is_shipped(OWN));
}

#[test]
fn more_backorders_than_a_commit_holds_are_not_served_at_once() {
    let line = [TABLE.created("b1", 1_000_000), TABLE.allocated("big", "b1", 1_000_000)];
    let waiting = (0..EVENTS_PER_COMMAND_MAX).map(|number| TABLE.out_of_stock(&format!("o{number}"), 1));
    given(line.into_iter().chain(waiting)).when(TABLE.deallocate("big")).then_rejected(Rejection::CommandTooLarge);
}
