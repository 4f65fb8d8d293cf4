//! Story 5: an order from its creation until it is shipped or cancelled.

use std::collections::BTreeSet;

use system_tests::client::{Date, Money, NewOrder, OrderFilter, ReadAfter, TallyClient};
use system_tests::{Log, Tally};
use tonic::Code;

use super::line;

#[tokio::test]
async fn story_5_an_order_is_created_and_allocated_in_one_commit() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 50).await;
    tally.stocked("b2", "TABLE", 50).await;
    let order = NewOrder::of("c-17", &[("LAMP", 3), ("TABLE", 2)]);

    let created = client.create_order(&order).await.unwrap();

    let id = created.order_id.as_str();
    assert_eq!(
        created.lines,
        [line(id, "LAMP", 3, "LINE_STATUS_ALLOCATED", "b1"), line(id, "TABLE", 2, "LINE_STATUS_ALLOCATED", "b2")]
    );
    assert_eq!(created.receipt().stream_id, format!("order-{id}"));
    assert_eq!(created.receipt().stream_version, 1);

    let view = client.get_order(id, &created.seen()).await.unwrap();
    assert_eq!(
        (view.order_id.as_str(), view.customer_id.as_str(), view.status.as_str()),
        (id, "c-17", "ORDER_STATUS_OPEN")
    );
    assert_eq!(view.total, Money::euros(7, 500_000_000));
    assert_eq!(view.shipping_address, order.shipping_address);
    assert_eq!(view.version, 1);
    let items: Vec<_> = view
        .items
        .iter()
        .map(|item| (item.sku.as_str(), item.quantity, item.status.as_str(), item.batch_ref.as_str()))
        .collect();
    assert_eq!(items, [("LAMP", 3, "ITEM_STATUS_ALLOCATED", "b1"), ("TABLE", 2, "ITEM_STATUS_ALLOCATED", "b2")]);
    let create_time = view.create_time.expect("a time");
    assert!(create_time.starts_with(&format!("{:04}-", Date::today().year)), "{create_time}");
    assert_eq!((view.ship_time, view.cancel_time), (None, None));

    let log = Log::read(&tally.database().await).await;
    log.check();
    let last = log.events.last().unwrap();
    let together = log.of_command(last.command_id);
    assert_eq!(together.len(), 3);
    assert_eq!(
        together.iter().map(|event| event.recorded_at).collect::<BTreeSet<_>>().len(),
        1,
        "one commit has one time"
    );
    assert_eq!(last.position, created.receipt().position);
}

#[tokio::test]
async fn story_5_an_unknown_sku_refuses_the_whole_order() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 50).await;
    let database = tally.database().await;
    let before = Log::read(&database).await;

    let refused = client.create_order(&NewOrder::of("c-17", &[("LAMP", 3), ("NONEXISTENT", 2)])).await.unwrap_err();

    assert!(refused.is(Code::FailedPrecondition, "INVALID_SKU"), "{refused:?}");
    assert_eq!(refused.message, "Invalid sku NONEXISTENT");
    assert_eq!(Log::read(&database).await, before);
}

#[tokio::test]
async fn story_5_a_cancelled_order_frees_its_stock_to_who_waits() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let first = client.create_order(&NewOrder::of("c-1", &[("LAMP", 10)])).await.unwrap();
    let second = client.create_order(&NewOrder::of("c-2", &[("LAMP", 10)])).await.unwrap();
    assert_eq!(second.lines, [line(&second.order_id, "LAMP", 10, "LINE_STATUS_BACKORDERED", "")]);

    let cancelled = client.cancel_order(&first.order_id, "changed their mind").await.unwrap();

    let served = line(&second.order_id, "LAMP", 10, "LINE_STATUS_ALLOCATED", "b1");
    let mut released = line(&first.order_id, "LAMP", 10, "LINE_STATUS_RELEASED", "");
    released.previous_batch_ref = "b1".to_owned();
    assert_eq!(cancelled.lines, [released, served]);

    let view = client.get_order(&first.order_id, &cancelled.seen()).await.unwrap();
    assert_eq!((view.status.as_str(), view.cancel_reason.as_str()), ("ORDER_STATUS_CANCELLED", "changed their mind"));
    assert!(view.cancel_time.is_some());
    assert_eq!((view.items[0].status.as_str(), view.items[0].batch_ref.as_str()), ("ITEM_STATUS_RELEASED", ""));
    let view = client.get_order(&second.order_id, &cancelled.seen()).await.unwrap();
    assert_eq!((view.items[0].status.as_str(), view.items[0].batch_ref.as_str()), ("ITEM_STATUS_ALLOCATED", "b1"));

    // A closed order never holds stock again.
    let again = client.allocate(&first.order_id, "LAMP", 10).await.unwrap_err();
    assert!(again.is(Code::FailedPrecondition, "ORDER_CANCELLED"), "{again:?}");
    let again = client.cancel_order(&first.order_id, "once more").await.unwrap();
    assert_eq!(again.receipt().stream_version, 2);
    let shipped = client.ship_order(&first.order_id).await.unwrap_err();
    assert!(shipped.is(Code::FailedPrecondition, "ORDER_CANCELLED"), "{shipped:?}");
}

#[tokio::test]
async fn story_5_an_order_is_shipped_only_when_all_of_it_is_in_the_warehouse() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    client.create_batch("b2", "TABLE", 5, Some(Date::new(2030, 1, 1))).await.unwrap();
    client.allocate("elsewhere", "TABLE", 5).await.unwrap();
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 4), ("TABLE", 2)])).await.unwrap();
    let id = order.order_id.as_str();

    let backordered = client.ship_order(id).await.unwrap_err();
    assert!(backordered.is(Code::FailedPrecondition, "ITEMS_NOT_IN_STOCK"), "{backordered:?}");
    client.deallocate("elsewhere", "TABLE").await.unwrap();
    let not_received = client.ship_order(id).await.unwrap_err();
    assert!(not_received.is(Code::FailedPrecondition, "ITEMS_NOT_IN_STOCK"), "{not_received:?}");
    client.receive_batch("b2").await.unwrap();
    let shipped = client.ship_order(id).await.unwrap();

    assert_eq!(
        shipped.lines,
        [line(id, "LAMP", 4, "LINE_STATUS_SHIPPED", "b1"), line(id, "TABLE", 2, "LINE_STATUS_SHIPPED", "b2")]
    );
    let seen = shipped.seen();
    let view = client.get_order(id, &seen).await.unwrap();
    assert_eq!(view.status, "ORDER_STATUS_SHIPPED");
    assert!(view.ship_time.is_some());
    assert_eq!((view.items[1].status.as_str(), view.items[1].batch_ref.as_str()), ("ITEM_STATUS_SHIPPED", "b2"));
    let stock = client.get_stock("LAMP", &seen).await.unwrap();
    assert_eq!((stock.batch("b1").quantity, stock.batch("b1").allocated, stock.available_now), (6, 0, 6));
    let gone = client.get_allocations(id, &seen).await.unwrap_err();
    assert!(gone.is(Code::NotFound, "ALLOCATIONS_NOT_FOUND"), "{gone:?}");

    client.ship_order(id).await.expect("shipping again changes nothing and succeeds");
    let cancelled = client.cancel_order(id, "too late").await.unwrap_err();
    assert!(cancelled.is(Code::FailedPrecondition, "ORDER_SHIPPED"), "{cancelled:?}");
}

#[tokio::test]
async fn story_5_an_orders_lines_are_its_own() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    tally.stocked("b2", "TABLE", 10).await;
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 4)])).await.unwrap();
    let id = order.order_id.as_str();

    let foreign = client.allocate(id, "TABLE", 1).await.unwrap_err();
    assert!(foreign.is(Code::FailedPrecondition, "NOT_IN_ORDER"), "{foreign:?}");
    let freed = client.deallocate(id, "LAMP").await.unwrap();
    assert_eq!(client.get_order(id, &freed.seen()).await.unwrap().items[0].status, "ITEM_STATUS_RELEASED");
    let differs = client.allocate(id, "LAMP", 5).await.unwrap_err();
    assert!(differs.is(Code::FailedPrecondition, "LINE_DIFFERS"), "{differs:?}");
    let back = client.allocate(id, "LAMP", 4).await.unwrap();
    assert_eq!(client.get_order(id, &back.seen()).await.unwrap().items[0].status, "ITEM_STATUS_ALLOCATED");

    // An order id that stock was asked for before is an order kept elsewhere.
    let elsewhere = uuid::Uuid::new_v4().to_string();
    client.allocate(&elsewhere, "LAMP", 1).await.unwrap();
    let taken = client
        .create_order(&NewOrder { order_id: elsewhere, ..NewOrder::of("c-1", &[("LAMP", 1)]) })
        .await
        .unwrap_err();
    assert!(taken.is(Code::AlreadyExists, "ORDER_EXISTS"), "{taken:?}");
}

#[tokio::test]
async fn story_5_orders_are_listed_in_pages_the_newest_first() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 1_000).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        let customer = if number == 3 { "c-2" } else { "c-1" };
        ids.push(client.create_order(&NewOrder::of(customer, &[("LAMP", 1)])).await.unwrap().order_id);
    }
    let last = client.cancel_order(&ids[5], "no").await.unwrap().seen();

    let of_one = OrderFilter { customer_id: "c-1".to_owned(), page_size: 4, ..OrderFilter::default() };
    let first = client.list_orders(&of_one, &last).await.unwrap();
    assert_eq!(listed(&first.orders), [&ids[6], &ids[5], &ids[4], &ids[2]]);
    // What is created meanwhile stands before the first page and moves nothing.
    let new = client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    let second = OrderFilter { page_token: first.next_page_token, ..of_one.clone() };
    let second = client.list_orders(&second, &new.seen()).await.unwrap();
    assert_eq!(listed(&second.orders), [&ids[1], &ids[0]]);
    assert_eq!(second.next_page_token, "");

    let open = OrderFilter { status: "ORDER_STATUS_OPEN".to_owned(), ..OrderFilter::default() };
    let all_open = client.list_orders(&open, &new.seen()).await.unwrap();
    assert_eq!(listed(&all_open.orders), [&new.order_id, &ids[6], &ids[4], &ids[3], &ids[2], &ids[1], &ids[0]]);
    let both = OrderFilter { status: "ORDER_STATUS_CANCELLED".to_owned(), ..of_one };
    let cancelled = client.list_orders(&both, &ReadAfter::nothing()).await.unwrap();
    assert_eq!(listed(&cancelled.orders), [&ids[5]]);
    assert_eq!((cancelled.orders[0].item_count, cancelled.orders[0].version), (1, 2));
    assert_eq!(cancelled.orders[0].total, Money::euros(1, 500_000_000));
}

fn listed(orders: &[system_tests::client::OrderSummary]) -> Vec<&String> {
    orders.iter().map(|order| &order.order_id).collect()
}
