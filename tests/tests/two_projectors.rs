//! Story 10: two projectors by accident, and nothing counts twice; and on purpose, where one takes over from the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use system_tests::client::TallyClient;
use system_tests::{Log, Service, Tally, eventually, views_equal_fold};
use tally_api::projections::v1::ListProjectionsRequest;
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;

use crate::crash::connect;
use crate::load::Load;

/// Within this a projector that was killed has been replaced.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(6);
/// How many SKUs are there: enough that both shards have some.
const SKUS: usize = 10;
/// Fourteen units, seven for each of the two.
const SHARDS: (&str, &str) = ("READ_SHARDS", "2");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_10_two_projectors_at_once_count_nothing_twice() {
    let tally = Arc::new(Tally::start().await);
    let other = tally.another(&tally.projector).await;
    let database = tally.database().await;
    let load = Load::start(&[connect(&tally)], 8, 60, async || Log::read(&database).await).await;

    // Each is held up in turn, so that the other overtakes it and it comes back with what is old by then.
    for (turn, service) in [&tally.projector, &other, &tally.projector, &other].into_iter().enumerate() {
        load.answered(2 * turn + 1, 9).await;
        service.pause();
        load.answered(2 * turn + 2, 9).await;
        service.resume();
    }

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
    assert!(tally.projector.process().is_running() && other.process().is_running(), "both go on");
}

/// Who owns the units, as a projector tells it: how many each does.
async fn owners(asked: &Service) -> Option<BTreeSet<String>> {
    let mut admin = ProjectionAdminServiceClient::new(asked.channel());
    let all = admin.list_projections(ListProjectionsRequest {}).await.ok()?.into_inner().projections;
    let owners: Vec<String> = all.into_iter().flat_map(|it| it.shards).map(|shard| shard.owner).collect();
    owners.iter().all(|owner| !owner.is_empty()).then(|| owners.into_iter().collect())
}

async fn owned_by(asked: &Service, number: usize) -> BTreeSet<String> {
    eventually(&format!("{number} work at all units"), async || {
        owners(asked).await.filter(|owners| owners.len() == number)
    })
    .await
}

/// A Tally with some SKUs.
async fn stocked() -> Tally {
    let tally = Tally::start_with_environment(&[SHARDS]).await;
    for number in 0..SKUS {
        tally.stocked(&format!("b{number}"), &format!("LAMP-{number}"), 100).await;
    }
    tally
}

/// A piece of each of them more.
async fn allocated(tally: &Tally, order: &str) {
    let client = tally.client();
    for number in 0..SKUS {
        client.allocate(order, &format!("LAMP-{number}"), 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stalls_for_longer_than_its_leases_changes_nothing_when_it_wakes() {
    let tally = stocked().await;
    let other = tally.another(&tally.projector).await;
    let both = owned_by(&tally.projector, 2).await;
    for round in 0..2 {
        // Events come while it stands, so that it may be in the middle of a batch; and others when its leases are over.
        allocated(&tally, &format!("o{round}-before")).await;
        tally.projector.pause();
        allocated(&tally, &format!("o{round}-during")).await;
        let left = owned_by(&other, 1).await;
        assert!(left.is_subset(&both), "{left:?}");
        allocated(&tally, &format!("o{round}-after")).await;
        views_equal_fold(&tally).await;

        tally.projector.resume();
        allocated(&tally, &format!("o{round}-woken")).await;
        views_equal_fold(&tally).await;
        assert_eq!(owned_by(&other, 2).await, both, "it has its share again");
        allocated(&tally, &format!("o{round}-again")).await;
        views_equal_fold(&tally).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_one_owned_is_taken_over_within_six_seconds() {
    let tally = stocked().await;
    let other = tally.another(&tally.projector).await;
    owned_by(&tally.projector, 2).await;
    // What a busy machine takes for it with both of them there.
    let began = Instant::now();
    allocated(&tally, "o1").await;
    views_equal_fold(&tally).await;
    let usual = began.elapsed();

    let began = Instant::now();
    tally.projector.kill().await;
    allocated(&tally, "o2").await;
    views_equal_fold(&tally).await;
    let took = began.elapsed();
    assert!(took < TAKEN_OVER_WITHIN + usual, "{took:?}, usually {usual:?}");
    assert_eq!(owners(&other).await.unwrap().len(), 1);
}
