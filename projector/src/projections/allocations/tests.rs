use super::*;
use crate::projections::testing::*;
use crate::projections::testing::{given as given_events, try_given as try_given_events};

/// The rows, (SKU, batch, pieces); None where there is no view.
fn given(events: &[Given]) -> Option<Vec<(String, String, i32)>> {
    let view = given_events::<Allocations>(events)?;
    assert_eq!(view.freshness, None);
    Some(view.allocations.into_iter().map(|row| (row.sku, row.batch_ref, row.quantity)).collect())
}

fn row(sku: &str, batch_ref: &str, quantity: i32) -> (String, String, i32) {
    (sku.to_owned(), batch_ref.to_owned(), quantity)
}

#[test]
fn rows_stand_by_sku() {
    let rows = given(&[allocated("o1", "b", "b1", 1), allocated("o1", "c", "b2", 2), allocated("o1", "a", "b3", 3)]);
    assert_eq!(rows.unwrap(), [row("a", "b3", 3), row("b", "b1", 1), row("c", "b2", 2)]);
}

#[test]
fn a_backorder_has_no_row_until_it_is_served() {
    let waiting = out_of_stock("o1", "a", 2);
    assert_eq!(given(std::slice::from_ref(&waiting)), None);
    assert_eq!(given(&[waiting, served("o1", "a", "b1", 2)]).unwrap(), [row("a", "b1", 2)]);
}

#[test]
fn a_freed_line_has_no_row_and_the_last_one_takes_the_view_with_it() {
    let both = [allocated("o1", "a", "b1", 1), allocated("o1", "b", "b2", 2)];
    let one = [both.as_slice(), &[deallocated("o1", "a", Some("b1"), 1)]].concat();
    assert_eq!(given(&one).unwrap(), [row("b", "b2", 2)]);
    assert_eq!(given(&[one.as_slice(), &[deallocated("o1", "b", Some("b2"), 2)]].concat()), None);
}

#[test]
fn a_shipped_line_has_no_row() {
    assert_eq!(given(&[allocated("o1", "a", "b1", 1), shipped("o1", "a", "b1", 1)]), None);
}

#[test]
fn giving_up_waiting_changes_nothing() {
    assert_eq!(given(&[out_of_stock("o1", "a", 2), deallocated("o1", "a", None, 2)]), None);
    let other = [allocated("o1", "b", "b1", 1), deallocated("o1", "a", None, 2)];
    assert_eq!(given(&other).unwrap(), [row("b", "b1", 1)]);
}

#[test]
fn a_moved_line_is_on_its_new_batch() {
    let moved = [allocated("o1", "a", "b1", 1), deallocated("o1", "a", Some("b1"), 1), allocated("o1", "a", "b2", 1)];
    assert_eq!(given(&moved).unwrap(), [row("a", "b2", 1)]);
}

#[test]
fn other_events_change_nothing() {
    let view = given_events::<Allocations>(&[allocated("o1", "sku", "b1", 1)]);
    for event in
        [created("o1", "c1", &[("sku", 1)]), cancelled("o1"), claimed("b1"), received("b1"), out_of_stock("o1", "b", 1)]
    {
        assert_eq!(Allocations::key(&event.recorded()), None);
        assert_eq!(Allocations::fold(view.clone(), &event.recorded()).unwrap(), view);
    }
}

#[test]
fn events_that_do_not_fit_are_an_alarm() {
    let held = allocated("o1", "a", "b1", 1);
    assert!(try_given_events::<Allocations>(&[held.clone(), held]).is_err());
    assert!(try_given_events::<Allocations>(&[deallocated("o1", "a", Some("b1"), 1)]).is_err());
    assert!(try_given_events::<Allocations>(&[shipped("o1", "a", "b1", 1)]).is_err());
}
