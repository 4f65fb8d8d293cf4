//! CreateOrder, CancelOrder and ShipOrder.

use super::scenario::{Entry, given};
use super::vocabulary::*;
use crate::{Command, EVENTS_PER_COMMAND_MAX, Event, Item, Rejection, StreamState, order};

#[test]
fn an_order_is_created_and_every_line_allocated() {
    let decision =
        given([TABLE.created("b1", 5), LAMP.created("b2", 5)]).when(create_order(OWN, [(TABLE, 2), (LAMP, 1)])).then([
            order_created(OWN, [(TABLE, 2), (LAMP, 1)]),
            TABLE.allocated(OWN, "b1", 2),
            LAMP.allocated(OWN, "b2", 1),
        ]);
    assert_eq!(decision.stream, on_order(OWN));
}

#[test]
fn a_line_that_fits_nowhere_is_backordered_and_the_others_are_not() {
    given([TABLE.created("b1", 1), LAMP.created("b2", 5)]).when(create_order(OWN, [(TABLE, 2), (LAMP, 1)])).then([
        order_created(OWN, [(TABLE, 2), (LAMP, 1)]),
        TABLE.out_of_stock(OWN, 2),
        LAMP.allocated(OWN, "b2", 1),
    ]);
}

#[test]
fn an_unknown_sku_refuses_the_whole_order_and_the_first_is_named() {
    given([TABLE.created("b1", 5)])
        .when(create_order(OWN, [(TABLE, 2), (LAMP, 1), (Sku("CHAIR"), 1)]))
        .then_rejected(invalid_sku(LAMP));
}

#[test]
fn an_order_id_can_be_used_once() {
    let create = || create_order(OWN, [(TABLE, 1)]);
    let created = [TABLE.created("b1", 5), order_created(OWN, [(TABLE, 1)])];
    given(created.clone()).when(create()).then_rejected(order_exists(OWN));
    given(created.clone().into_iter().chain([order_cancelled(OWN)])).when(create()).then_rejected(order_exists(OWN));
    given(created.into_iter().chain([order_shipped(OWN)])).when(create()).then_rejected(order_exists(OWN));
    given([TABLE.created("b1", 5), registered(OWN)]).when(create()).then_rejected(order_exists(OWN));
}

fn order_of(items: Vec<Item>) -> Command {
    let (order_id, customer_id) = (OWN.to_owned(), "c-17".to_owned());
    Command::CreateOrder { order_id, customer_id, items, shipping_address: Box::new(address()) }
}

fn item(Sku(sku): Sku, quantity: u32, units: i64, nanos: i32) -> Item {
    Item { sku: sku.to_owned(), quantity, unit_price: euros(units, nanos) }
}

#[test]
fn the_total_is_exact() {
    let stock = [TABLE.created("b1", 5), LAMP.created("b2", 5)];
    let items = vec![item(TABLE, 3, 49, 990_000_000), item(LAMP, 1, 0, 40_000_001)];
    match &given(stock).when(order_of(items)).decision().events[0].1 {
        Event::Order(order::Event::OrderCreated { total, .. }) => assert_eq!(total, &euros(150, 10_000_001)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_total_that_can_not_be_written_down_is_refused() {
    let stock = || [TABLE.created("b1", 5), LAMP.created("b2", 5)];
    let mut mixed = items([(TABLE, 1), (LAMP, 1)]);
    mixed[1].unit_price.currency_code = "USD".to_owned();
    for items in [
        vec![item(TABLE, 2, i64::MAX, 0)],
        vec![item(TABLE, 1, i64::MAX, 0), item(LAMP, 1, 1, 0)],
        vec![item(TABLE, 1, i64::MAX, 999_999_999), item(LAMP, 1, 0, 1)],
        mixed,
        vec![],
    ] {
        given(stock()).when(order_of(items)).then_rejected(Rejection::TotalOverflow);
    }
}

#[test]
fn cancelling_frees_every_line_and_serves_the_backorders() {
    let decision = given([
        TABLE.created("b1", 5),
        LAMP.created("b2", 5),
        order_created(OWN, [(TABLE, 4), (LAMP, 6)]),
        TABLE.allocated(OWN, "b1", 4),
        LAMP.out_of_stock(OWN, 6),
        TABLE.out_of_stock("o1", 6),
        TABLE.out_of_stock("o2", 3),
        TABLE.out_of_stock("o3", 2),
        LAMP.out_of_stock("o2", 7),
    ])
    .when(cancel(OWN))
    .then([
        order_cancelled(OWN),
        TABLE.deallocated(OWN, "b1", 4),
        TABLE.served("o2", "b1", 3),
        TABLE.served("o3", "b1", 2),
        LAMP.left_queue(OWN, 6),
    ]);
    assert_eq!(decision.stream, on_order(OWN));
}

#[test]
fn cancelling_leaves_alone_a_line_that_was_released() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 4)]), TABLE.allocated("o1", "b1", 4)])
        .when(cancel(OWN))
        .then([order_cancelled(OWN)]);
}

#[test]
fn cancelling_again_changes_nothing() {
    let decision = given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 4)]), order_cancelled(OWN)])
        .when(cancel(OWN))
        .then_nothing();
    assert_eq!(decision.stream, on_order(OWN));
}

#[test]
fn a_shipped_order_can_not_be_cancelled() {
    given([order_created(OWN, [(TABLE, 4)]), order_shipped(OWN)])
        .when(cancel(OWN))
        .then_rejected(order_is_shipped(OWN));
}

#[test]
fn only_an_order_that_tally_keeps_can_be_cancelled_or_shipped() {
    given([]).when(cancel(OWN)).then_rejected(order_not_found(OWN));
    given([registered(OWN)]).when(cancel(OWN)).then_rejected(order_not_found(OWN));
    given([]).when(ship(OWN)).then_rejected(order_not_found(OWN));
    given([registered(OWN)]).when(ship(OWN)).then_rejected(order_not_found(OWN));
}

#[test]
fn cancelling_may_be_too_large_for_one_commit() {
    let order = [
        TABLE.created("b1", 1_000_000),
        LAMP.created("b2", 1),
        order_created(OWN, [(TABLE, 1_000_000), (LAMP, 1)]),
        TABLE.allocated(OWN, "b1", 1_000_000),
        LAMP.allocated(OWN, "b2", 1),
    ];
    let waiting = |count| (0..count).map(|number| TABLE.out_of_stock(&format!("o{number}"), 1));
    for count in [EVENTS_PER_COMMAND_MAX - 2, EVENTS_PER_COMMAND_MAX] {
        // With the fewer of them the last line is one event too many, and must not be left out for that.
        given(order.clone().into_iter().chain(waiting(count)))
            .when(cancel(OWN))
            .then_rejected(Rejection::CommandTooLarge);
    }
}

#[test]
fn an_order_knows_whose_it_is_whatever_became_of_it() {
    let created = order_created(OWN, [(TABLE, 4)]);
    for (events, customer_id) in [
        (vec![created.clone()], Some("c-17")),
        (vec![created.clone(), order_cancelled(OWN)], Some("c-17")),
        (vec![created, order_shipped(OWN)], Some("c-17")),
        (vec![registered(OWN)], None),
    ] {
        let states = given(events);
        let Some(StreamState::Order(order)) = states.0.get(&on_order(OWN)) else { panic!("an order") };
        assert_eq!(order.customer_id(), customer_id);
    }
}

fn two_lines_allocated() -> Vec<Entry> {
    vec![
        TABLE.created("b1", 5),
        LAMP.created_due("b2", 5, "2011-01-02"),
        order_created(OWN, [(TABLE, 4), (LAMP, 2)]),
        TABLE.allocated(OWN, "b1", 4),
        LAMP.allocated(OWN, "b2", 2),
    ]
}

#[test]
fn an_order_ships_from_the_batches_that_hold_its_lines() {
    let decision = given(two_lines_allocated().into_iter().chain([LAMP.received("b2")])).when(ship(OWN)).then([
        order_shipped(OWN),
        TABLE.shipped(OWN, "b1", 4),
        LAMP.shipped(OWN, "b2", 2),
    ]);
    assert_eq!(decision.stream, on_order(OWN));
}

#[test]
fn an_order_ships_only_when_the_batches_of_all_its_lines_have_arrived() {
    given(two_lines_allocated()).when(ship(OWN)).then_rejected(items_not_in_stock(OWN, LAMP));
}

#[test]
fn an_order_does_not_ship_while_a_line_waits() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 6)]), TABLE.out_of_stock(OWN, 6)])
        .when(ship(OWN))
        .then_rejected(items_not_in_stock(OWN, TABLE));
}

#[test]
fn an_order_does_not_ship_while_a_line_is_released() {
    given([TABLE.created("b1", 5), order_created(OWN, [(TABLE, 4)])])
        .when(ship(OWN))
        .then_rejected(items_not_in_stock(OWN, TABLE));
}

#[test]
fn shipping_again_changes_nothing() {
    let decision = given([order_created(OWN, [(TABLE, 4)]), order_shipped(OWN)]).when(ship(OWN)).then_nothing();
    assert_eq!(decision.stream, on_order(OWN));
}

#[test]
fn a_cancelled_order_can_not_be_shipped() {
    given([order_created(OWN, [(TABLE, 4)]), order_cancelled(OWN)])
        .when(ship(OWN))
        .then_rejected(order_is_cancelled(OWN));
}
