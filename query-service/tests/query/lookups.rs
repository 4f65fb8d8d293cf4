//! Many look-ups at once.

use futures::FutureExt;
use futures::future::join_all;
use tally_api::orders::v1::{GetOrderRequest, Order};
use tally_read_model::projections;
use tally_servers::Redis;
use tonic::Code;

use crate::system::*;

const ORDERS: usize = 600;

fn order_id(number: usize) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

async fn get(system: &System, number: usize) -> Result<Order, tonic::Status> {
    let request = GetOrderRequest { order_id: order_id(number), read_after: None };
    Ok(system.orders.clone().get_order(request).await?.into_inner().order.expect("an order"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_each_get_their_own_with_few_commands() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &PATIENT).await;
    let stored = |number| Order { order_id: order_id(number), version: number as i64, ..Default::default() };
    let views: Vec<_> = (0..ORDERS).map(|number| view(&order_id(number), &stored(number))).collect();
    system.apply(projections::ORDER, 1, &views).await;
    assert!(get(&system, 0).await.is_ok());
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut raw = client.get_multiplexed_async_connection().await.expect("Redis is there");
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut raw).await.expect("reset");

    // Half as many again are not there, and every tenth caller goes away at once.
    let calls = (0..ORDERS * 3 / 2).map(async |number| {
        if number % 10 == 9 {
            let _ = get(&system, number).now_or_never();
            return;
        }
        match get(&system, number).await {
            Ok(order) => assert_eq!(order, stored(number)),
            Err(status) => assert!(number >= ORDERS && status.code() == Code::NotFound, "{number}: {status:?}"),
        }
    });
    soon(join_all(calls)).await;

    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut raw).await.expect("an answer");
    let reads = stats.lines().find_map(|line| line.strip_prefix("cmdstat_mget:calls=")).expect("reads");
    let reads: usize = reads.split(',').next().and_then(|number| number.parse().ok()).expect("a number");
    assert!(reads < ORDERS / 2, "{reads} commands for {ORDERS} orders");
}

#[tokio::test]
async fn when_redis_fails_all_who_asked_together_are_told() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &[]).await;
    system.apply_order(1, 1).await;
    redis.pause().expect("paused");
    let calls = join_all((0..50).map(|number| get(&system, number)));
    for answer in soon(calls).await {
        let told = told(&answer.expect_err("Redis hangs"));
        assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    }
    redis.resume().expect("resumed");
    soon(async { while system.get_order(None).await.is_err() {} }).await;
}
