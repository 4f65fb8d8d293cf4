use super::*;
use tally_read_model::list_member;

use crate::projections::testing::*;

fn given(events: &[Given]) -> Result<Option<ListedOrder>, Unfoldable> {
    try_given::<OrderSummaries>(events)
}

fn lists_after(events: &[Given]) -> Vec<(String, String)> {
    OrderSummaries::lists(&given(events).unwrap().unwrap())
}

#[test]
fn a_created_order_is_open() {
    let order = given(&[created("o1", "c1", &[("a", 2), ("b", 3)]).at(7)]).unwrap().unwrap();
    assert_eq!(order.created_position, 7);
    assert_eq!(
        order.summary,
        OrderSummary {
            order_id: "o1".into(),
            customer_id: "c1".into(),
            status: OrderStatus::Open.into(),
            total: Some(proto::money(&eur(9))),
            item_count: 2,
            create_time: Some(prost_types::Timestamp { seconds: 7, nanos: 0 }),
            version: 1,
        }
    );
}

#[test]
fn a_closed_order_keeps_its_place_and_has_its_new_status_and_version() {
    for (event, status) in [(cancelled("o1"), OrderStatus::Cancelled), (order_shipped("o1"), OrderStatus::Shipped)] {
        let open = created("o1", "c1", &[("a", 2)]).at(7);
        let before = given(std::slice::from_ref(&open)).unwrap().unwrap();
        let after = given(&[open, event.at(9).version(2)]).unwrap().unwrap();
        assert_eq!((after.summary.status(), after.summary.version), (status, 2));
        assert_eq!(after.member(), before.member());
    }
}

#[test]
fn other_events_change_nothing() {
    let order = given(&[created("o1", "c1", &[("sku", 1)])]).unwrap();
    for event in [external("o1"), allocated("o1", "sku", "b1", 1), claimed("b1")] {
        assert_eq!(OrderSummaries::key(&event.recorded()), None);
        assert_eq!(OrderSummaries::fold(order.clone(), &event.recorded()).unwrap(), order);
    }
}

#[test]
fn events_that_do_not_fit_are_an_alarm() {
    let open = created("o1", "c1", &[("sku", 1)]);
    assert!(given(&[open.clone(), open]).is_err());
    assert!(given(&[cancelled("o1")]).is_err());
    assert!(given(&[order_shipped("o1")]).is_err());
}

#[test]
fn a_reader_of_the_summary_reads_the_stored_view_and_nothing_more() {
    let order = given(&[created("o1", "c1", &[("sku", 1)]).at(7)]).unwrap().unwrap();
    let bytes = order.to_bytes();
    assert_eq!(OrderSummary::decode(bytes.as_slice()).unwrap(), order.summary);
    assert_eq!(ListedOrder::from_bytes(&bytes), Ok(order));
    assert_eq!(ListedOrder::from_bytes(b"\xff"), Err(Unfoldable::View));
}

#[test]
fn an_order_is_in_its_customers_list_and_in_those_of_its_status() {
    let member = list_member(7, "o1");
    assert_eq!(
        lists_after(&[created("o1", "c/1", &[("sku", 1)]).at(7)]),
        [
            ("customer/c%2F1".to_owned(), member.clone()),
            ("customer/c%2F1/OPEN".to_owned(), member.clone()),
            ("status/OPEN".to_owned(), member)
        ]
    );
}

#[test]
fn a_closed_order_stays_where_it_was_and_changes_the_lists_of_its_status() {
    for (event, status) in [(cancelled("o1"), "CANCELLED"), (order_shipped("o1"), "SHIPPED")] {
        let member = list_member(7, "o1");
        assert_eq!(
            lists_after(&[created("o1", "c1", &[("sku", 1)]).at(7), event.at(9)]),
            [
                ("customer/c1".to_owned(), member.clone()),
                (format!("customer/c1/{status}"), member.clone()),
                (format!("status/{status}"), member)
            ]
        );
    }
}
