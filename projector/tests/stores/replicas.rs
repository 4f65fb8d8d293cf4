//! Several projectors: who works at what.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tally_api::projections::v1::ExplainLagRequest;
use tally_read_model::{LAYOUT, Unit, bucket_of_view, projections};

use crate::support::{Fixture, Projector, eventually, fixture, sharded};

fn units(projectors: &[&Projector]) -> Vec<BTreeSet<Unit>> {
    projectors.iter().map(|projector| projector.units().into_iter().collect()).collect()
}

async fn spread(projectors: &[&Projector], total: usize) {
    eventually("the units are spread evenly", async || {
        let shares = units(projectors);
        let all: BTreeSet<Unit> = shares.iter().flatten().copied().collect();
        let sizes: Vec<usize> = shares.iter().map(BTreeSet::len).collect();
        let even = sizes.iter().max()? - sizes.iter().min()? <= 1;
        (all.len() == total && sizes.iter().sum::<usize>() == total && even).then_some(())
    })
    .await;
}

/// Appends something, and how long it takes until all projections have it.
async fn project_more(f: &mut Fixture) -> Duration {
    let began = Instant::now();
    f.append_random(50).await;
    f.projected(f.head).await;
    began.elapsed()
}

/// Whose the units are.
async fn owners(f: &Fixture, units: &[Unit]) -> BTreeSet<String> {
    let mut redis = f.redis().await;
    let mut owners = BTreeSet::new();
    for Unit { projection, shard } in units {
        let key = format!("tally:{0}:{{{0}:r{shard}}}:{projection}:owner:{1}", f.log, 1 + LAYOUT);
        owners.extend(redis::cmd("GET").arg(key).query_async::<Option<String>>(&mut redis).await.unwrap());
    }
    owners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_spread_and_taken_over_within_six_seconds_of_a_crash_and_at_once_after_a_stop() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 2).await;
    let total = 2 * projections::ALL.len();
    let (one, two, three) = (f.projector(&[]).await, f.projector(&[]).await, f.projector(&[]).await);
    spread(&[&one, &two, &three], total).await;
    project_more(&mut f).await;
    // What a busy machine takes for it, with all of them there.
    let usual = project_more(&mut f).await;

    one.crash().await;
    let took = project_more(&mut f).await;
    assert!(took < Duration::from_secs(6) + usual, "{took:?}, usually {usual:?}");
    spread(&[&two, &three], total).await;

    let given_up = two.units();
    let before = owners(&f, &given_up).await;
    assert_eq!(before.len(), 1, "{before:?}");
    two.stop().await;
    assert!(owners(&f, &given_up).await.is_disjoint(&before), "nobody has to wait until its leases are over");
    project_more(&mut f).await;
    spread(&[&three], total).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn an_owner_that_says_nothing_is_named_as_what_a_projection_waits_for() {
    let mut f = fixture().await;
    let stock = [(projections::STOCK, 1 + LAYOUT, true)];
    let lasts = Duration::from_secs(60);
    f.append_random(20).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    assert_eq!(f.writer().await.tend(0, &stock, "stalled", lasts).await.unwrap(), [true]);
    let projector = f.projector(&[]).await;
    f.append_random(20).await;

    let mut admin = projector.admin().await;
    let mut lag = async || {
        let request = ExplainLagRequest { projection: "stock".into() };
        admin.explain_lag(request).await.unwrap().into_inner()
    };
    let told = lag().await;
    assert_eq!(told.reason, "OTHER_OWNER", "{}", told.explanation);
    assert!(told.explanation.contains("stalled"), "{}", told.explanation);
    let given_back = [(projections::STOCK, 1 + LAYOUT, false)];
    f.writer().await.tend(0, &given_back, "stalled", lasts).await.unwrap();
    f.projected(f.head).await;
    eventually("it is caught up", async || (lag().await.reason == "CAUGHT_UP").then_some(())).await;
}

#[tokio::test]
async fn verify_finds_an_event_that_is_not_the_one_that_was_applied_and_a_view_that_was_changed() {
    let mut f = fixture().await;
    f.append_random(100).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let told = f.run(&["verify", "--json"]).await.unwrap();
    assert_eq!(told.lines().count(), projections::ALL.len(), "{told}");

    f.as_owner("UPDATE events SET payload = replace(payload, '\"quantity\":', '\"quantity\": ') WHERE position = (SELECT min(position) FROM events WHERE event_type = 'BatchCreated')").await;
    f.run(&["verify", "order"]).await.expect("an order's views don't rest on it");
    let error = f.run(&["verify", "stock"]).await.unwrap_err();
    assert!(error.contains("not what the log holds"), "{error}");
    assert!(error.contains(&format!("differ: 1–{}", f.head)), "where it is: {error}");

    let views = f.views().await;
    let view = views.keys().find_map(|key| key.strip_prefix("allocations:")).unwrap();
    let bucket = f.key(projections::ALLOCATIONS, 0, &format!("views:{}", bucket_of_view(view))).await;
    let changed = redis::cmd("HSET").arg(bucket).arg(format!("v{view}")).arg("\u{0}changed").to_owned();
    changed.exec_async(&mut f.redis().await).await.unwrap();
    f.run(&["verify", "allocations"]).await.expect_err("a view was changed");
}

/// Positions in a range, as `verify` names them.
const RANGE: u64 = 4_096;

#[tokio::test]
async fn verify_names_the_ranges_in_which_something_was_applied_otherwise() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 2).await;
    while f.head < 2 * RANGE + RANGE / 2 {
        f.append_random(1_000).await;
    }
    // Batches that end at no range's end.
    f.projector(&["--batch-events-max", "997"]).await.projected_and_stopped(&f).await;
    f.run(&["verify"]).await.expect("all is as it is in the log");

    let in_the_second = RANGE + RANGE / 2;
    f.as_owner(&format!("UPDATE events SET payload = payload || ' ' WHERE position = {in_the_second}")).await;
    let error = f.run(&["verify", "streams"]).await.unwrap_err();
    let differ = |error: &str| {
        let words = error.split("differ: ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        words.map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(differ(&error), [format!("{}–{}", RANGE + 1, 2 * RANGE)], "{error}");

    // As if an event had been skipped, applied twice, or before another.
    f.as_owner(&format!("UPDATE events SET payload = rtrim(payload) WHERE position = {in_the_second}")).await;
    f.run(&["verify", "streams"]).await.expect("it is as it was");
    let digests = f.key(projections::STREAMS, 1, "digests").await;
    let set = redis::cmd("HSET").arg(digests).arg("0").arg("00000000000000ff").to_owned();
    set.exec_async(&mut f.redis().await).await.unwrap();
    let error = f.run(&["verify", "streams"]).await.unwrap_err();
    assert_eq!(differ(&error), [format!("1–{RANGE}")], "{error}");
}

#[tokio::test]
async fn another_number_of_shards_is_refused_until_the_read_model_is_divided_anew() {
    let mut f = fixture().await;
    f.append_random(60).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let before = f.views().await;
    let mut f = Fixture { read_shards: 4, ..f };
    f.model = tally_read_model::ReadModel::connect(
        &f.redis_url,
        &f.log,
        tally_read_model::Options { read_shards: 4, ..tally_read_model::Options::default() },
    )
    .unwrap();
    let refused = f.run(&["serve", "--listen", "127.0.0.1:0"]).await.unwrap_err();
    assert!(refused.contains("has 1 read shards and READ_SHARDS is 4"), "{refused}");
    f.run(&["reshard"]).await.unwrap();
    f.projector(&[]).await.projected_and_stopped(&f).await;
    assert_eq!(f.views().await, before);
}
