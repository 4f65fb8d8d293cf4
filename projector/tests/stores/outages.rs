//! Postgres and Redis come and go.

use tally_event_store::{AppendOptions, AppendStore, migrate};
use tally_read_model::projections;
use tally_servers::Postgres;

use crate::support::{eventually, with_servers};

#[tokio::test]
async fn redis_is_killed_and_comes_back() {
    let (mut f, _postgres, redis) = with_servers().await;
    f.append_random(30).await;
    let projector = f.projector(&["--batch-events-max", "5"]).await;
    f.projected(f.head).await;
    projector.ready(true).await;

    redis.kill().await.unwrap();
    projector.ready(false).await;
    let reason = projector.waiting(projections::ORDER).await;
    assert!(reason.contains("the read model is unavailable"), "{reason}");
    f.append_random(30).await;

    redis.restart().await.unwrap();
    f.projected(f.head).await;
    projector.ready(true).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn postgres_is_killed_and_comes_back() {
    let (mut f, postgres, _redis) = with_servers().await;
    f.append_random(30).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    projector.ready(true).await;

    postgres.kill().await.unwrap();
    projector.ready(false).await;

    postgres.restart().await.unwrap();
    // The store's session from before is trusted for a while, and an append that meets its end has no known outcome.
    eventually("Postgres answers", async || f.store.ping().await.ok()).await;
    f.append_random(30).await;
    f.projected(f.head).await;
    projector.ready(true).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn a_flushed_redis_gets_its_views_back_though_nothing_new_happens() {
    let (mut f, _postgres, _redis) = with_servers().await;
    f.append_random(60).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    f.rebuild(projections::ORDER).await;
    let before = f.views().await;

    redis::cmd("FLUSHDB").exec_async(&mut f.redis().await).await.unwrap();
    f.projected(f.head).await;
    assert_eq!(f.views().await, before);
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.store.log_id().await.unwrap()));
    projector.ready(true).await;
}

#[tokio::test]
async fn redis_is_flushed_while_events_come_in() {
    let (mut f, _postgres, _redis) = with_servers().await;
    let _projector = f.projector(&["--batch-events-max", "3"]).await;
    for _ in 0..5 {
        f.append_random(40).await;
        redis::cmd("FLUSHDB").exec_async(&mut f.redis().await).await.unwrap();
    }
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn it_starts_while_both_are_away_and_waits_for_the_migration() {
    let (mut f, _postgres, redis) = with_servers().await;
    // A second Postgres, on which there is nothing yet.
    let postgres = Postgres::temporary().await.unwrap();
    f.database_url = postgres.create_database("later").await.unwrap();
    postgres.stop().await.unwrap();
    redis.stop().await.unwrap();

    let projector = f.projector(&[]).await;
    projector.ready(false).await;
    projector.waiting("log").await;

    postgres.restart().await.unwrap();
    let reason = eventually("the log is missed", async || {
        let reason = projector.waiting("log").await;
        reason.contains("refused").then_some(reason)
    })
    .await;
    assert!(!reason.contains("127.0.0.1"), "{reason}");

    let name = f.log.parse().unwrap();
    migrate(&f.database_url, &name).await.unwrap();
    projector.waiting("leases").await;
    redis.restart().await.unwrap();
    projector.ready(true).await;

    f.store = AppendStore::connect(&f.database_url, &name, AppendOptions::default()).await.unwrap();
    f.append_random(20).await;
    f.projected(f.head).await;
}

#[tokio::test]
async fn a_redis_that_may_evict_is_not_written_to_until_it_is_put_right() {
    let (mut f, _postgres, _redis) = with_servers().await;
    f.append_random(5).await;
    let mut redis = f.redis().await;
    for (setting, value) in [("maxmemory", "1gb"), ("maxmemory-policy", "allkeys-lru")] {
        redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec_async(&mut redis).await.unwrap();
    }
    let projector = f.projector(&[]).await;
    assert!(projector.waiting(projections::ORDER).await.contains("noeviction"));
    assert_eq!(f.checkpoint(projections::ORDER).await.position, 0);
    redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg("noeviction").exec_async(&mut redis).await.unwrap();
    f.projected(f.head).await;
}
