//! Watching: the view now, then each change, and signs of life in between.

use std::time::Duration;

use tally_api::allocation::v1::{Stock, WatchStockRequest, WatchStockResponse};
use tally_api::consistency::v1::{Freshness, ReadAfter, read_after};
use tally_api::orders::v1::{Order, WatchOrderRequest, WatchOrderResponse};
use tally_read_model::projections;
use tally_servers::Redis;
use tonic::{Code, Status, Streaming};

use crate::system::*;

/// Heartbeats that don't keep a test waiting.
pub(crate) const LIVELY: [&str; 2] = ["--stream-heartbeat-ms", "50"];
/// No heartbeats within a test.
pub(crate) const SILENT: [&str; 2] = ["--stream-heartbeat-ms", "60000"];
const OTHER_ID: &str = "0192f0c1-7e1b-7c11-8d2e-000000000000";

pub(crate) async fn watch(system: &System) -> Result<Streaming<WatchOrderResponse>, Status> {
    watch_after(system, None).await
}

pub(crate) async fn watch_after(
    system: &System,
    read_after: Option<ReadAfter>,
) -> Result<Streaming<WatchOrderResponse>, Status> {
    let request = WatchOrderRequest { order_id: ORDER_ID.to_owned(), read_after };
    system.orders.clone().watch_order(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn next(stream: &mut Streaming<WatchOrderResponse>) -> WatchOrderResponse {
    soon(stream.message()).await.expect("no error").expect("it goes on")
}

/// The next message with an order: its version, and the position that it holds as of.
pub(crate) async fn next_order(stream: &mut Streaming<WatchOrderResponse>) -> (i64, i64) {
    loop {
        let message = next(stream).await;
        if let Some(order) = message.order {
            return (order.version, message.freshness.expect("freshness").position);
        }
    }
}

/// The next message with an order: its version, and whether it may be stale.
pub(crate) async fn next_flagged(stream: &mut Streaming<WatchOrderResponse>) -> (i64, bool) {
    loop {
        let message = next(stream).await;
        if let Some(order) = message.order {
            return (order.version, message.freshness.expect("freshness").may_be_stale);
        }
    }
}

/// The freshness of the next message without an order.
async fn next_sign_of_life(stream: &mut Streaming<WatchOrderResponse>) -> Freshness {
    loop {
        let message = next(stream).await;
        if message.order.is_none() {
            return message.freshness.expect("freshness");
        }
    }
}

#[tokio::test]
async fn the_order_as_it_is_comes_first_and_then_each_change() {
    let system = System::start(&SILENT).await;
    system.apply_order(3, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    let first = next(&mut stream).await;
    assert_eq!(first.order, Some(order(1)));
    let freshness = first.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (3, false));
    for version in 2..=20 {
        system.apply_order(version + 10, version as i64).await;
        assert_eq!(next_order(&mut stream).await, (version as i64, version as i64 + 10));
    }
}

#[tokio::test]
async fn a_change_at_the_same_position_is_told_too() {
    let system = System::start(&SILENT).await;
    system.apply_order(3, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (1, 3));
    // As when an event that was parked is folded after all.
    system.apply_order(3, 2).await;
    assert_eq!(next_order(&mut stream).await, (2, 3));
}

#[tokio::test]
async fn changes_that_come_faster_than_they_are_told_end_with_the_newest() {
    let system = System::start(&SILENT).await;
    system.apply_order(1, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    for version in 2..=200 {
        system.apply_order(version, version as i64).await;
    }
    let mut told = 0;
    while told < 200 {
        let (version, position) = next_order(&mut stream).await;
        assert!(version > told && position == version, "{version} at {position} after {told}");
        told = version;
    }
}

#[tokio::test]
async fn what_does_not_change_the_order_is_no_message_but_moves_its_position() {
    let system = System::start(&LIVELY).await;
    system.apply_order(1, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (1, 1));
    let other = Order { order_id: OTHER_ID.to_owned(), ..order(1) };
    system.apply(projections::ORDER, 5, &[view(OTHER_ID, &other)]).await;
    let reaches = async {
        loop {
            let message = next(&mut stream).await;
            assert_eq!(message.order, None);
            let freshness = message.freshness.expect("freshness");
            if freshness.position == 5 && !freshness.may_be_stale {
                return freshness.token;
            }
        }
    };
    let token = soon(reaches).await;

    // And the token leads on from there.
    let after = asking(read_after::After::Token(token));
    let mut resumed = watch_after(&system, Some(after)).await.expect("a stream");
    assert_eq!(next_order(&mut resumed).await, (1, 5));
}

#[tokio::test]
async fn the_first_message_has_seen_what_was_asked_for() {
    let system = System::start(&SILENT).await;
    system.apply_order(1, 1).await;
    let asked = within(SOON * 2, system.token(2));
    let (stream, ()) = tokio::join!(watch_after(&system, Some(asked)), system.apply_order(2, 2));
    assert_eq!(next_order(&mut stream.expect("a stream")).await, (2, 2));
}

#[tokio::test]
async fn whatever_is_told_from_before_what_was_asked_for_says_so() {
    let system = System::start(&LIVELY).await;
    system.apply_order(1, 1).await;
    let asked = within(Duration::from_millis(50), position(5));
    let mut stream = watch_after(&system, Some(asked)).await.expect("a stream");
    assert_eq!(next_flagged(&mut stream).await, (1, true));
    system.apply_order(3, 3).await;
    assert_eq!(next_flagged(&mut stream).await, (3, true));
    assert!(next_sign_of_life(&mut stream).await.may_be_stale);
    system.apply_order(5, 5).await;
    assert_eq!(next_flagged(&mut stream).await, (5, false));
    system.apply_order(6, 6).await;
    assert_eq!(next_flagged(&mut stream).await, (6, false));
}

#[tokio::test]
async fn an_order_that_is_not_there_cannot_be_watched() {
    let system = System::start(&[]).await;
    system.apply(projections::ORDER, 7, &[]).await;
    let told = told(&watch(&system).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "7")]);
}

#[tokio::test]
async fn stock_is_watched_as_orders_are() {
    let system = System::start(&SILENT).await;
    let stock = |version| Stock { sku: "LAMP".to_owned(), version, ..Default::default() };
    system.apply(projections::STOCK, 1, &[view("LAMP", &stock(1))]).await;
    let request = |sku: &str| WatchStockRequest { sku: sku.to_owned(), read_after: None };
    let mut stream = system.allocation.clone().watch_stock(request("LAMP")).await.expect("a stream").into_inner();
    let next = async |stream: &mut Streaming<WatchStockResponse>| {
        soon(stream.message()).await.expect("no error").expect("it goes on").stock.expect("a stock").version
    };
    assert_eq!(next(&mut stream).await, 1);
    system.apply(projections::STOCK, 2, &[view("LAMP", &stock(2))]).await;
    assert_eq!(next(&mut stream).await, 2);
    let missing = system.allocation.clone().watch_stock(request("TABLE")).await.expect_err("missing");
    assert_eq!(told(&missing).reason, "STOCK_NOT_FOUND");
}

#[tokio::test]
async fn while_redis_is_away_signs_of_life_say_that_they_may_be_stale_and_then_changes_come() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &[LIVELY, ["--watch-poll-interval-ms", "50"]].concat()).await;
    system.apply_order(1, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (1, 1));
    redis.kill().await.expect("killed");
    soon(async { while !next(&mut stream).await.freshness.expect("freshness").may_be_stale {} }).await;
    redis.restart().await.expect("restarted");
    soon(async { while next(&mut stream).await.freshness.expect("freshness").may_be_stale {} }).await;
    system.apply_order(2, 2).await;
    assert_eq!(next_order(&mut stream).await, (2, 2));
}

#[tokio::test]
async fn a_read_model_that_begins_anew_is_not_told_of_until_it_is_past_what_was_told() {
    let system = System::start(&[LIVELY, ["--watch-poll-interval-ms", "20"]].concat()).await;
    system.apply_order(9, 9).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (9, 9));

    system.go_back(0).await;
    system.apply_order(4, 4).await;
    let goes_stale = async {
        loop {
            let message = next(&mut stream).await;
            assert_eq!(message.order, None);
            let freshness = message.freshness.expect("freshness");
            assert_eq!(freshness.position, 9, "it never goes back");
            if freshness.may_be_stale {
                return;
            }
        }
    };
    soon(goes_stale).await;
    system.apply_order(9, 9).await;
    system.apply_order(10, 10).await;
    assert_eq!(next_order(&mut stream).await, (10, 10));
}

#[tokio::test]
async fn however_many_watch_redis_is_asked_once_for_each_ring() {
    const WATCHERS: usize = 200;
    const CHANGES: u64 = 5;
    let redis = Redis::temporary().await.expect("a Redis");
    let log = tally_servers::unique_log_name();
    let flags = [SILENT, ["--watch-poll-interval-ms", "60000"]].concat();
    let system = System::with_log(&log, &redis.url(), &redis.url(), &flags).await;
    system.apply_order(1, 1).await;
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let mut stream = watch(&system).await.expect("a stream");
        assert_eq!(next_order(&mut stream).await, (1, 1));
        streams.push(stream);
    }
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut raw = client.get_multiplexed_async_connection().await.expect("Redis is there");
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut raw).await.expect("reset");
    for version in 2..=1 + CHANGES {
        system.apply_order(version, version as i64).await;
        for stream in &mut streams {
            assert_eq!(next_order(stream).await.0, version as i64);
        }
    }
    let bell = format!("tally:{log}:{{{log}:r0}}:order:bell");
    let (_, listeners): (String, usize) =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(bell).query_async(&mut raw).await.expect("an answer");
    assert_eq!(listeners, 1, "one subscription a process");
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut raw).await.expect("an answer");
    let reads = stats.lines().find_map(|line| line.strip_prefix("cmdstat_mget:calls=")).expect("reads");
    let reads: u64 = reads.split(',').next().and_then(|number| number.parse().ok()).expect("a number");
    // The projector's own, and a sweep more here and there.
    assert!(reads < CHANGES * 10, "{reads} reads for {CHANGES} changes and {WATCHERS} watchers");
}

#[tokio::test]
async fn a_view_that_cannot_be_read_ends_its_watch() {
    let system = System::start(&SILENT).await;
    system.apply_order(1, 1).await;
    let mut stream = watch(&system).await.expect("a stream");
    assert_eq!(next_order(&mut stream).await, (1, 1));
    let broken = raw(ORDER_ID, vec![0xff; 3]);
    system.apply(projections::ORDER, 2, &[broken]).await;
    let told = told(&soon(stream.message()).await.expect_err("broken"));
    assert_eq!((told.code, told.reason.as_str()), (Code::DataLoss, "VIEW_UNREADABLE"));
    tokio::time::timeout(Duration::from_secs(5), watch(&system)).await.expect("an answer").expect_err("still broken");
}
