//! How watches end: by their callers, by their callers' slowness, and with the process.

use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;
use tally_api::orders::v1::{Order, OrderItem, WatchOrderRequest};
use tally_read_model::projections;
use tonic::Code;

use crate::system::*;
use crate::watches::{SILENT, next_order, watch};

#[tokio::test]
async fn one_watcher_too_many_is_refused_at_once_and_one_who_goes_leaves_its_place() {
    let system = System::start(&[SILENT, ["--watchers-max", "1"]].concat()).await;
    system.apply_order(1, 1).await;
    let stream = watch(&system).await.expect("a stream");
    let told = told(&watch(&system).await.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(pairs(&told), [("limit", "watchers_max")]);
    assert!(told.retry.is_some());
    drop(stream);
    soon(async { while watch(&system).await.is_err() {} }).await;
}

#[tokio::test]
async fn one_who_is_refused_leaves_its_place_too() {
    let system = System::start(&[SILENT, ["--watchers-max", "1"]].concat()).await.begun().await;
    for _ in 0..3 {
        assert_eq!(watch(&system).await.expect_err("missing").code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_told_where_to_go_on() {
    let flags = [SILENT, ["--watchers-max", "1"], ["--stream-stall-ms-max", "100"]].concat();
    let system = System::start(&flags).await;
    let large = |version: i64| Order {
        items: vec![OrderItem { sku: "x".repeat(120), ..Default::default() }; 200],
        ..order(version)
    };
    system.apply(projections::ORDER, 1, &[view(ORDER_ID, &large(1))]).await;
    let request = || WatchOrderRequest { order_id: ORDER_ID.to_owned(), read_after: None };
    let mut slow = OrderQueryServiceClient::new(connect_with_small_buffers(system.address));
    let mut stream = slow.watch_order(request()).await.expect("a stream").into_inner();

    // Its place is another's as soon as it is dropped.
    let dropped = async {
        let mut version = 1;
        while watch(&system).await.is_err() {
            version += 1;
            system.apply(projections::ORDER, version as u64, &[view(ORDER_ID, &large(version))]).await;
        }
    };
    soon(dropped).await;

    let mut last = (0, 0);
    let status = loop {
        match soon(stream.message()).await {
            Ok(message) => {
                let message = message.expect("it ends with an error");
                let position = message.freshness.expect("freshness").position;
                last = (position, message.order.expect("an order").version);
            }
            Err(status) => break status,
        }
    };
    let told = told(&status);
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
    assert!(last.0 > 0 && told.retry.is_some());
    let (position, version) = (last.0.to_string(), last.1.to_string());
    assert_eq!(pairs(&told), [("position", position.as_str()), ("version", version.as_str())]);
}

#[tokio::test]
async fn a_process_that_stops_tells_its_watchers_and_ends_at_once() {
    let system = System::start(&[SILENT, ["--drain-timeout-ms", "60000"]].concat()).await;
    system.apply_order(4, 2).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (2, 4));
    system.stop.cancel();
    let told = told(&soon(stream.message()).await.expect_err("ended"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    assert_eq!(pairs(&told), [("position", "4"), ("version", "2")]);
    assert!(told.retry.is_some());
    soon(system.served).await.expect("no panic").expect("no error");
}
