//! SIGTERM: calls under way are answered, and the process is gone in time, whoever still watches it.

use std::time::{Duration, Instant};

use system_tests::client::{Outcome, ReadAfter, TallyClient};
use system_tests::health::{READINESS, until_ready};
use system_tests::{PATIENCE, Service, Tally, eventually};
use tally_servers::guard::UnixSignal;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The drain time-out that these processes are given.
const DRAIN: Duration = Duration::from_secs(2);
/// What a busy machine may add to it. Who waits for a caller that never goes takes for ever.
const SLACK: Duration = Duration::from_secs(20);
/// One that no test waits out: who is done before its end has not waited for it.
const LONG_DRAIN: Duration = Duration::from_secs(60);

async fn start() -> Tally {
    start_draining_for(DRAIN).await
}

async fn start_draining_for(drain: Duration) -> Tally {
    let drain_ms = drain.as_millis().to_string();
    let tally = Tally::start_with_environment(&[("TALLY_DRAIN_TIMEOUT_MS", &drain_ms)]).await;
    tally.stocked("b1", "LAMP", 100).await;
    tally
}

/// SIGTERM, and how long the process took to end well.
async fn terminate(service: &Service) -> Duration {
    let began = Instant::now();
    let status = service.stop().await;
    assert!(status.success(), "{} ended with {status}", service.name());
    began.elapsed()
}

#[tokio::test]
async fn a_process_with_nothing_to_do_ends_at_once() {
    let tally = start_draining_for(LONG_DRAIN).await;
    for service in tally.services() {
        let took = terminate(service).await;
        assert!(took < LONG_DRAIN / 2, "{} took {took:?}", service.name());
    }
}

#[tokio::test]
async fn a_process_ends_in_time_with_a_watch_of_its_health_open() {
    let tally = start().await;
    for service in tally.services() {
        until_ready(service, true).await;
        let request = HealthCheckRequest { service: READINESS.to_owned() };
        let mut watch = HealthClient::new(service.channel()).watch(request).await.unwrap().into_inner();
        let serving = watch.message().await.unwrap().unwrap().status();

        let (took, next) = tokio::join!(terminate(service), watch.message());

        assert!(took < DRAIN + SLACK, "{} took {took:?}", service.name());
        // A watcher is told before the end, so that a load balancer sends nothing more.
        let told = next.unwrap().expect("told before the end").status();
        assert_ne!(told, serving, "{}", service.name());
    }
}

#[tokio::test]
async fn a_command_under_way_is_answered_before_the_end() {
    let tally = start().await;
    let client = tally.client();
    let database = tally.database().await;
    let mut holder = database.begin().await.unwrap();
    sqlx::query("SELECT position FROM log_head FOR UPDATE").execute(&mut *holder).await.unwrap();

    let call = tokio::spawn(async move { client.allocate("o1", "LAMP", 5).await });
    until_someone_waits_for_the_head(&tally).await;
    tally.command.process().signal(UnixSignal::TERM);
    until_connections_are_refused(&tally.command).await;
    assert!(!call.is_finished());
    holder.rollback().await.unwrap();

    let answer: Outcome = call.await.unwrap().unwrap();
    assert_eq!(answer.line.unwrap().batch_ref, "b1");
    assert!(tally.command.process().ended(DRAIN + SLACK).await.success());
}

#[tokio::test]
async fn a_command_that_cannot_be_finished_does_not_hold_up_the_end() {
    let tally = start().await;
    let client = tally.client();
    let database = tally.database().await;
    let mut holder = database.begin().await.unwrap();
    sqlx::query("SELECT position FROM log_head FOR UPDATE").execute(&mut *holder).await.unwrap();
    let call = tokio::spawn(async move { client.allocate("o1", "LAMP", 5).await });
    until_someone_waits_for_the_head(&tally).await;

    let took = terminate(&tally.command).await;

    assert!(took < DRAIN + SLACK, "{took:?}");
    let cut = call.await.unwrap().unwrap_err();
    assert!(matches!(cut.code, Code::Unavailable | Code::Unknown | Code::Cancelled), "{cut:?}");
    holder.rollback().await.unwrap();
}

#[tokio::test]
async fn a_query_that_waits_is_answered_before_the_end() {
    let tally = start().await;
    let client = tally.client();
    eventually("the stock is shown", async || client.get_stock("LAMP", &ReadAfter::nothing()).await.ok()).await;
    let wait = ReadAfter::position(1_000_000).at_most(Duration::from_millis(800));
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.get_stock("LAMP", &wait).await }
    });
    // One more call over the same connection has been answered: the first has been taken.
    client.get_stock("LAMP", &ReadAfter::nothing()).await.unwrap();

    let took = terminate(&tally.query).await;

    let stock = call.await.unwrap().expect("answered and not cut");
    assert!(stock.freshness.may_be_stale);
    assert!(took < DRAIN + SLACK, "{took:?}");
}

async fn until_connections_are_refused(service: &Service) {
    let address = service.address();
    eventually("no new connection is taken", async || tokio::net::TcpStream::connect(address).await.err()).await;
}

/// Until a session of this test's own database waits for a lock.
async fn until_someone_waits_for_the_head(tally: &Tally) {
    let database = tally.database().await;
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    system_tests::within(PATIENCE, "the command waits", async || {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&database).await.unwrap();
        (count > 0).then_some(())
    })
    .await;
}
