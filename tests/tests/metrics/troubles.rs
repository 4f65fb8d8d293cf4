//! What the processes count when something is in the way: of a command, of a read, of a projection, of Postgres.

use std::time::Duration;

use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::{Samples, Tally, eventually, evict};
use tally_api::allocation::v1::WatchStockRequest;
use tally_api::allocation::v1::allocation_query_service_client::AllocationQueryServiceClient;
use tally_api::events::v1::SubscribeRequest;
use tally_api::events::v1::event_log_service_client::EventLogServiceClient;
use tonic::Code;
use uuid::Uuid;

use super::METRICS;

/// How long a caller waits for what doesn't come.
const DEADLINE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn commands_that_are_repeated_and_replicas_that_race_are_counted() {
    let tally = Tally::start_with_environment(&METRICS).await;
    let other = tally.another(&tally.command).await;
    let (one, two) = (tally.client(), RustClient::new(other.address(), tally.query.address()));
    tally.stocked("b1", "LAMP", 10).await;
    let again = one.command_id(Uuid::new_v4());
    let first = again.allocate("o1", "LAMP", 1).await.unwrap();
    assert_eq!(again.allocate("o1", "LAMP", 1).await.unwrap(), first);
    let samples = Samples::of(&tally.command).await;
    assert_eq!(samples.sum("tally_commands_repeated_total", &[]), 1.0);
    for metric in ["tally_append_conflicts_total", "tally_commands_decided_again_total", "tally_head_holds_total"] {
        assert_eq!(samples.sum(metric, &[]), 0.0, "{metric}");
    }
    assert_eq!(samples.sum("tally_state_cache_streams", &[]), 2.0, "of the SKU and of the batch's name");
    assert!(samples.sum("tally_state_cache_bytes", &[]) > 0.0);

    // What the first has in memory is not the newest any more.
    two.allocate("o2", "LAMP", 1).await.unwrap();
    one.allocate("o3", "LAMP", 1).await.unwrap();
    let samples = Samples::of(&tally.command).await;
    for metric in ["tally_append_conflicts_total", "tally_commands_decided_again_total", "tally_head_holds_total"] {
        assert!(samples.sum(metric, &[]) >= 1.0, "{metric}");
    }
}

#[tokio::test]
async fn who_waits_for_postgres_in_vain_is_counted_and_who_is_one_too_many() {
    let environment = [METRICS[0], ("COMMANDS_IN_FLIGHT_MAX", "1")];
    let tally = Tally::start_on_own_servers_with_environment(&environment).await;
    tally.stocked("b1", "LAMP", 10).await;
    let samples = Samples::of(&tally.command).await;
    assert!(samples.sum("tally_database_sessions_limit", &[]) >= 1.0);
    assert!(samples.sum("tally_database_acquire_duration_seconds_count", &[]) >= 1.0);
    assert_eq!(samples.sum("tally_command_timeouts_total", &[]), 0.0);

    tally.servers().postgres().pause().unwrap();
    let client = tally.client().deadline(DEADLINE);
    let too_late = async { client.allocate("o1", "LAMP", 1).await.unwrap_err() };
    let too_many = async {
        eventually("the first is under way", async || {
            let samples = Samples::of(&tally.command).await;
            let [queue, busy] = ["tally_commands_in_flight", "tally_database_sessions_busy"];
            (samples.sum(queue, &[]) == 1.0 && samples.sum(busy, &[]) >= 1.0).then_some(())
        })
        .await;
        client.allocate("o2", "LAMP", 1).await.unwrap_err()
    };
    let (late, refused) = tokio::join!(too_late, too_many);
    assert!(late.is_local || late.code == Code::Unavailable, "{late:?}");
    assert_eq!(refused.code, Code::ResourceExhausted, "{refused:?}");
    eventually("all of it is counted", async || {
        let samples = Samples::of(&tally.command).await;
        let limit = ["limit=\"commands_in_flight_max\""];
        let is_counted = samples.sum("tally_command_timeouts_total", &[]) == 1.0
            && samples.sum("tally_command_overloads_total", &limit) == 1.0
            && samples.sum("tally_database_failures_total", &[]) >= 1.0;
        is_counted.then_some(())
    })
    .await;
    tally.servers().postgres().resume().unwrap();
}

#[tokio::test]
async fn reads_that_wait_and_streams_are_counted_and_who_is_one_too_many() {
    let limits = ["WAITERS_MAX", "WATCHERS_MAX", "SUBSCRIBERS_MAX"].map(|name| (name, "1"));
    let tally = Tally::start_with_environment(&[METRICS.as_slice(), &limits].concat()).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    client.get_stock("LAMP", &ReadAfter::position(2).or_fail()).await.unwrap();
    let samples = async || Samples::of(&tally.query).await;
    let overloads = async |limit: &str| samples().await.sum("tally_read_overloads_total", &[&format!("\"{limit}\"")]);
    let gauge = async |metric: &str, value: f64| {
        eventually(&format!("{metric} is {value}"), async || (samples().await.sum(metric, &[]) == value).then_some(()))
            .await;
    };

    tally.projector.pause();
    let receipt = client.allocate("o1", "LAMP", 1).await.unwrap();
    let waits = async { client.get_stock("LAMP", &receipt.seen().at_most(DEADLINE * 5)).await.unwrap() };
    let one_too_many = async {
        gauge("tally_reads_waiting", 1.0).await;
        let refused = client.get_stock("LAMP", &receipt.seen()).await.unwrap_err();
        assert_eq!(refused.code, Code::ResourceExhausted, "{refused:?}");
        assert_eq!(overloads("waiters_max").await, 1.0);
        tally.projector.resume();
    };
    let (stock, ()) = tokio::join!(waits, one_too_many);
    assert_eq!((stock.allocated, stock.freshness.may_be_stale), (1, false));
    gauge("tally_reads_waiting", 0.0).await;

    let mut stocks = AllocationQueryServiceClient::new(tally.query.channel());
    let watch = WatchStockRequest { sku: "LAMP".to_owned(), read_after: None };
    let mut watching = stocks.watch_stock(watch.clone()).await.unwrap().into_inner();
    assert!(watching.message().await.unwrap().is_some());
    gauge("tally_watchers", 1.0).await;
    assert_eq!(stocks.watch_stock(watch).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(overloads("watchers_max").await, 1.0);
    drop(watching);
    gauge("tally_watchers", 0.0).await;

    let mut log = EventLogServiceClient::new(tally.query.channel());
    let mut subscribed = log.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
    assert!(subscribed.message().await.unwrap().is_some());
    gauge("tally_subscribers", 1.0).await;
    assert_eq!(client.subscribe(0, 1).await.unwrap_err().code, Code::ResourceExhausted);
    assert_eq!(overloads("subscribers_max").await, 1.0);
    // It is another log from now on, so nobody can say what comes next.
    let replaced = sqlx::query("UPDATE log_head SET log_id = gen_random_uuid()").execute(&tally.database().await).await;
    assert_eq!(replaced.unwrap().rows_affected(), 1);
    let ended = loop {
        if let Err(status) = subscribed.message().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::FailedPrecondition, "{ended:?}");
    assert_eq!(samples().await.sum("tally_stream_ends_total", &["reason=\"LOG_REPLACED\""]), 1.0);
    gauge("tally_subscribers", 0.0).await;
}

#[tokio::test]
async fn parked_events_losses_and_generations_are_counted() {
    let tally = Tally::start_with_environment(&METRICS).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    tally.stocked("b2", "VASE", 10).await;
    client.get_stock("VASE", &ReadAfter::position(4).or_fail()).await.unwrap();
    // Nothing while nobody works at it.
    let of_stock = async |metric: &str, labels: &[&str]| {
        let (metric, labels) = (format!("tally_projection_{metric}"), [&["projection=\"stock\""], labels].concat());
        Samples::of(&tally.projector).await.find(&metric, &labels)
    };
    let becomes = async |metric: &str, labels: &[&str], value: f64| {
        eventually(&format!("{metric} {labels:?} is {value}"), async || {
            (of_stock(metric, labels).await == Some(value)).then_some(())
        })
        .await;
    };
    becomes("generation", &[], 1.0).await;
    assert_eq!(of_stock("parked_events", &[]).await, Some(0.0));

    // A view is lost: who reads it finds that out.
    let mut redis = tally.redis().await;
    evict(&mut redis, &tally.log, "stock", "VASE").await;
    client.get_stock("VASE", &ReadAfter::nothing()).await.unwrap_err();
    becomes("losses_total", &["kind=\"views_missing\""], 1.0).await;
    assert_eq!(of_stock("losses_total", &["kind=\"emptied\""]).await, Some(0.0));
    eventually("the view is made again", async || client.get_stock("VASE", &ReadAfter::nothing()).await.ok()).await;

    // An event that can't be read waits for somebody, and is read when the views are made anew after it was mended. (It is not the last one: a
    // log that ends otherwise was restored.)
    tally.projector.stop().await;
    client.allocate("o1", "LAMP", 1).await.unwrap();
    tally.stocked("b3", "VASE", 10).await;
    let database = tally.database().await;
    let exchange = async |from: &str, to: &str| {
        let exchange = "UPDATE events SET payload = replace(payload, $1, $2) WHERE event_type = 'Allocated'";
        let exchanged = sqlx::query(exchange).bind(from).bind(to).execute(&database).await.unwrap();
        assert_eq!(exchanged.rows_affected(), 1);
    };
    exchange("\"quantity\"", "\"quantitee\"").await;
    tally.projector.start_again().await;
    becomes("parked_events", &[], 1.0).await;
    exchange("\"quantitee\"", "\"quantity\"").await;
    let (status, said) = tally.rebuild("stock").await;
    assert!(status.success(), "{said}");
    becomes("generation", &[], 2.0).await;
    becomes("parked_events", &[], 0.0).await;
}

#[tokio::test]
async fn why_a_projection_waits_is_told_by_name() {
    let tally = Tally::start_on_own_servers_with_environment(&METRICS).await;
    tally.stocked("b1", "LAMP", 10).await;
    let waits = async |reason: &str| {
        let labels = ["projection=\"stock\"", &format!("reason=\"{reason}\"")];
        Samples::of(&tally.projector).await.find("tally_projection_waiting", &labels)
    };
    assert_eq!(waits("").await, None, "it doesn't");
    let mut redis = tally.redis().await;
    let mut set = async |name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(&mut redis).await.unwrap();
    };
    set("maxmemory", "1gb").await;
    set("maxmemory-policy", "allkeys-lru").await;
    eventually("that Redis may evict", async || waits("REDIS_MAY_EVICT").await.filter(|waits| *waits == 1.0)).await;
    set("maxmemory-policy", "noeviction").await;
    let nothing = async || waits("REDIS_MAY_EVICT").await.is_none().then_some(());
    eventually("that it doesn't wait any more", nothing).await;
    set("maxmemory", "1").await;
    tally.stocked("b2", "VASE", 10).await;
    eventually("that Redis is full", async || waits("REDIS_OUT_OF_MEMORY").await).await;
    set("maxmemory", "0").await;
    let seen = ReadAfter::position(4).or_fail();
    tally.client().get_stock("VASE", &seen).await.unwrap();
    tally.servers().postgres().kill().await.unwrap();
    eventually("that Postgres is away", async || {
        let labels = ["projection=\"log\"", "reason=\"POSTGRES_AWAY\""];
        Samples::of(&tally.projector).await.find("tally_projection_waiting", &labels)
    })
    .await;
}
