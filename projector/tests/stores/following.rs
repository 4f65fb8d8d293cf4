//! Projectors that follow the log, alone, together and cut off.

use tally_api_views::{allocations, order, stock};
use tally_domain::{Command, Item, Money};
use tally_event_store::Batch;
use tally_read_model::{lists, projections};

use crate::support::{Fixture, eventually, fixture};

/// Views as a reader decodes them.
mod tally_api_views {
    use prost::Message;
    use tally_api::allocation::v1::{GetAllocationsResponse, Stock};
    use tally_api::orders::v1::Order;
    use tally_read_model::{ReadModel, projections};

    async fn view<M: Message + Default>(model: &ReadModel, projection: &'static str, key: &str) -> Option<M> {
        // Before the first projector there is nothing to say.
        Some(M::decode(model.get(projection, key).await.ok()?.value?).unwrap())
    }

    pub(super) async fn order(model: &ReadModel, order_id: &str) -> Option<Order> {
        view(model, projections::ORDER, order_id).await
    }

    pub(super) async fn allocations(model: &ReadModel, order_id: &str) -> Option<GetAllocationsResponse> {
        view(model, projections::ALLOCATIONS, order_id).await
    }

    pub(super) async fn stock(model: &ReadModel, sku: &str) -> Option<Stock> {
        view(model, projections::STOCK, sku).await
    }
}

const ORDER_ID: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";

fn create_batch(batch_ref: &str, sku: &str) -> Command {
    Command::CreateBatch { batch_ref: batch_ref.into(), sku: sku.into(), quantity: 50, eta: None }
}

fn create_order(order_id: &str, skus: &[&str]) -> Command {
    let unit_price = Money { currency_code: "EUR".into(), units: 2, nanos: 0 };
    let item = |sku: &&str| Item { sku: (*sku).into(), quantity: 20, unit_price: unit_price.clone() };
    Command::CreateOrder {
        order_id: order_id.into(),
        customer_id: "c1".into(),
        items: skus.iter().map(item).collect(),
        shipping_address: Box::default(),
    }
}

async fn append(f: &mut Fixture, commands: &[Command]) -> u64 {
    let commands = commands.iter().map(|command| f.history.decide(command).unwrap()).collect();
    f.append(Batch { commands, guards: Vec::new() }).await
}

#[tokio::test]
async fn an_order_is_seen_in_every_view_that_it_belongs_to() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    append(&mut f, &[create_batch("b1", "sku1"), create_batch("b2", "sku2")]).await;
    let head = append(&mut f, &[create_order(ORDER_ID, &["sku1", "sku2"])]).await;
    f.projected(head).await;

    let order = order(&f.model, ORDER_ID).await.unwrap();
    assert_eq!(order.items.iter().map(|item| item.batch_ref.as_str()).collect::<Vec<_>>(), ["b1", "b2"]);
    assert!(order.create_time.is_some());
    assert_eq!(allocations(&f.model, ORDER_ID).await.unwrap().allocations.len(), 2);
    let stock = stock(&f.model, "sku1").await.unwrap();
    assert_eq!((stock.available_now, stock.allocated, stock.version), (30, 20, 2));

    for list in [lists::customer("c1"), lists::customer_with_status("c1", "OPEN"), lists::status("OPEN")] {
        let page = f.model.page(projections::ORDER_SUMMARIES, &list, None, 10).await.unwrap();
        assert_eq!((page.position, page.entries.len()), (head, 1), "{list}");
    }
    let stream = f.model.get(projections::STREAMS, &format!("order-{ORDER_ID}")).await.unwrap().value.unwrap();
    assert_eq!(stream[..8], 1_u64.to_be_bytes());
    projector.ready(true).await;
    projector.stop().await;
}

#[tokio::test]
async fn an_empty_log_is_claimed_and_followed() {
    let f = fixture().await;
    let projector = f.projector(&[]).await;
    projector.ready(true).await;
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.store.log_id().await.unwrap()));
}

/// No poll comes within the test, so only the bell can have woken it.
#[tokio::test]
async fn the_bell_wakes_a_sleeping_projector() {
    let mut f = fixture().await;
    let never = ["--poll-busy-ms", "600000", "--poll-idle-ms", "600000"];
    let projector = f.projector(&never).await;
    projector.ready(true).await;
    let head = f.append_random(3).await;
    // Rung until it is heard: listening begins at a time of its own.
    for projection in projections::ALL {
        eventually("woken by the bell", async || {
            f.model.ring_log(head).await.unwrap();
            (f.checkpoint(projection).await.position == head).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_bell_the_log_is_polled() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    projector.ready(true).await;
    let head = f.append_random(3).await;
    f.projected(head).await;
}

/// A reader that looks all the time, while every batch is as small as can be, never sees an order without its lines' fate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_seen_whole_or_not_at_all() {
    let mut f = fixture().await;
    let skus = ["a", "b", "c", "d", "e"];
    append(&mut f, &skus.map(|sku| create_batch(&format!("batch-{sku}"), sku))).await;
    let orders: Vec<String> = (1..=40).map(|n| format!("00000000-0000-4000-8000-{n:012}")).collect();
    let commands: Vec<_> = orders.iter().map(|id| create_order(id, &skus)).collect();
    let head = append(&mut f, &commands).await;

    let _projector = f.projector(&["--batch-events-max", "1"]).await;
    for order_id in &orders {
        let order = eventually("the order", async || order(&f.model, order_id).await).await;
        assert!(order.items.iter().all(|item| item.status != 0), "half a command: {:?}", order.items);
    }
    f.projected(head).await;
}

#[tokio::test]
async fn a_command_larger_than_a_batch_and_than_the_window_is_applied_whole() {
    let mut f = fixture().await;
    let small = ["--batch-events-max", "3", "--window-events-max", "5"];
    let projector = f.projector(&small).await;
    projector.ready(true).await;
    let skus: Vec<String> = (0..30).map(|n| format!("sku{n:02}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    let batches: Vec<_> = skus.iter().map(|sku| create_batch(&format!("batch-{sku}"), sku)).collect();
    append(&mut f, &batches).await;
    let head = append(&mut f, &[create_order(ORDER_ID, &skus)]).await;
    f.projected(head).await;
    assert_eq!(allocations(&f.model, ORDER_ID).await.unwrap().allocations.len(), 30);
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_projectors_at_once_count_every_event_once() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let small = ["--batch-events-max", "5"];
    let projectors = [f.projector(&small).await, f.projector(&small).await, f.projector(&small).await];
    for _ in 0..10 {
        f.append_random(30).await;
    }
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
    for projector in projectors {
        projector.ready(true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_crashes_again_and_again_counts_every_event_once() {
    let mut f = fixture().await;
    f.append_random(150).await;
    let mut crashes = 0;
    while f.built_to(projections::STOCK).await < f.head {
        let before = f.built_to(projections::STOCK).await;
        let projector = f.projector(&["--batch-events-max", "2"]).await;
        eventually("a few batches", async || {
            let now = f.built_to(projections::STOCK).await;
            (now > before + 20 || now == f.head).then_some(())
        })
        .await;
        projector.crash().await;
        crashes += 1;
    }
    assert!(crashes > 3, "it was through before it could crash");
    let _projector = f.projector(&[]).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}
