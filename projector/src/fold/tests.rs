use std::collections::BTreeMap;

use bytes::Bytes;
use tally_read_model::list_member;

use super::*;
use crate::projections::testing::*;
use crate::projections::{all, testing};

fn recorded(events: &[Given]) -> Vec<Arc<Recorded>> {
    events.iter().map(|event| Arc::new(event.recorded())).collect()
}

fn by_name(name: &str) -> Arc<dyn Fold> {
    all().into_iter().find(|projection| projection.name() == name).unwrap()
}

/// Applies changes as the read model does: views by key, and lists of members.
#[derive(Default, Debug, PartialEq)]
struct Stored {
    views: BTreeMap<String, StoredView>,
    lists: BTreeMap<String, BTreeSet<String>>,
    parked: Vec<u64>,
}

impl Stored {
    fn apply(&mut self, change: ViewChange) {
        if change.now == StoredView::default() {
            self.views.remove(&change.key);
        } else {
            self.views.insert(change.key, change.now);
        }
        for (list, member) in change.lists_removed {
            assert!(self.lists.get_mut(&list).unwrap().remove(&member), "{list} had no {member}");
        }
        for (list, member) in change.lists_added {
            assert!(self.lists.entry(list).or_default().insert(member));
        }
    }

    fn fold(&mut self, projection: &dyn Fold, events: &[Arc<Recorded>]) {
        let mut by_view: BTreeMap<String, Vec<Arc<Recorded>>> = BTreeMap::new();
        for event in events {
            match projection.concern(event) {
                Concern::View(key) => by_view.entry(key).or_default().push(event.clone()),
                Concern::AnyView(_) => self.parked.push(event.position),
                Concern::Nothing => {}
            }
        }
        for (key, events) in by_view {
            let stored = self.views.get(&key).cloned().unwrap_or_default();
            let folded = projection.fold(&key, &stored, &events).unwrap();
            self.parked
                .extend(folded.parked.iter().flat_map(|(place, _)| &events[*place..]).map(|event| event.position));
            folded.change.into_iter().for_each(|change| self.apply(change));
        }
    }

    fn view(&self, key: &str) -> StoredView {
        self.views.get(key).cloned().unwrap_or_default()
    }
}

/// A history in which everything happens.
fn history() -> Vec<Given> {
    let events = [
        claimed("b1").of_stream("batch-b1", 1),
        batch_created("b1", 10, None).of_stream("product-sku", 1),
        created("o1", "c1", &[("sku", 4)]).of_stream("order-o1", 1),
        allocated("o1", "sku", "b1", 4).of_stream("product-sku", 2),
        created("o2", "c1", &[("sku", 9)]).of_stream("order-o2", 1),
        out_of_stock("o2", "sku", 9).of_stream("product-sku", 3),
        external("x1").of_stream("order-x1", 1),
        allocated("x1", "sku", "b1", 5).of_stream("product-sku", 4),
        cancelled("o2").of_stream("order-o2", 2),
        deallocated("o2", "sku", None, 9).of_stream("product-sku", 5),
        order_shipped("o1").of_stream("order-o1", 2),
        shipped("o1", "sku", "b1", 4).of_stream("product-sku", 6),
        deallocated("x1", "sku", Some("b1"), 5).of_stream("product-sku", 7),
        created("o3", "c2", &[("sku", 1)]).of_stream("order-o3", 1),
        allocated("o3", "sku", "b1", 1).of_stream("product-sku", 8),
        quantity_changed("b1", 3).of_stream("product-sku", 9),
        out_of_stock("x2", "sku", 99).of_stream("product-sku", 10),
    ];
    events.into_iter().zip(1..).map(|(event, position)| event.at(position)).collect()
}

#[test]
fn however_events_are_divided_into_batches_the_views_are_the_same_bytes() {
    let events = recorded(&history());
    for projection in all() {
        let fold_in = |batch: usize| {
            let mut stored = Stored::default();
            events.chunks(batch).for_each(|events| stored.fold(&*projection, events));
            stored.lists.retain(|_, members| !members.is_empty());
            stored
        };
        let one_by_one = fold_in(1);
        assert!(!one_by_one.views.is_empty());
        for batch in 2..=events.len() {
            assert_eq!(fold_in(batch), one_by_one, "{} in batches of {batch}", projection.name());
        }
    }
}

#[test]
fn an_order_that_changes_its_status_changes_lists() {
    let mut stored = Stored::default();
    stored.fold(&*by_name("order_summaries"), &recorded(&history()));
    let members = |list: &str| stored.lists[list].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(members("status/SHIPPED"), [list_member(3, "o1")]);
    assert_eq!(members("status/CANCELLED"), [list_member(5, "o2")]);
    assert_eq!(members("status/OPEN"), [list_member(14, "o3")]);
}

#[test]
fn a_view_that_comes_and_goes_within_a_batch_is_not_written() {
    let events = recorded(&[allocated("o1", "a", "b1", 1), deallocated("o1", "a", Some("b1"), 1)]);
    let folded = by_name("allocations").fold("o1", &StoredView::default(), &events);
    assert_eq!(folded, Ok(Folded::default()));
}

#[test]
fn a_view_that_ends_is_deleted() {
    let projection = by_name("allocations");
    let mut stored = Stored::default();
    stored.fold(&*projection, &recorded(&[allocated("o1", "a", "b1", 1)]));
    assert_eq!(stored.views.len(), 1);
    stored.fold(&*projection, &recorded(&[deallocated("o1", "a", Some("b1"), 1)]));
    assert_eq!(stored, Stored::default());
}

#[test]
fn each_projection_declares_the_types_that_it_handles() {
    let all_types: Vec<_> = testing::one_of_each().iter().map(|event| event.recorded().event_type).collect();
    let all_types: Vec<_> = all_types.iter().map(String::as_str).collect();
    for projection in all() {
        let handled: Vec<_> = testing::one_of_each()
            .into_iter()
            .filter(|event| projection.concern(&event.recorded()) != Concern::Nothing)
            .map(|event| event.recorded().event_type)
            .collect();
        let declared: &[&str] = match projection.name() {
            "order" | "order_history" => {
                &["OrderCreated", "OrderCancelled", "OrderShipped", "Allocated", "Deallocated", "OutOfStock", "Shipped"]
            }
            "order_summaries" => &["OrderCreated", "OrderCancelled", "OrderShipped"],
            "allocations" => &["Allocated", "Deallocated", "Shipped"],
            "stock" => &[
                "BatchCreated",
                "BatchQuantityChanged",
                "BatchReceived",
                "Allocated",
                "Deallocated",
                "OutOfStock",
                "Shipped",
            ],
            // Of Allocated and Deallocated those of lines that waited.
            "backorders" => &["Deallocated", "OutOfStock"],
            "streams" => &all_types,
            name => panic!("{name}"),
        };
        assert_eq!(handled, declared, "{}", projection.name());
    }
}

#[test]
fn an_event_that_cannot_be_read_concerns_the_projections_that_handle_it_and_no_other() {
    let broken = allocated("o1", "sku", "b1", 1).of_stream("product-sku", 5).unreadable("Allocated");
    let of = |name: &str| by_name(name).concern(&broken.recorded());
    assert_eq!(of("stock"), Concern::View("sku".into()), "its stream says which view");
    assert!(matches!(of("order"), Concern::AnyView(_)), "nothing says which order");
    let named =
        Recorded { named: crate::recorded::Named { order_id: Some("o1".into()), sku: None }, ..broken.recorded() };
    assert_eq!(by_name("order").concern(&named), Concern::View("o1".into()));
    assert_eq!(by_name("allocations").concern(&named), Concern::View("o1".into()));
    assert_eq!(by_name("order_summaries").concern(&named), Concern::Nothing);
}

#[test]
fn an_event_of_a_type_that_nobody_knows_is_taken_by_all_that_may_have_to_know_it() {
    let unknown = cancelled("o1").of_stream("order-o1", 2).unreadable("OrderAmended").recorded();
    let concerned: Vec<_> =
        all().iter().filter(|p| p.concern(&unknown) != Concern::Nothing).map(|p| p.name()).collect();
    assert_eq!(concerned, ["order", "order_summaries", "streams", "order_history"]);
}

#[test]
fn what_cannot_be_folded_waits_and_so_does_what_comes_after_it_for_the_same_view() {
    let projection = by_name("order");
    let mut stored = Stored::default();
    let events = recorded(&[
        created("o1", "c1", &[("sku", 1)]).at(1),
        allocated("o1", "other", "b1", 1).at(2),
        order_shipped("o1").at(3),
        created("o2", "c1", &[("sku", 1)]).at(4),
    ]);
    stored.fold(&*projection, &events);
    assert_eq!(stored.parked, [2, 3]);
    assert_eq!((stored.view("o1").parked, stored.view("o2").parked), (Some(2), None));
    // As it was before.
    let mut before = Stored::default();
    before.fold(&*projection, &events[..1]);
    assert_eq!(stored.view("o1").view, before.view("o1").view);
    // And in a later batch.
    stored.fold(&*projection, &recorded(&[cancelled("o1").at(5), cancelled("o2").at(6)]));
    assert_eq!(stored.parked, [2, 3, 5]);
}

#[test]
fn a_view_whose_first_event_cannot_be_folded_is_marked_though_there_is_none() {
    let mut stored = Stored::default();
    stored.fold(&*by_name("order"), &recorded(&[cancelled("o1").at(7)]));
    assert_eq!(stored.view("o1"), StoredView { view: None, parked: Some(7) });
}

#[test]
fn a_stored_view_that_cannot_be_read_is_told_apart() {
    let events = recorded(&[allocated("o1", "sku", "b1", 1).at(5)]);
    let broken = StoredView { view: Some(Bytes::from_static(b"\xff")), parked: None };
    assert_eq!(by_name("allocations").fold("o1", &broken, &events), Err(Unfoldable::View));
}
