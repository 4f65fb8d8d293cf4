use std::time::{Duration, Instant};

use tonic_health::pb::HealthCheckRequest;

use crate::system::*;

#[tokio::test]
async fn who_waits_when_the_process_stops_is_answered_before_it_ends() {
    let system = System::start(&["--waiters-max", "1", "--drain-timeout-ms", "1000"]).await;
    system.apply_order(1, 1).await;
    let waiting = system.one_that_waits(within(Duration::from_secs(60), system.token(2))).await;
    let begun = Instant::now();
    system.stop.cancel();
    let answer = soon(waiting).await.expect("answered");
    assert!(answer.freshness.expect("freshness").may_be_stale);
    soon(system.served).await.expect("no panic").expect("no error");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn an_open_health_watch_does_not_keep_the_process_alive() {
    let system = System::start(&["--drain-timeout-ms", "200"]).await;
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = system.health.clone().watch(request).await.expect("an answer").into_inner();
    watch.message().await.expect("an answer");
    system.stop.cancel();
    soon(system.served).await.expect("no panic").expect("no error");
}
