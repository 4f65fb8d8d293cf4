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
    views: BTreeMap<String, Bytes>,
    lists: BTreeMap<String, BTreeSet<String>>,
}

impl Stored {
    fn apply(&mut self, changes: Vec<ViewChange>) {
        for change in changes {
            match change.value {
                Some(value) => self.views.insert(change.key, value.into()),
                None => self.views.remove(&change.key),
            };
            for (list, member) in change.lists_removed {
                assert!(self.lists.get_mut(&list).unwrap().remove(&member), "{list} had no {member}");
            }
            for (list, member) in change.lists_added {
                assert!(self.lists.entry(list).or_default().insert(member));
            }
        }
    }

    fn fold(&mut self, projection: &dyn Fold, events: &[Arc<Recorded>]) {
        let keys = projection.keys(events).unwrap();
        let stored = keys.into_iter().map(|key| (key.clone(), self.views.get(&key).cloned())).collect();
        self.apply(projection.changes(events, stored).unwrap());
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
    stored.fold(&*by_name("orders_by_status"), &recorded(&history()));
    let members = |list: &str| stored.lists[list].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(members("status/SHIPPED"), ["00000000000000000003:o1"]);
    assert_eq!(members("status/CANCELLED"), ["00000000000000000005:o2"]);
    assert_eq!(members("status/OPEN"), ["00000000000000000014:o3"]);
}

#[test]
fn a_view_that_comes_and_goes_within_a_batch_is_not_written() {
    let projection = by_name("allocations");
    let events = recorded(&[allocated("o1", "a", "b1", 1), deallocated("o1", "a", Some("b1"), 1)]);
    let stored = BTreeMap::from([("o1".to_owned(), None)]);
    assert_eq!(projection.changes(&events, stored), Ok(vec![]));
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
            .filter(|event| !projection.keys(&recorded(std::slice::from_ref(event))).unwrap().is_empty())
            .map(|event| event.recorded().event_type)
            .collect();
        let declared: &[&str] = match projection.name() {
            "order" | "order_history" => {
                &["OrderCreated", "OrderCancelled", "OrderShipped", "Allocated", "Deallocated", "OutOfStock", "Shipped"]
            }
            "orders_by_customer" | "orders_by_status" => &["OrderCreated", "OrderCancelled", "OrderShipped"],
            "allocations" => &["Allocated", "Deallocated", "Shipped"],
            // Of Allocated and Deallocated those of lines that waited.
            "backorders" => &["Deallocated", "OutOfStock"],
            "stock" => &[
                "BatchCreated",
                "BatchQuantityChanged",
                "BatchReceived",
                "Allocated",
                "Deallocated",
                "OutOfStock",
                "Shipped",
            ],
            "streams" => &all_types,
            name => panic!("{name}"),
        };
        assert_eq!(handled, declared, "{}", projection.name());
    }
}

#[test]
fn an_event_that_cannot_be_read_stops_the_projections_that_handle_it_and_no_other() {
    let broken = recorded(&[claimed("b1"), allocated("o1", "sku", "b1", 1).at(5).unreadable("Allocated")]);
    let stopped: Vec<_> = all().iter().filter(|p| p.keys(&broken).is_err()).map(|p| p.name()).collect();
    assert_eq!(stopped, ["order", "allocations", "stock", "order_history", "backorders"]);
    assert_eq!(by_name("order").keys(&broken).unwrap_err().position, 5);
}

#[test]
fn an_event_of_a_type_that_nobody_knows_stops_all_that_read_events() {
    let unknown = recorded(&[claimed("b1").unreadable("OrderAmended")]);
    let going_on: Vec<_> = all().iter().filter(|p| p.keys(&unknown).is_ok()).map(|p| p.name()).collect();
    assert_eq!(going_on, ["streams"]);
}

#[test]
fn a_stored_view_that_cannot_be_read_is_an_alarm() {
    let events = recorded(&[allocated("o1", "sku", "b1", 1).at(5)]);
    let stored = BTreeMap::from([("o1".to_owned(), Some(Bytes::from_static(b"\xff")))]);
    let error = by_name("allocations").changes(&events, stored).unwrap_err();
    assert_eq!(error, FoldError { position: 5, reason: Unfoldable::View });
}
