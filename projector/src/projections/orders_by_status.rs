//! Everybody's orders by status.

use tally_read_model::{lists, projections};

use super::order_summary::{self, ListedOrder};
use crate::Recorded;
use crate::projection::{Handles, Projection, Unfoldable, Unread};

/// Order summaries by order_id, in lists by status.
pub(crate) struct OrdersByStatus;

impl Projection for OrdersByStatus {
    type View = ListedOrder;

    const NAME: &'static str = projections::ORDERS_BY_STATUS;

    const HANDLES: Handles = order_summary::HANDLES;

    fn key(recorded: &Recorded) -> Option<String> {
        order_summary::key(recorded)
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        order_summary::key_of_unreadable(recorded)
    }

    fn fold(view: Option<ListedOrder>, recorded: &Recorded) -> Result<Option<ListedOrder>, Unfoldable> {
        order_summary::fold(view, recorded)
    }

    fn lists(order: &ListedOrder) -> Vec<(String, String)> {
        vec![(lists::status(order.status_name()), order.member())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::{cancelled, created, given, order_shipped};

    #[test]
    fn an_order_is_in_the_list_of_its_status_at_the_place_where_it_was_created() {
        let open = created("o1", "c1", &[("sku", 1)]).at(7);
        let lists_after = |events: &[_]| OrdersByStatus::lists(&given::<OrdersByStatus>(events).unwrap());
        let member = "00000000000000000007:o1".to_owned();
        assert_eq!(lists_after(std::slice::from_ref(&open)), [("status/OPEN".to_owned(), member.clone())]);
        assert_eq!(
            lists_after(&[open.clone(), cancelled("o1").at(9)]),
            [("status/CANCELLED".to_owned(), member.clone())]
        );
        assert_eq!(lists_after(&[open, order_shipped("o1").at(9)]), [("status/SHIPPED".to_owned(), member)]);
    }
}
