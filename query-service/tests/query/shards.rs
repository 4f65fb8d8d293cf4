//! Views that are divided: each read waits for its own shard, a list for all of them.

use std::time::Duration;

use tally_api::orders::v1::{ListOrdersRequest, OrderStatus, OrderSummary};
use tally_read_model::{Unit, ViewChange, list_member, lists, projections};

use crate::system::*;

const LONG: Duration = Duration::from_secs(60);
const SHARDS: &str = "--read-shards=3";

/// The shard that has an order, and one that has not.
fn own_and_other(system: &System, projection: &'static str) -> (Unit, Unit) {
    let own = system.writer.model().unit_of(projection, ORDER_ID);
    (own, Unit { shard: (own.shard + 1) % 3, ..own })
}

fn summary() -> ViewChange {
    let status = OrderStatus::Open.into();
    let summary =
        OrderSummary { order_id: ORDER_ID.to_owned(), customer_id: "c1".to_owned(), status, ..Default::default() };
    let member = list_member(6, ORDER_ID);
    ViewChange { lists_added: vec![(lists::customer("c1"), member)], ..view(ORDER_ID, &summary) }
}

#[tokio::test]
async fn a_read_waits_for_the_shard_of_what_it_reads_and_for_no_other() {
    let system = System::start(&[&[SHARDS], ONE_WAITER.as_slice(), &NO_POLLING].concat()).await;
    system.apply_order(6, 1).await;
    let (own, other) = own_and_other(&system, projections::ORDER);
    let mut waiting = system.one_that_waits(or_fail(within(LONG, system.token(7)))).await;
    system.apply_shard(other, 9, &[]).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err(),
        "the other shard is not what it waits for"
    );
    system.apply_shard(own, 7, &[view(ORDER_ID, &order(2))]).await;
    let answer = soon(waiting).await.expect("found");
    assert_eq!(answer.order, Some(order(2)));
    assert_eq!(answer.freshness.expect("freshness").position, 7);
}

#[tokio::test]
async fn a_list_waits_for_the_shard_that_is_furthest_behind() {
    let system = System::start(&[&[SHARDS], NO_POLLING.as_slice()].concat()).await;
    system.apply(projections::ORDER_SUMMARIES, 6, &[summary()]).await;
    let (own, other) = own_and_other(&system, projections::ORDER_SUMMARIES);
    let last = Unit { shard: (other.shard + 1) % 3, ..own };
    let read_after = Some(or_fail(within(LONG, system.token(7))));
    let request = ListOrdersRequest { customer_id: "c1".to_owned(), read_after, ..Default::default() };
    let mut orders = system.orders.clone();
    let mut waiting = std::pin::pin!(orders.list_orders(request));
    for unit in [own, last] {
        system.apply_shard(unit, 8, &[]).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err(),
            "another is still behind"
        );
    }
    system.apply_shard(other, 7, &[]).await;
    let page = soon(waiting).await.expect("a page").into_inner();
    assert_eq!(page.orders.len(), 1);
    assert_eq!(page.freshness.expect("freshness").position, 7, "that of the one furthest behind");
}
