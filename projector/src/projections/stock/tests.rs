use super::*;
use crate::projections::testing::*;
use crate::projections::testing::{given as given_events, try_given as try_given_events};

const JANUARY: Option<(i32, u32, u32)> = Some((2030, 1, 2));
const FEBRUARY: Option<(i32, u32, u32)> = Some((2030, 2, 1));

/// Each at the next position and version.
fn given(events: &[Given]) -> Stock {
    given_events::<Stocks>(&numbered(events)).unwrap()
}

fn numbered(events: &[Given]) -> Vec<Given> {
    events.iter().cloned().zip(1..).map(|(event, n)| event.at(10 * n).version(n)).collect()
}

/// (batch, quantity, allocated, available)
fn batches(stock: &Stock) -> Vec<(&str, i32, i32, i32)> {
    let row = |batch: &'_ Batch| (batch.quantity, batch.allocated, batch.available);
    stock
        .batches
        .iter()
        .map(|batch| {
            let (quantity, allocated, available) = row(batch);
            (batch.batch_ref.as_str(), quantity, allocated, available)
        })
        .collect()
}

/// (month, available)
fn by_month(stock: &Stock) -> Vec<(i32, i64)> {
    stock.available_by_date.iter().map(|row| (row.date.unwrap().month, row.available)).collect()
}

#[test]
fn a_first_batch_makes_the_stock() {
    let stock = given(&[batch_created("b1", 50, None)]);
    assert_eq!(
        stock,
        Stock {
            sku: "sku".into(),
            batches: vec![Batch {
                batch_ref: "b1".into(),
                quantity: 50,
                allocated: 0,
                available: 50,
                eta: None,
                arrival: 10,
            }],
            available_now: 50,
            available_by_date: vec![],
            allocated: 0,
            backordered: 0,
            version: 1,
        }
    );
}

#[test]
fn batches_stand_in_the_order_in_which_they_are_used() {
    let stock = given(&[
        batch_created("february", 1, FEBRUARY),
        batch_created("january", 1, JANUARY),
        batch_created("stock1", 1, None),
        batch_created("january2", 1, JANUARY),
        batch_created("stock2", 1, None),
    ]);
    let order: Vec<_> = stock.batches.iter().map(|batch| batch.batch_ref.as_str()).collect();
    assert_eq!(order, ["stock1", "stock2", "january", "january2", "february"]);
}

#[test]
fn what_is_available_by_a_date_counts_all_that_is_there_by_then() {
    let stock = given(&[
        batch_created("f", 1, FEBRUARY),
        batch_created("j1", 20, JANUARY),
        batch_created("j2", 300, JANUARY),
        batch_created("s", 4000, None),
    ]);
    assert_eq!(stock.available_now, 4000);
    assert_eq!(by_month(&stock), [(1, 4320), (2, 4321)]);
}

#[test]
fn nothing_in_stock_is_nothing_available_now() {
    let stock = given(&[batch_created("j", 20, JANUARY)]);
    assert_eq!(stock.available_now, 0);
    assert_eq!(by_month(&stock), [(1, 20)]);
}

#[test]
fn a_received_batch_is_in_stock_behind_those_that_came_before() {
    let stock = given(&[
        batch_created("a", 1, None),
        batch_created("b", 20, JANUARY),
        batch_created("c", 300, None),
        received("b"),
    ]);
    let order: Vec<_> = stock.batches.iter().map(|batch| (batch.batch_ref.as_str(), batch.arrival)).collect();
    assert_eq!(order, [("a", 10), ("b", 20), ("c", 30)]);
    assert_eq!((stock.available_now, by_month(&stock)), (321, vec![]));
    assert_eq!(stock.batches[1].eta, None);
}

#[test]
fn an_allocation_takes_from_its_batch_alone() {
    let stock = given(&[batch_created("a", 10, None), batch_created("b", 20, JANUARY), allocated("o", "sku", "b", 3)]);
    assert_eq!(batches(&stock), [("a", 10, 0, 10), ("b", 20, 3, 17)]);
    assert_eq!((stock.allocated, stock.backordered, stock.available_now), (3, 0, 10));
    assert_eq!(by_month(&stock), [(1, 27)]);
    assert_eq!(stock.version, 3);
}

#[test]
fn a_freed_allocation_is_available_again() {
    let stock = given(&[
        batch_created("a", 10, None),
        allocated("o", "sku", "a", 3),
        allocated("p", "sku", "a", 4),
        deallocated("o", "sku", Some("a"), 3),
    ]);
    assert_eq!(batches(&stock), [("a", 10, 4, 6)]);
    assert_eq!((stock.allocated, stock.backordered), (4, 0));
}

#[test]
fn a_line_that_waits_is_backordered_until_it_is_served_or_given_up() {
    let waiting = [batch_created("a", 10, None), out_of_stock("o", "sku", 30), out_of_stock("p", "sku", 7)];
    assert_eq!(given(&waiting).backordered, 37);
    let served = given(&[waiting.as_slice(), &[served("p", "sku", "a", 7)]].concat());
    assert_eq!((served.backordered, served.allocated, served.available_now), (30, 7, 3));
    let given_up = given(&[waiting.as_slice(), &[deallocated("o", "sku", None, 30)]].concat());
    assert_eq!((given_up.backordered, given_up.allocated, given_up.available_now), (7, 0, 10));
}

#[test]
fn a_changed_quantity_changes_what_is_available() {
    let stock = given(&[batch_created("a", 10, None), allocated("o", "sku", "a", 3), quantity_changed("a", 5)]);
    assert_eq!(batches(&stock), [("a", 5, 3, 2)]);
    assert_eq!(stock.available_now, 2);
}

#[test]
fn what_is_shipped_leaves_the_batch() {
    let stock = given(&[
        batch_created("a", 10, None),
        allocated("o", "sku", "a", 3),
        allocated("p", "sku", "a", 4),
        shipped("o", "sku", "a", 3),
    ]);
    assert_eq!(batches(&stock), [("a", 7, 4, 3)]);
    assert_eq!((stock.allocated, stock.available_now), (4, 3));
}

#[test]
fn other_events_change_nothing() {
    let stock = given_events::<Stocks>(&[batch_created("a", 10, None)]);
    for event in [created("o", "c1", &[("sku", 1)]), cancelled("o"), external("o"), claimed("a")] {
        assert_eq!(Stocks::key(&event.recorded()), None);
        assert_eq!(Stocks::fold(stock.clone(), &event.recorded()).unwrap(), stock);
    }
}

#[test]
fn events_that_do_not_fit_are_an_alarm() {
    let batch = batch_created("a", 10, None);
    let cases = [
        vec![batch.clone(), batch.clone()],
        vec![allocated("o", "sku", "a", 1)],
        vec![batch.clone(), allocated("o", "sku", "z", 1)],
        vec![batch.clone(), deallocated("o", "sku", Some("z"), 1)],
        vec![batch.clone(), shipped("o", "sku", "z", 1)],
        vec![batch.clone(), quantity_changed("z", 1)],
        vec![batch, received("z")],
    ];
    for case in cases {
        assert!(try_given_events::<Stocks>(&case).is_err(), "{case:?}");
    }
}
