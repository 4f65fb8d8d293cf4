//! Allocate.

use super::scenario::given;
use super::vocabulary::*;

#[test]
fn stock_in_the_warehouse_is_used_before_an_earlier_shipment() {
    given([TABLE.created_due("b1", 10, "0001-01-01"), TABLE.created("b2", 10)])
        .when(TABLE.allocate("o1", 3))
        .then([TABLE.allocated("o1", "b2", 3)]);
}

#[test]
fn the_shipment_that_is_due_first_is_used_first() {
    let batches = [
        TABLE.created_due("b1", 10, "2011-01-02"),
        TABLE.created_due("b2", 10, "2011-01-01"),
        TABLE.created_due("b3", 10, "2011-01-03"),
    ];
    given(batches).when(TABLE.allocate("o1", 3)).then([TABLE.allocated("o1", "b2", 3)]);
}

#[test]
fn of_equal_batches_the_one_that_arrived_first_is_used_first() {
    given([TABLE.created("z", 10), TABLE.created("a", 10)])
        .when(TABLE.allocate("o1", 3))
        .then([TABLE.allocated("o1", "z", 3)]);
    given([TABLE.created_due("z", 10, "2011-01-02"), TABLE.created_due("a", 10, "2011-01-02")])
        .when(TABLE.allocate("o1", 3))
        .then([TABLE.allocated("o1", "z", 3)]);
}

#[test]
fn a_batch_that_can_not_hold_the_whole_line_is_passed_over() {
    given([TABLE.created("b1", 2), TABLE.created_due("b2", 3, "2011-01-02")])
        .when(TABLE.allocate("o1", 3))
        .then([TABLE.allocated("o1", "b2", 3)]);
}

#[test]
fn a_line_is_never_split() {
    given([TABLE.created("b1", 5), TABLE.created("b2", 5)])
        .when(TABLE.allocate("o1", 6))
        .then([TABLE.out_of_stock("o1", 6)]);
}

#[test]
fn what_others_hold_is_not_given_out_again() {
    let held = [TABLE.created("b1", 10), TABLE.allocated("o1", "b1", 6)];
    given(held.clone()).when(TABLE.allocate("o2", 4)).then([TABLE.allocated("o2", "b1", 4)]);
    given(held).when(TABLE.allocate("o2", 5)).then([TABLE.out_of_stock("o2", 5)]);
}

#[test]
fn what_was_freed_is_given_out_again() {
    given([TABLE.created("b1", 5), TABLE.allocated("o1", "b1", 5), TABLE.deallocated("o1", "b1", 5)])
        .when(TABLE.allocate("o2", 5))
        .then([TABLE.allocated("o2", "b1", 5)]);
}

#[test]
fn what_was_shipped_is_not_given_out_again() {
    given([TABLE.created("b1", 5), TABLE.allocated(OWN, "b1", 4), TABLE.shipped(OWN, "b1", 4)])
        .when(TABLE.allocate("o2", 2))
        .then([TABLE.out_of_stock("o2", 2)]);
}

#[test]
fn a_sku_that_never_had_a_batch_is_refused_before_all_else() {
    given([LAMP.created("b1", 10)]).when(TABLE.allocate("o1", 1)).then_rejected(invalid_sku(TABLE));
    given([order_created(OWN, [(LAMP, 1)]), order_cancelled(OWN)])
        .when(TABLE.allocate(OWN, 1))
        .then_rejected(invalid_sku(TABLE));
}

#[test]
fn a_sku_whose_batches_are_empty_is_known_still() {
    given([TABLE.created("b1", 10), TABLE.quantity_changed("b1", 10, 0)])
        .when(TABLE.allocate("o1", 1))
        .then([TABLE.out_of_stock("o1", 1)]);
}

#[test]
fn the_same_line_again_changes_nothing_on_whichever_batch_it_is() {
    let moved = [
        TABLE.created("b1", 5),
        TABLE.allocated("o1", "b1", 3),
        TABLE.created("b2", 5),
        TABLE.deallocated("o1", "b1", 3),
        TABLE.quantity_changed("b1", 5, 0),
        TABLE.allocated("o1", "b2", 3),
    ];
    let decision = given(moved).when(TABLE.allocate("o1", 3)).then_standing(TABLE.allocated("o1", "b2", 3));
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn the_same_line_again_changes_nothing_while_it_waits() {
    given([TABLE.created("b1", 5), TABLE.out_of_stock("o1", 6)])
        .when(TABLE.allocate("o1", 6))
        .then_standing(TABLE.out_of_stock("o1", 6));
}

#[test]
fn the_same_line_with_another_quantity_is_refused() {
    given([TABLE.created("b1", 5), TABLE.allocated("o1", "b1", 3)])
        .when(TABLE.allocate("o1", 2))
        .then_rejected(line_differs("o1", TABLE, 3));
    given([TABLE.created("b1", 5), TABLE.out_of_stock("o1", 6)])
        .when(TABLE.allocate("o1", 1))
        .then_rejected(line_differs("o1", TABLE, 6));
}

#[test]
fn an_order_has_a_line_in_each_of_several_skus() {
    given([TABLE.created("b1", 5), LAMP.created("b2", 5), TABLE.allocated("o1", "b1", 3)])
        .when(LAMP.allocate("o1", 2))
        .then([LAMP.allocated("o1", "b2", 2)]);
}

#[test]
fn an_order_kept_elsewhere_has_no_stream() {
    let decision = given([TABLE.created("b1", 5)]).when(TABLE.allocate("o1", 3)).then([TABLE.allocated("o1", "b1", 3)]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn a_uuid_that_tally_does_not_keep_is_registered_first() {
    let decision = given([TABLE.created("b1", 5)])
        .when(TABLE.allocate(OWN, 3))
        .then([registered(OWN), TABLE.allocated(OWN, "b1", 3)]);
    assert_eq!(decision.stream, TABLE.stream());
}

#[test]
fn a_uuid_is_registered_once() {
    given([TABLE.created("b1", 5), LAMP.created("b2", 5), registered(OWN), TABLE.allocated(OWN, "b1", 3)])
        .when(LAMP.allocate(OWN, 1))
        .then([LAMP.allocated(OWN, "b2", 1)]);
}

#[test]
fn a_line_of_a_registered_uuid_follows_the_rules_of_orders_kept_elsewhere() {
    let line = [TABLE.created("b1", 5), registered(OWN), TABLE.allocated(OWN, "b1", 3)];
    given(line.clone()).when(TABLE.allocate(OWN, 3)).then_standing(TABLE.allocated(OWN, "b1", 3));
    given(line).when(TABLE.allocate(OWN, 4)).then_rejected(line_differs(OWN, TABLE, 3));
}

#[test]
fn a_released_line_of_an_open_order_gets_stock_again() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)])])
        .when(TABLE.allocate(OWN, 3))
        .then([TABLE.allocated(OWN, "b1", 3)]);
}

#[test]
fn an_allocated_line_of_an_open_order_changes_nothing() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)]), TABLE.allocated(OWN, "b1", 3)])
        .when(TABLE.allocate(OWN, 3))
        .then_standing(TABLE.allocated(OWN, "b1", 3));
}

#[test]
fn an_open_order_gets_no_stock_beyond_its_own_lines() {
    given([TABLE.created("b1", 5), LAMP.created("b2", 5), order_created(OWN, [(TABLE, 3)])])
        .when(LAMP.allocate(OWN, 3))
        .then_rejected(not_in_order(OWN, LAMP));
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)])])
        .when(TABLE.allocate(OWN, 4))
        .then_rejected(line_differs(OWN, TABLE, 3));
}

#[test]
fn a_closed_order_gets_no_stock() {
    let order = [TABLE.created("b1", 5), order_created(OWN, [(TABLE, 3)])];
    given(order.clone().into_iter().chain([order_cancelled(OWN)]))
        .when(TABLE.allocate(OWN, 3))
        .then_rejected(order_is_cancelled(OWN));
    given(order.into_iter().chain([order_shipped(OWN)]))
        .when(TABLE.allocate(OWN, 3))
        .then_rejected(order_is_shipped(OWN));
}
