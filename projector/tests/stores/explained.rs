//! Why a projection is behind, when the servers are really as it is told.

use serde_json::Value;
use tally_api::projections::v1::{ExplainLagRequest, ExplainLagResponse, ProjectionState};

use crate::support::{Fixture, Projector, eventually, fixture, with_servers};

async fn explained(projector: &Projector, reason: &str) -> ExplainLagResponse {
    let mut admin = projector.admin().await;
    eventually(&format!("it is told as {reason}"), async || {
        let request = ExplainLagRequest { projection: "order".into() };
        let told = admin.explain_lag(request).await.unwrap().into_inner();
        (told.reason == reason).then_some(told)
    })
    .await
}

type Commands<'a> = &'a [&'a [&'a str]];

async fn tell_redis(f: &Fixture, commands: Commands<'_>) {
    for command in commands {
        redis::cmd(command[0]).arg(&command[1..]).exec_async(&mut f.redis().await).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_wrong_with_redis_is_named() {
    let (mut f, _postgres, redis) = with_servers().await;
    f.append_random(20).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let caught_up = explained(&projector, "CAUGHT_UP").await;
    assert_eq!(caught_up.facts.map(|facts| facts.checkpoint), Some(i64::try_from(f.head).unwrap()));

    let troubles: [(&str, Commands<'_>, Commands<'_>); 3] = [
        ("REDIS_OUT_OF_MEMORY", &[&["CONFIG", "SET", "maxmemory", "1"]], &[&["CONFIG", "SET", "maxmemory", "0"]]),
        ("REDIS_READ_ONLY", &[&["REPLICAOF", "127.0.0.1", "1"]], &[&["REPLICAOF", "NO", "ONE"]]),
        (
            "REDIS_MAY_EVICT",
            &[&["CONFIG", "SET", "maxmemory", "1gb"], &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]],
            &[&["CONFIG", "SET", "maxmemory-policy", "noeviction"], &["CONFIG", "SET", "maxmemory", "0"]],
        ),
    ];
    for (reason, begin, end) in troubles {
        tell_redis(&f, begin).await;
        f.append_random(10).await;
        let told = explained(&projector, reason).await;
        let facts = told.facts.expect("facts");
        assert_eq!(facts.state(), ProjectionState::Waiting, "{reason}");
        assert!(told.explanation.contains("stays at position"), "{}", told.explanation);
        // Who looks from outside is told something too, and writes nothing for it.
        let seen = f.run(&["explain-lag", "order"]).await.unwrap();
        assert!(seen.contains("order"), "{reason}: {seen}");
        tell_redis(&f, end).await;
        f.projected(f.head).await;
    }

    redis.kill().await.unwrap();
    assert_eq!(explained(&projector, "REDIS_AWAY").await.facts, None);
    let seen = f.run(&["explain-lag", "order"]).await.unwrap();
    assert!(seen.contains("Redis can't be asked"), "{seen}");
    redis.restart().await.unwrap();
    f.append_random(5).await;
    f.projected(f.head).await;
    explained(&projector, "CAUGHT_UP").await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn that_postgres_is_away_is_told_and_that_nobody_works() {
    let (mut f, postgres, _redis) = with_servers().await;
    f.append_random(20).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    postgres.kill().await.unwrap();
    let told = explained(&projector, "POSTGRES_AWAY").await;
    assert_eq!(told.facts.map(|facts| facts.checkpoint), Some(i64::try_from(f.head).unwrap()));
    let seen = f.run(&["explain-lag", "order"]).await.unwrap();
    assert!(seen.contains("Postgres is away"), "{seen}");
    postgres.restart().await.unwrap();
    projector.ready(true).await;
    explained(&projector, "CAUGHT_UP").await;

    projector.stop().await;
    let json = f.run(&["explain-lag", "order", "--json"]).await.unwrap();
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["reason"], "NO_OWNER", "{json}");
}

#[tokio::test]
async fn how_long_a_projection_that_is_behind_will_take_is_told() {
    let mut f = fixture().await;
    f.append_random(10).await;
    // One event after the other, so that it lasts longer than a rate takes to be known.
    let projector = f.projector(&["--batch-events-max", "1"]).await;
    f.projected(f.head).await;
    f.run(&["pause", "order"]).await.unwrap();
    for _ in 0..8 {
        f.append_random(400).await;
    }
    f.run(&["resume", "order"]).await.unwrap();
    let mut admin = projector.admin().await;
    let (told, facts) = eventually("how long it takes", async || {
        let request = ExplainLagRequest { projection: "order".into() };
        let told = admin.explain_lag(request).await.unwrap().into_inner();
        let facts = told.facts.clone().unwrap();
        assert!(facts.checkpoint < f.head as i64, "it was through before it could be asked: {told:?}");
        (facts.events_per_second > 0.0).then_some((told, facts))
    })
    .await;
    assert_eq!(told.reason, "BEHIND");
    let seconds = (facts.lag_events as f64 / facts.events_per_second).ceil();
    let rate = facts.events_per_second;
    let sentence =
        format!("order is {} events behind at {rate:.0} events/s, so about {seconds:.0} s.", facts.lag_events);
    assert_eq!(told.explanation, sentence);
    assert!(facts.lag.is_some_and(|lag| lag.seconds > 0 || lag.nanos > 0), "{facts:?}");
}

#[tokio::test]
async fn that_views_are_made_again_that_a_rebuild_is_under_way_and_that_it_has_halted_is_told() {
    let mut f = fixture().await;
    f.append_random(300).await;
    let projector = f.projector(&["--batch-events-max", "1"]).await;
    f.projected(f.head).await;
    f.run(&["rebuild", "order", "--wait-for-promotion"]).await.unwrap();
    let told = explained(&projector, "REBUILDING").await;
    assert!(told.explanation.contains(&format!("{head} of {head} events", head = f.head)), "{}", told.explanation);
    let facts = told.facts.unwrap();
    assert_eq!((facts.state(), facts.version), (ProjectionState::Rebuilding, facts.program_version));
    assert!(facts.version > 0);
    f.run(&["promote", "order"]).await.unwrap();

    // One event at a time: it takes a while.
    f.empty(0).await;
    let told = explained(&projector, "RECOVERING").await;
    assert!(told.explanation.contains("are made again after a loss (the shard was emptied)"), "{}", told.explanation);
    f.projected(f.head).await;
    explained(&projector, "CAUGHT_UP").await;

    f.as_owner(&format!("UPDATE tally_{}.log_head SET position = position + 1", f.log)).await;
    f.append_random(1).await;
    let told = explained(&projector, "HALTED").await;
    assert!(told.explanation.contains("a person has to look: the log has a hole"), "{}", told.explanation);
}
