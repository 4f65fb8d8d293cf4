use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::select;
use tally_api::orders::v1::GetOrderRequest;
use tally_servers::Redis;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::system::*;

fn unavailable(status: &Status) {
    let told = told(status);
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(told.retry.is_some());
    assert!(!status.message().contains("127.0.0.1"), "{}", status.message());
}

async fn get_order_before(system: &System, deadline: Duration) -> Result<(), Status> {
    let mut request = Request::new(GetOrderRequest { order_id: ORDER_ID.to_owned(), read_after: None });
    request.set_timeout(deadline);
    system.orders.clone().get_order(request).await.map(drop)
}

#[tokio::test]
async fn redis_goes_and_comes_back() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &[]).await;
    system.apply_order(1, 1).await;
    for service in ["", "tally.orders.v1.OrderQueryService", "tally.allocation.v1.AllocationQueryService"] {
        system.becomes(service, ServingStatus::Serving).await;
    }

    redis.kill().await.expect("killed");
    let begun = Instant::now();
    unavailable(&get_order_before(&system, SOON).await.expect_err("Redis is away"));
    assert!(begun.elapsed() < SOON);
    unavailable(&system.get_order(system.token(1)).await.expect_err("Redis is away"));
    for service in ["", "tally.orders.v1.OrderQueryService", "tally.allocation.v1.AllocationQueryService"] {
        system.becomes(service, ServingStatus::NotServing).await;
    }
    assert_eq!(system.health_of("liveness").await, ServingStatus::Serving);

    redis.restart().await.expect("restarted");
    system.becomes("", ServingStatus::Serving).await;
    assert!(system.get_order(None).await.is_ok());
}

#[tokio::test]
async fn a_redis_that_hangs_is_told_before_the_callers_deadline() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &[]).await;
    system.apply_order(1, 1).await;
    assert!(system.get_order(None).await.is_ok());

    redis.pause().expect("paused");
    let call = async || get_order_before(&system, Duration::from_millis(500)).await;
    unavailable(&in_one_of_three(call).await.expect_err("Redis hangs"));
    // With no deadline it is Redis's own.
    unavailable(&system.get_order(None).await.expect_err("Redis hangs"));
    redis.resume().expect("resumed");

    let recovers = async { while get_order_before(&system, SOON).await.is_err() {} };
    soon(recovers).await;
}

#[tokio::test]
async fn while_redis_hangs_no_more_reads_pile_up_than_may() {
    let redis = Redis::temporary().await.expect("a Redis");
    let system = System::on(&redis.url(), &["--reads-in-flight-max", "1"]).await;
    system.apply_order(1, 1).await;
    assert!(system.get_order(None).await.is_ok());

    redis.pause().expect("paused");
    let call = || system.get_order(None).boxed();
    let (refused, under_way) = select(call(), call()).await.factor_first();
    let told = told(&refused.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(pairs(&told), [("limit", "reads_in_flight_max")]);
    unavailable(&soon(under_way).await.expect_err("Redis hangs"));
}

#[tokio::test]
async fn who_waits_while_redis_goes_away_is_answered_when_it_is_back() {
    let redis = Redis::temporary().await.expect("a Redis");
    // Without polling: the bell must be hung again.
    let system = System::on(&redis.url(), &[ONE_WAITER, NO_POLLING].concat()).await;
    system.apply_order(1, 1).await;
    let waiting = system.one_that_waits(within(Duration::from_secs(60), system.token(2))).await;
    redis.kill().await.expect("killed");
    redis.restart().await.expect("restarted");
    system.apply_order(2, 2).await;
    let answer = soon(waiting).await.expect("found");
    assert_eq!(answer.order, Some(order(2)));
    assert!(!answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_process_starts_while_redis_is_away() {
    let system = System::on("redis://127.0.0.1:1/", &[]).await;
    unavailable(&system.get_order(None).await.expect_err("Redis is away"));
    assert_eq!(system.health_of("liveness").await, ServingStatus::Serving);
    assert_eq!(system.health_of("").await, ServingStatus::NotServing);
}
