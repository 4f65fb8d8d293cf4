use super::*;
use crate::projections::testing::*;
use crate::projections::testing::{Given, given as given_events, try_given as try_given_events};

fn given(events: &[Given]) -> Option<GetOrderHistoryResponse> {
    given_events::<OrderHistories>(events)
}

fn descriptions(history: &GetOrderHistoryResponse) -> Vec<&str> {
    history.changes.iter().map(|change| change.description.as_str()).collect()
}

#[test]
fn every_change_is_told_with_its_time_and_position_the_oldest_first() {
    let history = given(&[
        created("o1", "c1", &[("a", 2), ("b", 3)]).at(7).of_command(1),
        allocated("o1", "a", "b1", 2).at(8).of_command(1),
        out_of_stock("o1", "b", 3).at(9).of_command(1),
        served("o1", "b", "b2", 3).at(12),
        order_shipped("o1").at(20),
        shipped("o1", "a", "b1", 2).at(21),
        shipped("o1", "b", "b2", 3).at(22),
    ])
    .unwrap();
    assert_eq!(
        descriptions(&history),
        [
            "created with 2 lines",
            "2 × a allocated from batch b1",
            "3 × b backordered",
            "3 × b allocated from batch b2 after waiting",
            "shipped",
            "2 × a shipped from batch b1",
            "3 × b shipped from batch b2",
        ]
    );
    let positions: Vec<_> = history.changes.iter().map(|change| change.position).collect();
    assert_eq!(positions, [7, 8, 9, 12, 20, 21, 22]);
    let allocated = &history.changes[1];
    assert_eq!(allocated.change_time, Some(prost_types::Timestamp { seconds: 8, nanos: 0 }));
    assert_eq!(
        (allocated.event_type.as_str(), allocated.sku.as_str(), allocated.quantity, allocated.batch_ref.as_str()),
        ("Allocated", "a", 2, "b1")
    );
    assert_eq!(history.changes[0].command_id, allocated.command_id, "they happened together");
    assert_eq!((history.customer_id.as_str(), history.omitted_count), ("c1", 0));
}

#[test]
fn a_cancelled_order_says_why_and_what_its_lines_gave_up() {
    let history = given(&[
        created("o1", "c1", &[("a", 2)]),
        out_of_stock("o1", "a", 2),
        cancelled("o1"),
        deallocated("o1", "a", None, 2),
    ]);
    assert_eq!(
        descriptions(&history.unwrap()),
        ["created with 1 line", "2 × a backordered", "cancelled: changed their mind", "2 × a no longer backordered"]
    );
}

#[test]
fn orders_kept_elsewhere_have_no_history() {
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
fn no_history_says_where_an_order_goes() {
    let history = given(&[created("o1", "c1", &[("a", 2)])]).unwrap();
    assert!(!format!("{history:?}").contains("Chausseestr"));
}

#[test]
fn an_order_that_is_changed_for_ever_keeps_its_newest_changes() {
    let rounds = (0..1_500).flat_map(|round| {
        [allocated("o1", "a", "b1", 1).at(2 * round + 2), deallocated("o1", "a", Some("b1"), 1).at(2 * round + 3)]
    });
    let events: Vec<Given> = [created("o1", "c1", &[("a", 1)]).at(1)].into_iter().chain(rounds).collect();
    let history = given(&events).unwrap();
    assert_eq!((history.changes.len(), history.omitted_count), (CHANGES_KEPT_MAX, 1_001));
    assert_eq!((history.changes[0].position, history.changes.last().unwrap().position), (1_002, 3_001));
}

#[test]
fn what_happens_to_batches_is_in_no_history() {
    let history = given(&[created("o1", "c1", &[("sku", 2)])]);
    for event in
        [batch_created("b1", 1, None), quantity_changed("b1", 2), received("b1"), claimed("b1"), external("o1")]
    {
        assert_eq!(OrderHistories::key(&event.recorded()), None);
        assert_eq!(OrderHistories::fold(history.clone(), &event.recorded()).unwrap(), history);
    }
}

#[test]
fn events_that_do_not_fit_are_an_alarm() {
    let order = created("o1", "c1", &[("a", 2)]);
    assert!(try_given_events::<OrderHistories>(&[order.clone(), order]).is_err());
    assert!(try_given_events::<OrderHistories>(&[cancelled("o1")]).is_err());
    assert!(try_given_events::<OrderHistories>(&[order_shipped("o1")]).is_err());
}
