//! A customer's orders, all of them and by status.

use tally_read_model::{lists, projections};

use super::order_summary::{self, ListedOrder};
use crate::Recorded;
use crate::projection::{Handles, Projection, Unfoldable, Unread};

/// Order summaries by order_id, in lists by customer.
pub(crate) struct OrdersByCustomer;

impl Projection for OrdersByCustomer {
    type View = ListedOrder;

    const NAME: &'static str = projections::ORDERS_BY_CUSTOMER;

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
        let customer_id = &order.summary.customer_id;
        vec![
            (lists::customer(customer_id), order.member()),
            (lists::customer_with_status(customer_id, order.status_name()), order.member()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::{cancelled, created, given};

    #[test]
    fn an_order_is_in_its_customers_list_and_in_the_one_of_its_status() {
        let order = given::<OrdersByCustomer>(&[created("o1", "c/1", &[("sku", 1)]).at(7)]).unwrap();
        let member = "00000000000000000007:o1".to_owned();
        assert_eq!(
            OrdersByCustomer::lists(&order),
            [("customer/c%2F1".to_owned(), member.clone()), ("customer/c%2F1/OPEN".to_owned(), member)]
        );
    }

    #[test]
    fn a_cancelled_order_stays_where_it_was_and_changes_the_list_of_its_status() {
        let order =
            given::<OrdersByCustomer>(&[created("o1", "c1", &[("sku", 1)]).at(7), cancelled("o1").at(9)]).unwrap();
        let member = "00000000000000000007:o1".to_owned();
        assert_eq!(
            OrdersByCustomer::lists(&order),
            [("customer/c1".to_owned(), member.clone()), ("customer/c1/CANCELLED".to_owned(), member)]
        );
    }
}
