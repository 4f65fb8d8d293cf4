use super::*;
use crate::projections::testing::*;
use crate::projections::testing::{Given, given as given_events, try_given as try_given_events};

fn given(events: &[Given]) -> Option<Order> {
    given_events::<Orders>(events)
}

fn try_given(events: &[Given]) -> Result<Option<Order>, Unfoldable> {
    try_given_events::<Orders>(events)
}

fn items(order: &Order) -> Vec<(&str, ItemStatus, &str)> {
    order.items.iter().map(|item| (item.sku.as_str(), item.status(), item.batch_ref.as_str())).collect()
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

#[test]
fn a_created_order_has_what_it_was_created_with() {
    let order = given(&[created("o1", "c1", &[("a", 2), ("b", 3)]).at(7)]).unwrap();
    assert_eq!((order.order_id.as_str(), order.customer_id.as_str()), ("o1", "c1"));
    assert_eq!(order.status(), OrderStatus::Open);
    assert_eq!(
        order.items.iter().map(|item| (item.sku.as_str(), item.quantity)).collect::<Vec<_>>(),
        [("a", 2), ("b", 3)]
    );
    assert_eq!(order.items[0].unit_price, Some(proto::money(&eur(2))));
    assert_eq!(order.total, Some(proto::money(&eur(9))));
    assert_eq!((order.create_time, order.ship_time, order.cancel_time), (at(7), None, None));
    assert_eq!(order.version, 1);
    let address = order.shipping_address.unwrap();
    assert_eq!((address.region_code.as_str(), address.address_lines[0].as_str()), ("DE", "Chausseestr. 1"));
}

#[test]
fn each_line_says_what_became_of_it() {
    let order = given(&[
        created("o1", "c1", &[("a", 2), ("b", 3), ("c", 1)]),
        allocated("o1", "a", "b1", 2),
        out_of_stock("o1", "b", 3),
        allocated("o1", "c", "b2", 1),
        deallocated("o1", "c", Some("b2"), 1),
    ]);
    assert_eq!(
        items(&order.unwrap()),
        [("a", ItemStatus::Allocated, "b1"), ("b", ItemStatus::Backordered, ""), ("c", ItemStatus::Released, "")]
    );
}

#[test]
fn a_line_that_is_moved_is_on_its_new_batch() {
    let order = given(&[
        created("o1", "c1", &[("a", 2)]),
        allocated("o1", "a", "b1", 2),
        deallocated("o1", "a", Some("b1"), 2),
        allocated("o1", "a", "b2", 2),
    ]);
    assert_eq!(items(&order.unwrap()), [("a", ItemStatus::Allocated, "b2")]);
}

#[test]
fn a_backordered_line_that_is_served_is_allocated() {
    let order = given(&[created("o1", "c1", &[("a", 2)]), out_of_stock("o1", "a", 2), served("o1", "a", "b1", 2)]);
    assert_eq!(items(&order.unwrap()), [("a", ItemStatus::Allocated, "b1")]);
}

#[test]
fn what_products_say_does_not_change_the_orders_version() {
    let order = given(&[created("o1", "c1", &[("a", 2)]), allocated("o1", "a", "b1", 2).version(17)]);
    assert_eq!(order.unwrap().version, 1);
}

#[test]
fn a_cancelled_order_says_when_and_why_and_holds_nothing() {
    let order = given(&[
        created("o1", "c1", &[("a", 2), ("b", 1)]).at(7),
        allocated("o1", "a", "b1", 2),
        out_of_stock("o1", "b", 1),
        cancelled("o1").at(9).version(2),
        deallocated("o1", "a", Some("b1"), 2),
        deallocated("o1", "b", None, 1),
    ])
    .unwrap();
    assert_eq!(order.status(), OrderStatus::Cancelled);
    assert_eq!((order.create_time, order.cancel_time, order.ship_time), (at(7), at(9), None));
    assert_eq!((order.cancel_reason.as_str(), order.version), ("changed their mind", 2));
    assert_eq!(items(&order), [("a", ItemStatus::Released, ""), ("b", ItemStatus::Released, "")]);
}

#[test]
fn a_shipped_order_says_when_and_from_where() {
    let order = given(&[
        created("o1", "c1", &[("a", 2)]).at(7),
        allocated("o1", "a", "b1", 2),
        order_shipped("o1").at(9).version(2),
        shipped("o1", "a", "b1", 2),
    ])
    .unwrap();
    assert_eq!((order.status(), order.version), (OrderStatus::Shipped, 2));
    assert_eq!((order.create_time, order.ship_time, order.cancel_time), (at(7), at(9), None));
    assert_eq!(items(&order), [("a", ItemStatus::Shipped, "b1")]);
}

#[test]
fn orders_kept_elsewhere_have_no_view() {
    let events = [
        external("o1"),
        allocated("o1", "a", "b1", 1),
        deallocated("o1", "a", Some("b1"), 1),
        out_of_stock("o1", "a", 1),
        shipped("o1", "a", "b1", 1),
    ];
    assert_eq!(given(&events), None);
}

#[test]
fn what_happens_to_batches_changes_no_order() {
    let order = given(&[created("o1", "c1", &[("sku", 2)])]);
    for event in
        [batch_created("b1", 1, None), quantity_changed("b1", 2), received("b1"), claimed("b1"), external("o1")]
    {
        assert_eq!(Orders::key(&event.recorded()), None);
        assert_eq!(Orders::fold(order.clone(), &event.recorded()).unwrap(), order);
    }
}

#[test]
fn events_that_do_not_fit_are_an_alarm() {
    let order = created("o1", "c1", &[("a", 2)]);
    assert!(try_given(&[order.clone(), order.clone()]).is_err());
    assert!(try_given(&[cancelled("o1")]).is_err());
    assert!(try_given(&[order_shipped("o1")]).is_err());
    assert!(try_given(&[order, allocated("o1", "z", "b1", 2)]).is_err());
}
