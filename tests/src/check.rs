//! Whether what Tally shows is what its log says.

use tonic::Code;

use crate::client::{OrderFilter, OrderSummary, ReadAfter, RustClient, Stock, TallyClient};
use crate::fold::Fold;
use crate::reads::reads_equal_log;
use crate::{Log, PATIENCE, Tally};

/// Orders in a page of a list: few, so that there are several pages.
const PAGE_SIZE: i32 = 50;

/// Checks the rules of the log, waits until every projection has seen all of it, and holds every view against a naive fold of it. The log must
/// not grow meanwhile. Returns the log.
///
/// # Panics
/// When anything differs.
pub async fn views_equal_fold(tally: &Tally) -> Log {
    let log = Log::read(&tally.database().await).await;
    log.check();
    let fold = Fold::of(&log);
    let client = tally.client().deadline(2 * PATIENCE);
    let seen = ReadAfter::position(log.head).at_most(PATIENCE).or_fail();

    for sku in fold.skus() {
        let shown = client.get_stock(sku, &seen).await.unwrap_or_else(|error| panic!("{sku}: {error:?}"));
        assert_eq!(shown.freshness.position, log.head);
        assert_eq!(Stock { freshness: fold.stock(sku).freshness, ..shown }, fold.stock(sku));
    }
    for order in fold.orders() {
        let mut shown =
            client.get_order(&order.order_id, &seen).await.unwrap_or_else(|error| panic!("{order:?}: {error:?}"));
        shown.freshness = order.freshness.clone();
        assert_eq!(shown, *order);
    }
    for order_id in fold.orders_with_lines() {
        let shown = match client.get_allocations(order_id, &seen).await {
            Ok(answer) => answer.allocations,
            Err(error) if error.code == Code::NotFound => Vec::new(),
            Err(error) => panic!("{order_id}: {error:?}"),
        };
        assert_eq!(shown, fold.allocations(order_id), "allocations of {order_id}");
    }
    lists_equal_fold(&client, &fold, &seen).await;
    reads_equal_log(tally, &log).await;
    log
}

async fn lists_equal_fold(client: &RustClient, fold: &Fold, seen: &ReadAfter) {
    let statuses = ["ORDER_STATUS_OPEN", "ORDER_STATUS_SHIPPED", "ORDER_STATUS_CANCELLED"];
    let mut customers: Vec<&str> = fold.orders().map(|order| order.customer_id.as_str()).collect();
    customers.sort_unstable();
    customers.dedup();
    for customer in customers.iter().copied().chain([""]) {
        for status in statuses.into_iter().chain([""]) {
            if customer.is_empty() && status.is_empty() {
                continue;
            }
            let expected = fold.summaries(|order| {
                (customer.is_empty() || order.customer_id == customer) && (status.is_empty() || order.status == status)
            });
            assert_eq!(
                all_pages(client, customer, status, seen).await,
                expected.collect::<Vec<_>>(),
                "orders of {customer:?} with {status:?}"
            );
        }
    }
}

async fn all_pages(client: &RustClient, customer_id: &str, status: &str, seen: &ReadAfter) -> Vec<OrderSummary> {
    let mut filter = OrderFilter {
        customer_id: customer_id.to_owned(),
        status: status.to_owned(),
        page_size: PAGE_SIZE,
        page_token: String::new(),
    };
    let mut orders = Vec::new();
    loop {
        let page = client.list_orders(&filter, seen).await.unwrap_or_else(|error| panic!("{filter:?}: {error:?}"));
        orders.extend(page.orders);
        if page.next_page_token.is_empty() {
            return orders;
        }
        filter.page_token = page.next_page_token;
    }
}
