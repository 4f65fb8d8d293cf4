//! The lines that wait for stock, in the order in which they came.

use tally_api::allocation::v1::Backorder;
use tally_domain::Event;
use tally_domain::product::Event as ProductEvent;
use tally_read_model::{line_key, list_member_oldest_first, lists, projections};

use crate::projection::{Handles, Projection, Unfoldable, Unread};
use crate::{Recorded, proto};

/// Waiting lines by SKU and order_id, in the list of their SKU and in that of all.
pub(crate) struct Backorders;

impl Projection for Backorders {
    type View = Backorder;

    const NAME: &'static str = projections::BACKORDERS;

    const HANDLES: Handles = Handles::Types(&["Allocated", "Deallocated", "OutOfStock"]);

    fn key(recorded: &Recorded) -> Option<String> {
        match recorded.event.as_ref().ok()? {
            Event::Product(
                ProductEvent::OutOfStock { order_id, sku, .. }
                | ProductEvent::Allocated { order_id, sku, from_backorder: true, .. }
                | ProductEvent::Deallocated { order_id, sku, batch_ref: None, .. },
            ) => Some(line_key(sku, order_id)),
            // The line did not wait.
            Event::Product(
                ProductEvent::Allocated { from_backorder: false, .. }
                | ProductEvent::Deallocated { batch_ref: Some(_), .. }
                | ProductEvent::BatchCreated { .. }
                | ProductEvent::BatchQuantityChanged { .. }
                | ProductEvent::BatchReceived { .. }
                | ProductEvent::Shipped { .. },
            )
            | Event::Order(_)
            | Event::Batch(_) => None,
        }
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        let named = &recorded.named;
        match (recorded.stream_id.split_once('-'), &named.order_id) {
            (Some(("product", sku)), Some(order_id)) => Unread::View(line_key(sku, order_id)),
            (Some(("order" | "batch", _)), _) => Unread::Nothing,
            _ => Unread::AnyView,
        }
    }

    fn fold(view: Option<Backorder>, recorded: &Recorded) -> Result<Option<Backorder>, Unfoldable> {
        let event = match recorded.event()? {
            Event::Product(event) => event,
            Event::Order(_) | Event::Batch(_) => return Ok(view),
        };
        match (event, view) {
            (ProductEvent::OutOfStock { order_id, sku, quantity }, None) => Ok(Some(Backorder {
                order_id: order_id.clone(),
                sku: sku.clone(),
                quantity: proto::pieces(*quantity),
                position: proto::number(recorded.position),
                backorder_time: Some(proto::timestamp(recorded.recorded_at)),
            })),
            (ProductEvent::OutOfStock { .. }, Some(_)) => Err(Unfoldable::Unexpected("the line waits already")),
            (
                ProductEvent::Allocated { from_backorder: true, .. }
                | ProductEvent::Deallocated { batch_ref: None, .. },
                Some(_),
            ) => Ok(None),
            (
                ProductEvent::Allocated { from_backorder: true, .. }
                | ProductEvent::Deallocated { batch_ref: None, .. },
                None,
            ) => Err(Unfoldable::Unexpected("the line does not wait")),
            (
                ProductEvent::Allocated { from_backorder: false, .. }
                | ProductEvent::Deallocated { batch_ref: Some(_), .. }
                | ProductEvent::BatchCreated { .. }
                | ProductEvent::BatchQuantityChanged { .. }
                | ProductEvent::BatchReceived { .. }
                | ProductEvent::Shipped { .. },
                view,
            ) => Ok(view),
        }
    }

    fn lists(line: &Backorder) -> Vec<(String, String)> {
        // Positions are never negative.
        let position = line.position.unsigned_abs();
        let member = list_member_oldest_first(position, &line_key(&line.sku, &line.order_id));
        vec![(lists::EVERY_BACKORDER.to_owned(), member.clone()), (lists::backorders(&line.sku), member)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::*;

    #[test]
    fn a_line_that_finds_no_stock_waits_since_then() {
        let line = given::<Backorders>(&[out_of_stock("o1", "a", 2).at(7)]).unwrap();
        assert_eq!((line.order_id.as_str(), line.sku.as_str(), line.quantity, line.position), ("o1", "a", 2, 7));
        assert_eq!(line.backorder_time, Some(prost_types::Timestamp { seconds: 7, nanos: 0 }));
    }

    #[test]
    fn a_line_that_is_served_or_given_up_waits_no_longer() {
        for end in [served("o1", "a", "b1", 2), deallocated("o1", "a", None, 2)] {
            assert_eq!(given::<Backorders>(&[out_of_stock("o1", "a", 2), end]), None);
        }
    }

    #[test]
    fn a_line_that_is_taken_back_waits_from_then_on() {
        let line = given::<Backorders>(&[
            out_of_stock("o1", "a", 2).at(3),
            served("o1", "a", "b1", 2).at(4),
            out_of_stock("o1", "a", 2).at(9),
        ]);
        assert_eq!(line.unwrap().position, 9);
    }

    #[test]
    fn the_longest_waiting_line_is_read_first() {
        let member = |position| {
            let line = given::<Backorders>(&[out_of_stock("o1", "a/b", 2).at(position)]).unwrap();
            let [(all, member), (sku, same)] = Backorders::lists(&line).try_into().unwrap();
            assert_eq!((all.as_str(), sku.as_str(), &member), ("all", "sku/a%2Fb", &same));
            assert!(member.ends_with(":a%2Fb/o1"), "{member}");
            member
        };
        // Lists are read from their greatest member on.
        assert!(member(9) > member(10) && member(10) > member(100));
    }

    #[test]
    fn what_happens_to_lines_that_do_not_wait_is_about_none() {
        for event in [
            allocated("o1", "a", "b1", 2),
            deallocated("o1", "a", Some("b1"), 2),
            shipped("o1", "a", "b1", 2),
            batch_created("b1", 1, None),
            quantity_changed("b1", 1),
            received("b1"),
            claimed("b1"),
            external("o1"),
        ] {
            assert_eq!(Backorders::key(&event.recorded()), None);
            assert_eq!(Backorders::fold(None, &event.recorded()), Ok(None));
        }
    }

    #[test]
    fn events_that_do_not_fit_are_an_alarm() {
        assert!(try_given::<Backorders>(&[out_of_stock("o1", "a", 2), out_of_stock("o1", "a", 2)]).is_err());
        assert!(try_given::<Backorders>(&[served("o1", "a", "b1", 2)]).is_err());
        assert!(try_given::<Backorders>(&[deallocated("o1", "a", None, 2)]).is_err());
    }
}
