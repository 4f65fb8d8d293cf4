//! Story 11: what happened can be looked up and followed, by those who ask and by those who listen.

use std::time::Duration;

use futures::StreamExt;
use system_tests::Tally;
use system_tests::client::{NewOrder, PageOf, TallyClient};
use tally_api::orders::v1::WatchOrderRequest;
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;

/// How long what is to happen soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

pub(super) async fn what_happened_and_what_waits_can_be_read_and_watched(client: &impl TallyClient) {
    client.create_batch("b1", "LAMP", 5, None).await.unwrap();
    let created = client.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    let order_id = created.order_id.as_str();
    client.allocate("elsewhere", "LAMP", 4).await.unwrap();
    let cancelled = client.cancel_order(order_id, "changed their mind").await.unwrap();
    let seen = cancelled.seen();

    let first = PageOf { id: order_id, page_size: 3, page_token: "" };
    let first = client.get_order_history(first, &seen).await.unwrap();
    let rest = PageOf { id: order_id, page_size: 3, page_token: &first.next_page_token };
    let rest = client.get_order_history(rest, &seen).await.unwrap();
    let told: Vec<&str> = first.changes.iter().chain(&rest.changes).map(|change| change.description.as_str()).collect();
    assert_eq!(
        told,
        [
            "created with 1 line",
            "2 × LAMP allocated from batch b1",
            "cancelled: changed their mind",
            "2 × LAMP released from batch b1"
        ]
    );
    assert_eq!(rest.next_page_token, "");
    assert_eq!(rest.changes[0].command_id, first.changes[2].command_id, "they happened together");
    assert!(first.changes[0].change_time.as_deref().unwrap().starts_with("20"));

    // What the order gave up was not enough for the line that waited, until more came.
    assert_eq!(client.list_backorders(PageOf::default(), &seen).await.unwrap().backorders, []);
    let waiting = client.allocate("waiting", "LAMP", 9).await.unwrap();
    let backorders = client.list_backorders(PageOf { id: "LAMP", ..PageOf::default() }, &waiting.seen()).await.unwrap();
    let [line] = backorders.backorders.as_slice() else { panic!("{backorders:?}") };
    assert_eq!((line.order_id.as_str(), line.quantity, line.position), ("waiting", 9, waiting.receipt().position));

    let order = client.watch_order(order_id, &seen).await.unwrap();
    assert_eq!(order.status, "ORDER_STATUS_CANCELLED");
    let stock = client.watch_stock("LAMP", &waiting.seen()).await.unwrap();
    assert_eq!((stock.allocated, stock.backordered), (4, 9));

    let page = client.read_stream_backwards("product-LAMP", 1).await.unwrap();
    let last = &page.events[0];
    assert_eq!((last.event_type.as_str(), last.position), ("OutOfStock", waiting.receipt().position));
    assert_eq!(page.next_version, last.version - 1);
    let events = client.subscribe(0, usize::try_from(last.position).unwrap()).await.unwrap();
    assert!(events.iter().map(|event| event.position).eq(1..=last.position));
    assert_eq!(events.last(), Some(last));
    assert!(events[0].payload_json.contains("\"batch_ref\""), "{:?}", events[0]);
}

#[tokio::test]
async fn story_11_who_watches_an_order_sees_it_shipped() {
    let tally = Tally::start().await;
    let client = tally.client();
    let created = {
        tally.stocked("b1", "LAMP", 5).await;
        client.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap()
    };
    let read_after = system_tests::client::read_after(&created.seen());
    let request = WatchOrderRequest { order_id: created.order_id.clone(), read_after };
    let mut watch =
        OrderQueryServiceClient::new(tally.query.channel()).watch_order(request).await.unwrap().into_inner();
    let mut statuses = Vec::new();
    let shipped = async {
        while let Some(message) = watch.next().await {
            let Some(order) = message.unwrap().order else { continue };
            statuses.push(order.status().as_str_name());
            if statuses.len() == 1 {
                client.ship_order(&created.order_id).await.unwrap();
            } else if order.ship_time.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, shipped).await.expect("it is told of the change");
    assert_eq!((statuses[0], *statuses.last().unwrap()), ("ORDER_STATUS_OPEN", "ORDER_STATUS_SHIPPED"));
}

#[tokio::test]
async fn story_11_who_reads_the_stream_of_line_events_hears_of_each_allocation() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 5).await;
    let mut pubsub = redis::Client::open(tally.servers().redis().url()).unwrap().get_async_pubsub().await.unwrap();
    pubsub.subscribe(format!("tally:{}:line_allocated", tally.log)).await.unwrap();
    let allocated = tally.client().allocate("o1", "LAMP", 2).await.unwrap();
    let told = tokio::time::timeout(SOON, pubsub.on_message().next()).await.expect("told").unwrap();
    let event: serde_json::Value = serde_json::from_str(&told.get_payload::<String>().unwrap()).unwrap();
    assert_eq!(event["id"], allocated.receipt().position.to_string());
    assert_eq!(event["data"]["batch_ref"], "b1");
    assert_eq!(event["source"], format!("/tally/{}", tally.log));
}

#[tokio::test]
async fn story_11_an_order_that_is_kept_elsewhere_has_no_history() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 5).await;
    let id = uuid::Uuid::new_v4().to_string();
    let allocated = tally.client().allocate(&id, "LAMP", 2).await.unwrap();
    let asked = PageOf { id: &id, ..PageOf::default() };
    let refused = tally.client().get_order_history(asked, &allocated.seen()).await.unwrap_err();
    assert!(refused.is(tonic::Code::NotFound, "ORDER_NOT_FOUND"), "{refused:?}");
    assert!(tally.client().read_stream_backwards("product-LAMP", 1).await.is_ok());
}
