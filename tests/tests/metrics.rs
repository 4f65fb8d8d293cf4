//! What the processes count.

mod guarded;
mod troubles;

use std::io::Write;
use std::process::{Command, Stdio};

use system_tests::client::{NewOrder, ReadAfter, TallyClient};
use system_tests::health::until_ready;
use system_tests::{Samples, Servers, Service, Tally, eventually, operations_get};
use tally_servers::find;

/// On, and on a port of its own.
const METRICS: [(&str, &str); 1] = [("TALLY_METRICS_LISTEN", "127.0.0.1:0")];

/// Projections of views.
const PROJECTIONS: f64 = 7.0;

/// What `promtool check metrics` finds to say.
fn complaints(text: &str) -> String {
    let promtool = find::program(&["promtool"]).expect("there is a promtool: `make test` installs it");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn calls_batches_and_lag_are_counted_and_promtool_has_nothing_to_say() {
    let tally = Tally::start_with_environment(&METRICS).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let created = client.create_order(&NewOrder::of("c-1", &[("LAMP", 4)])).await.unwrap();
    client.validate_only().create_order(&NewOrder::of("c-1", &[("LAMP", 4)])).await.unwrap();
    client.allocate("o1", "NO-SUCH", 1).await.unwrap_err();
    client.get_order(&created.order_id, &created.seen()).await.unwrap();

    let commands = Samples::of(&tally.command).await;
    let create = ["grpc_method=\"CreateOrder\"", "grpc_service=\"tally.orders.v1.OrderCommandService\""];
    assert_eq!(commands.sum("grpc_server_started_total", &create), 2.0);
    assert_eq!(commands.sum("grpc_server_handled_total", &[create[0], "grpc_code=\"OK\""]), 2.0);
    assert_eq!(commands.sum("grpc_server_msg_sent_total", &create), 2.0);
    assert_eq!(commands.sum("grpc_server_handling_seconds_count", &create), 2.0);
    let refused = ["grpc_method=\"Allocate\"", "grpc_code=\"FailedPrecondition\""];
    assert_eq!(commands.sum("grpc_server_handled_total", &refused), 1.0);
    // Three events of the order and two of the batch.
    assert_eq!(commands.sum("tally_batch_events_sum", &[]), 4.0);
    assert_eq!(commands.sum("tally_batch_commands_sum", &[]), 2.0);
    assert_eq!(commands.sum("tally_commit_duration_seconds_count", &[]), 2.0);
    assert_eq!(commands.sum("tally_appended_position", &[]), 4.0);
    assert_eq!(commands.sum("tally_commands_in_flight", &[]), 0.0);
    assert!(commands.sum("tally_state_cache_misses_total", &[]) >= 1.0);
    assert!(commands.sum("tally_state_cache_hits_total", &[]) >= 1.0);
    assert!(commands.sum("tally_database_sessions_opened_total", &[]) >= 1.0);

    let caught_up = eventually("every projection has caught up", async || {
        let samples = Samples::of(&tally.projector).await;
        let reached = samples.sum("tally_projection_position", &[]) == 4.0 * PROJECTIONS;
        reached.then_some(samples)
    })
    .await;
    assert_eq!(caught_up.sum("tally_log_head_position", &[]), 4.0);
    assert_eq!(caught_up.sum("tally_projection_lag_events", &[]), 0.0);
    assert_eq!(caught_up.sum("tally_projection_lag_seconds", &[]), 0.0);
    assert_eq!(caught_up.sum("tally_projection_batch_events_sum", &["projection=\"order\""]), 4.0);
    let following = caught_up.sum("tally_projection_state", &["state=\"following\""]);
    assert_eq!(following, PROJECTIONS + 3.0, "and the log, what is published, and the sharing of the work");

    let queries = Samples::of(&tally.query).await;
    assert_eq!(queries.sum("grpc_server_handled_total", &["grpc_method=\"GetOrder\"", "grpc_code=\"OK\""]), 1.0);
    assert_eq!(queries.sum("tally_reads_waiting", &[]), 0.0);
    for samples in [commands, caught_up, queries] {
        assert_eq!(complaints(&samples.text), "");
    }
}

#[tokio::test]
async fn a_projection_that_stands_still_falls_behind_and_reads_that_wait_in_vain_are_counted() {
    let tally = Tally::start_with_environment(&METRICS).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    client.get_stock("LAMP", &ReadAfter::position(2).or_fail()).await.unwrap();
    let stock = "projection=\"stock\"";
    let waits = |samples: &Samples| samples.sum("tally_read_wait_duration_seconds_count", &[stock]);
    // Perhaps it waited too.
    let before = waits(&Samples::of(&tally.query).await);
    tally.projector.pause();
    let receipt = client.allocate("o1", "LAMP", 1).await.unwrap();
    let seen = receipt.seen().at_most(std::time::Duration::from_millis(50));
    assert!(client.get_stock("LAMP", &seen).await.is_ok_and(|stock| stock.freshness.may_be_stale));
    let queries = Samples::of(&tally.query).await;
    assert_eq!(waits(&queries), before + 1.0);
    assert_eq!(queries.sum("tally_read_wait_timeouts_total", &[stock]), 1.0);
    assert_eq!(queries.sum("tally_stale_answers_total", &[stock]), 1.0);
    tally.projector.resume();
    client.get_stock("LAMP", &receipt.seen()).await.unwrap();
}

#[tokio::test]
async fn lag_grows_while_redis_is_away_and_readiness_is_there_over_http() {
    let tally = Tally::start_on_own_servers_with_environment(&METRICS).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    client.get_stock("LAMP", &ReadAfter::position(2)).await.unwrap();
    until_ready(&tally.projector, true).await;
    assert_eq!(operations_get(&tally.projector, "/readyz").await.0, 200);
    tally.servers().redis().kill().await.unwrap();
    client.allocate("o1", "LAMP", 1).await.unwrap();
    let lag = |samples: &Samples| samples.sum("tally_projection_lag_seconds", &["projection=\"stock\""]);
    let first = eventually("the projection is behind", async || {
        let samples = Samples::of(&tally.projector).await;
        (lag(&samples) > 0.0).then(|| lag(&samples))
    })
    .await;
    eventually("and falls further behind", async || (lag(&Samples::of(&tally.projector).await) > first).then_some(()))
        .await;
    until_ready(&tally.projector, false).await;
    assert_eq!(operations_get(&tally.projector, "/readyz").await.0, 503);
    assert_eq!(operations_get(&tally.projector, "/livez").await.0, 200);
    assert_eq!(operations_get(&tally.projector, "/secrets").await.0, 404);
    let samples = Samples::of(&tally.projector).await;
    assert!(samples.sum("tally_projection_retries_total", &["projection=\"stock\""]) >= 1.0);
    client.get_stock("LAMP", &ReadAfter::nothing()).await.unwrap_err();
    for service in [&tally.projector, &tally.query] {
        let samples = Samples::of(service).await;
        assert!(samples.sum("tally_redis_connections_opened_total", &[]) >= 1.0, "{}", service.name());
        assert!(samples.sum("tally_redis_failures_total", &[]) >= 1.0, "{}", service.name());
    }
}

#[tokio::test]
async fn what_was_applied_is_held_against_the_log_all_the_time() {
    let environment = [METRICS[0], ("PROJECTOR_VERIFY_INTERVAL_MS", "20")];
    let tally = Tally::start_with_environment(&environment).await;
    tally.stocked("b1", "LAMP", 10).await;
    let receipt = tally.client().allocate("o1", "LAMP", 4).await.unwrap();
    tally.client().get_stock("LAMP", &receipt.seen()).await.unwrap();
    let checks =
        async || Samples::of(&tally.projector).await.sum("tally_projection_digest_checks_total", &["\"stock\""]);
    let before = checks().await;
    eventually("it is checked again and again", async || (checks().await > before + 3.0).then_some(())).await;
    let mismatches = async |projection: &str| {
        let label = format!("projection=\"{projection}\"");
        Samples::of(&tally.projector).await.find("tally_projection_digest_mismatches", &[&label])
    };
    assert_eq!(mismatches("stock").await, Some(0.0));

    // The log is not any more what it was when it was applied. (The last event is left alone: a log that ends otherwise was restored.)
    let database = tally.database().await;
    let forged = "UPDATE events SET recorded_at = recorded_at + interval '1 second' WHERE position = 2";
    assert_eq!(sqlx::query(forged).execute(&database).await.unwrap().rows_affected(), 1);
    eventually("that is noticed", async || (mismatches("stock").await == Some(1.0)).then_some(())).await;
    let log = std::fs::read_to_string(tally.projector.log()).unwrap();
    assert_eq!(
        log.lines().filter(|line| line.contains("not what the log holds") && line.contains("\"stock\"")).count(),
        1
    );

    // What this process has in memory is what was applied.
    tally.projector.kill_and_start_again().await;
    eventually("it works at them again", async || mismatches("stock").await).await;
    let (status, said) = tally.rebuild("stock").await;
    assert!(status.success(), "{said}");
    eventually("and over when the views are made anew", async || {
        (mismatches("stock").await == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_works_at_what_is_counted() {
    let tally = Tally::start_with_environment(&METRICS).await;
    let owned = async |service: &Service| Samples::of(service).await.sum("tally_projection_units_owned", &[]);
    eventually("one has all", async || (owned(&tally.projector).await == PROJECTIONS).then_some(())).await;
    let other = tally.another(&tally.projector).await;
    // They share as evenly as an odd number can be shared.
    let (own, others) = eventually("two share", async || {
        let shares = (owned(&tally.projector).await, owned(&other).await);
        (shares.0 + shares.1 == PROJECTIONS && (shares.0 - shares.1).abs() <= 1.0).then_some(shares)
    })
    .await;
    // What it gave up it tells nothing of any more.
    let samples = eventually("it tells of what is its own", async || {
        let samples = Samples::of(&tally.projector).await;
        let told = |metric: &str| samples.text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).count();
        let metrics = ["digest_mismatches", "parked_events", "generation", "position"];
        let counts = metrics.map(|metric| told(&format!("tally_projection_{metric}")) as f64);
        (counts == [own; 4]).then_some(samples)
    })
    .await;
    assert_eq!(samples.sum("tally_projection_units", &[]), PROJECTIONS);
    let changes = |change: &str| samples.sum("tally_projection_ownership_changes_total", &[change]);
    // More where the machine was so busy that a lease ran out.
    assert!(changes("given_up") >= others);
    assert_eq!(changes("taken") - changes("given_up"), own);
    other.kill().await;
    eventually("who is left has all again", async || (owned(&tally.projector).await == PROJECTIONS).then_some(()))
        .await;
}

#[tokio::test]
async fn nothing_is_served_unless_it_is_asked_for() {
    let tally = Tally::start().await;
    let says = |service: &Service| std::fs::read_to_string(service.log()).unwrap().contains("metrics are served");
    assert!(!tally.services().into_iter().any(says));
    assert!(matches!(tally.servers(), Servers::Shared { .. }));
}
