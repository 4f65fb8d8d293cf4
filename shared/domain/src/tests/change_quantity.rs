//! ChangeBatchQuantity.

use super::scenario::given;
use super::vocabulary::*;
use crate::{EVENTS_PER_COMMAND_MAX, Rejection};

#[test]
fn more_quantity_serves_backorders_first_come_first_served() {
    let decision = given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 5),
        TABLE.allocated("o1", "b1", 4),
        TABLE.out_of_stock("o2", 9),
        TABLE.out_of_stock("o3", 3),
        TABLE.out_of_stock("o4", 2),
        TABLE.out_of_stock("o5", 2),
    ])
    .when(change_quantity("b1", 9))
    .then([TABLE.quantity_changed("b1", 5, 9), TABLE.served("o3", "b1", 3), TABLE.served("o4", "b1", 2)]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn the_quantity_that_it_has_changes_nothing() {
    given([TABLE.claimed("b1"), TABLE.created("b1", 5)]).when(change_quantity("b1", 5)).then_nothing();
}

#[test]
fn a_batch_that_there_is_not_can_not_be_changed() {
    given([]).when(change_quantity("b1", 5)).then_rejected(batch_not_found("b1"));
    given([TABLE.claimed("b1")]).when(change_quantity("b1", 5)).then_rejected(batch_not_found("b1"));
}

#[test]
fn less_quantity_takes_nothing_back_while_all_that_is_allocated_fits() {
    given([TABLE.claimed("b1"), TABLE.created("b1", 9), TABLE.allocated("o1", "b1", 4)])
        .when(change_quantity("b1", 4))
        .then([TABLE.quantity_changed("b1", 9, 4)]);
}

#[test]
fn the_latest_allocations_are_taken_back_first_until_the_others_fit_and_before_the_batch_shrinks() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 9),
        TABLE.allocated("o1", "b1", 3),
        TABLE.allocated("o2", "b1", 3),
        TABLE.allocated("o3", "b1", 3),
    ])
    .when(change_quantity("b1", 5))
    .then([
        TABLE.deallocated("o3", "b1", 3),
        TABLE.deallocated("o2", "b1", 3),
        TABLE.quantity_changed("b1", 9, 5),
        TABLE.out_of_stock("o2", 3),
        TABLE.out_of_stock("o3", 3),
    ]);
}

#[test]
fn lines_that_are_taken_back_get_other_batches_in_their_original_order() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 10),
        TABLE.allocated("o1", "b1", 5),
        TABLE.allocated("o2", "b1", 5),
        TABLE.created_due("b2", 8, "2011-01-02"),
        TABLE.created_due("b3", 5, "2011-01-03"),
    ])
    .when(change_quantity("b1", 0))
    .then([
        TABLE.deallocated("o2", "b1", 5),
        TABLE.deallocated("o1", "b1", 5),
        TABLE.quantity_changed("b1", 10, 0),
        TABLE.allocated("o1", "b2", 5),
        TABLE.allocated("o2", "b3", 5),
    ]);
}

#[test]
fn a_line_that_is_taken_back_may_return_to_what_is_left_of_its_batch() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 10),
        TABLE.allocated("o1", "b1", 8),
        TABLE.allocated("o2", "b1", 2),
    ])
    .when(change_quantity("b1", 7))
    .then([
        TABLE.deallocated("o2", "b1", 2),
        TABLE.deallocated("o1", "b1", 8),
        TABLE.quantity_changed("b1", 10, 7),
        TABLE.out_of_stock("o1", 8),
        TABLE.allocated("o2", "b1", 2),
    ]);
}

#[test]
fn older_backorders_get_what_the_lines_that_were_taken_back_leave() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 10),
        TABLE.allocated("o1", "b1", 8),
        TABLE.allocated("o2", "b1", 2),
        TABLE.out_of_stock("o3", 6),
        TABLE.out_of_stock("o4", 5),
    ])
    .when(change_quantity("b1", 7))
    .then([
        TABLE.deallocated("o2", "b1", 2),
        TABLE.deallocated("o1", "b1", 8),
        TABLE.quantity_changed("b1", 10, 7),
        TABLE.out_of_stock("o1", 8),
        TABLE.allocated("o2", "b1", 2),
        TABLE.served("o4", "b1", 5),
    ]);
}

#[test]
fn a_line_that_was_taken_back_waits_behind_all_that_waited_before() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 5),
        TABLE.allocated("o1", "b1", 5),
        TABLE.out_of_stock("o2", 5),
        TABLE.deallocated("o1", "b1", 5),
        TABLE.quantity_changed("b1", 5, 0),
        TABLE.out_of_stock("o1", 5),
    ])
    .when(change_quantity("b1", 5))
    .then([TABLE.quantity_changed("b1", 0, 5), TABLE.served("o2", "b1", 5)]);
}

#[test]
fn a_line_that_moved_is_the_latest_in_its_new_batch() {
    given([
        TABLE.claimed("b2"),
        TABLE.created("b1", 1),
        TABLE.created("b2", 2),
        TABLE.allocated("o1", "b1", 1),
        TABLE.allocated("o2", "b2", 1),
        TABLE.deallocated("o1", "b1", 1),
        TABLE.quantity_changed("b1", 1, 0),
        TABLE.allocated("o1", "b2", 1),
    ])
    .when(change_quantity("b2", 1))
    .then([TABLE.deallocated("o1", "b2", 1), TABLE.quantity_changed("b2", 2, 1), TABLE.out_of_stock("o1", 1)]);
}

#[test]
fn a_batch_counts_what_was_shipped_from_it_no_more() {
    given([
        TABLE.claimed("b1"),
        TABLE.created("b1", 9),
        TABLE.allocated(OWN, "b1", 4),
        TABLE.shipped(OWN, "b1", 4),
        TABLE.allocated("o1", "b1", 5),
    ])
    .when(change_quantity("b1", 6))
    .then([TABLE.quantity_changed("b1", 5, 6)]);
}

#[test]
fn more_lines_than_a_commit_holds_are_not_taken_back() {
    let batch = [TABLE.claimed("b1"), TABLE.created("b1", 1_000_000)];
    let lines = (0..EVENTS_PER_COMMAND_MAX).map(|number| TABLE.allocated(&format!("o{number}"), "b1", 1));
    given(batch.into_iter().chain(lines)).when(change_quantity("b1", 0)).then_rejected(Rejection::CommandTooLarge);
}
