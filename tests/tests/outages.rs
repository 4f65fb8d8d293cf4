//! Postgres or Redis is away: callers are told so in time, health shows it, and all is well again by itself when they are back.

use std::time::{Duration, Instant};

use system_tests::client::{Answer, NewOrder, OrderFilter, ReadAfter, TallyClient};
use system_tests::health::{READINESS, is_serving, until_ready};
use system_tests::{Service, Tally, eventually, views_equal_fold};
use tonic::Code;
use uuid::Uuid;

/// How long a caller waits here.
const DEADLINE: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(2);
/// Tries of one call.
const TRIES_MAX: usize = 4;
/// What ten commands would take if each of them waited for a bell that can't be rung: a second each.
const BELLS_WAITED_FOR: Duration = Duration::from_secs(10);
/// Who call at once.
const CALLERS: usize = 300;

/// How a server goes away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// Its port refuses connections.
    Stopped,
    /// Its port accepts them, and nobody answers.
    Hung,
}

/// An answer that says within the caller's deadline that a store is away. The service leaves itself a tenth of a second for its answer's way
/// back, which a busy machine may need for itself: so the call has more than one try.
async fn unavailable<T: std::fmt::Debug>(what: &str, call: impl AsyncFn() -> Answer<T>) {
    for _ in 0..TRIES_MAX {
        let began = Instant::now();
        let error = call().await.expect_err(what);
        let took = began.elapsed();
        assert!(took < DEADLINE + SLACK, "{what} took {took:?}");
        if error.is_local {
            continue;
        }
        assert!(error.is(Code::Unavailable, "STORE_UNAVAILABLE"), "{what}: {error:?}");
        assert!(error.retry_after.is_some(), "{what}: {error:?}");
        return;
    }
    panic!("{what}: the caller was never told within its deadline");
}

async fn until_all_are_ready(tally: &Tally) {
    for service in tally.services() {
        until_ready(service, true).await;
    }
}

async fn postgres_goes_away(how: Away) {
    let tally = Tally::start_on_own_servers().await;
    tally.stocked("b1", "LAMP", 100).await;
    let client = tally.client().deadline(DEADLINE);
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    // Each projection is to have seen it before anything goes away.
    client.get_order(&order.order_id, &order.seen().or_fail()).await.unwrap();
    client.get_stock("LAMP", &order.seen().or_fail()).await.unwrap();
    client.get_allocations(&order.order_id, &order.seen().or_fail()).await.unwrap();
    until_all_are_ready(&tally).await;

    let postgres = tally.servers().postgres();
    match how {
        Away::Stopped => postgres.stop().await.unwrap(),
        Away::Hung => postgres.pause().unwrap(),
    }
    let id = Uuid::new_v4();
    let known = client.command_id(id);
    unavailable("a command on what is in memory", async || known.allocate("o1", "LAMP", 5).await).await;
    unavailable("a command on what is not", async || client.allocate("o1", "UNKNOWN", 5).await).await;
    unavailable("an order", async || client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await).await;
    unavailable("the log of events", async || client.read_stream_backwards("product-LAMP", 1).await).await;
    unavailable("a subscription", async || client.subscribe(0, 1).await).await;
    until_ready(&tally.command, false).await;
    until_ready(&tally.projector, false).await;

    // What is in the read model stays readable.
    assert!(is_serving(&tally.query, READINESS).await);
    assert_eq!(client.get_stock("LAMP", &order.seen()).await.unwrap().allocated, 1);
    assert_eq!(client.get_order(&order.order_id, &ReadAfter::nothing()).await.unwrap().status, "ORDER_STATUS_OPEN");

    match how {
        Away::Stopped => postgres.restart().await.unwrap(),
        Away::Hung => postgres.resume().unwrap(),
    }
    // The outcome was not known: the same id again has one effect at the most.
    let carried_out =
        eventually("commands are carried out again", async || known.allocate("o1", "LAMP", 5).await.ok()).await;
    assert_eq!(client.get_stock("LAMP", &carried_out.seen()).await.unwrap().allocated, 6);
    until_all_are_ready(&tally).await;
    views_equal_fold(&tally).await;
}

#[tokio::test]
async fn postgres_is_stopped_and_comes_back() {
    postgres_goes_away(Away::Stopped).await;
}

#[tokio::test]
async fn postgres_hangs_and_comes_back() {
    postgres_goes_away(Away::Hung).await;
}

async fn redis_goes_away(how: Away) {
    let tally = Tally::start_on_own_servers().await;
    tally.stocked("b1", "LAMP", 100).await;
    let client = tally.client().deadline(DEADLINE);
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    // Each projection is to have seen it before anything goes away.
    client.get_order(&order.order_id, &order.seen().or_fail()).await.unwrap();
    client.get_stock("LAMP", &order.seen().or_fail()).await.unwrap();
    client.get_allocations(&order.order_id, &order.seen().or_fail()).await.unwrap();
    until_all_are_ready(&tally).await;

    let redis = tally.servers().redis();
    match how {
        Away::Stopped => redis.stop().await.unwrap(),
        Away::Hung => redis.pause().unwrap(),
    }
    let now = ReadAfter::nothing();
    unavailable("GetStock", async || client.get_stock("LAMP", &now).await).await;
    unavailable("GetStock that waits", async || client.get_stock("LAMP", &order.seen()).await).await;
    unavailable("GetOrder", async || client.get_order(&order.order_id, &now).await).await;
    unavailable("GetAllocations", async || client.get_allocations(&order.order_id, &now).await).await;
    let filter = OrderFilter { customer_id: "c-1".to_owned(), ..OrderFilter::default() };
    unavailable("ListOrders", async || client.list_orders(&filter, &now).await).await;
    until_ready(&tally.query, false).await;
    until_ready(&tally.projector, false).await;

    // Commands do without it, and no slower.
    assert!(is_serving(&tally.command, READINESS).await);
    let began = Instant::now();
    for number in 0..10 {
        client.allocate(&format!("o{number}"), "LAMP", 1).await.unwrap();
    }
    assert!(began.elapsed() < BELLS_WAITED_FOR, "commands wait for no bell: {:?}", began.elapsed());
    let written = client.allocate("last", "LAMP", 1).await.unwrap();

    match how {
        Away::Stopped => redis.restart().await.unwrap(),
        Away::Hung => redis.resume().unwrap(),
    }
    let stock = eventually("queries are answered again", async || {
        client.get_stock("LAMP", &written.seen().or_fail()).await.ok()
    })
    .await;
    assert_eq!(stock.allocated, 12);
    until_all_are_ready(&tally).await;
    views_equal_fold(&tally).await;
}

#[tokio::test]
async fn redis_is_stopped_and_comes_back() {
    redis_goes_away(Away::Stopped).await;
}

#[tokio::test]
async fn redis_hangs_and_comes_back() {
    redis_goes_away(Away::Hung).await;
}

#[tokio::test]
async fn a_service_that_starts_before_its_stores_waits_for_them() {
    let tally = Tally::start_on_own_servers().await;
    tally.stocked("b1", "LAMP", 100).await;
    for service in tally.services() {
        service.stop().await;
    }
    tally.servers().postgres().stop().await.unwrap();
    tally.servers().redis().stop().await.unwrap();

    for service in tally.services() {
        service.start_again().await;
        until_ready(service, false).await;
    }
    let client = tally.client().deadline(DEADLINE);
    unavailable("a command", async || client.allocate("o1", "LAMP", 5).await).await;
    unavailable("a query", async || client.get_stock("LAMP", &ReadAfter::nothing()).await).await;

    tally.servers().redis().restart().await.unwrap();
    tally.servers().postgres().restart().await.unwrap();
    until_all_are_ready(&tally).await;
    let written = tally.client().allocate("o1", "LAMP", 5).await.unwrap();
    assert_eq!(tally.client().get_stock("LAMP", &written.seen()).await.unwrap().allocated, 5);
}

/// Whatever is under way when a store goes away is answered, and nothing is left behind that keeps later calls from being answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_are_told_in_time_and_the_service_recovers() {
    let tally = Tally::start_on_own_servers().await;
    tally.stocked("b1", "LAMP", 1_000_000).await;
    tally.servers().postgres().pause().unwrap();
    let client = tally.client().deadline(DEADLINE);

    let names: Vec<String> = (0..CALLERS).map(|number| format!("o{number}")).collect();
    let began = Instant::now();
    let answers = futures::future::join_all(names.iter().map(|order_id| client.allocate(order_id, "LAMP", 1))).await;

    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    for answer in answers {
        // Or the caller gave up in the very moment in which it was told.
        let error = answer.unwrap_err();
        assert!(error.is_local || (error.code == Code::Unavailable && error.retry_after.is_some()), "{error:?}");
    }
    tally.servers().postgres().resume().unwrap();
    recovers(&tally.command, &tally).await;
}

async fn recovers(service: &Service, tally: &Tally) {
    until_ready(service, true).await;
    let client = tally.client();
    let written = eventually("commands are carried out", async || client.allocate("last", "LAMP", 1).await.ok()).await;
    client.get_stock("LAMP", &written.seen().or_fail()).await.unwrap();
    views_equal_fold(tally).await;
}
