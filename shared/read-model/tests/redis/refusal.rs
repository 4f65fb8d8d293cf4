//! What Redis refuses must leave nothing behind.

use redis::cmd;
use tally_read_model::{BuildId, Error, ReadModel, Started, bucket_of_view};
use tally_servers::Redis;

use crate::support::{FIRST, Fixture, P, PATIENT, START, at, fixture, listed, on, view};

async fn apply_leaves_nothing(f: &mut Fixture) -> Error {
    let before = f.everything().await;
    let batch = [view("b", "2"), listed("a", "2", "l", 6), view("c", "2")];
    let refused = f.apply(at(5), 7, &batch).await.unwrap_err();
    assert_eq!(f.everything().await, before);
    refused
}

#[tokio::test]
async fn a_list_of_another_type() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 5, &[view("b", "1")]).await.unwrap();
    f.raw_set("p:1:list:l", "no list").await;
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Corrupt("a key of another type"));
}

#[tokio::test]
async fn a_bucket_of_another_type() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 5, &[view("b", "1")]).await.unwrap();
    f.lose("c").await;
    f.raw_set(&format!("p:1:views:{}", bucket_of_view("c")), "no bucket").await;
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Corrupt("a key of another type"));
    let corrupt = Err(Error::Corrupt("a key of another type"));
    assert_eq!(f.model.get("p", "c").await.map(drop), corrupt);
    assert_eq!(f.writer.load_views(P, FIRST, &at(5), &["b".into(), "c".into()]).await.map(drop), corrupt);
}

#[tokio::test]
async fn a_checkpoint_of_another_type() {
    let mut f = fixture().await.begun().await;
    cmd("DEL").arg(f.key("p:1:checkpoint")).exec_async(&mut f.raw).await.unwrap();
    cmd("RPUSH").arg(f.key("p:1:checkpoint")).arg("5").exec_async(&mut f.raw).await.unwrap();
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Corrupt("a key of another type"));
}

#[tokio::test]
async fn out_of_memory() {
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await.begun().await;
    f.apply(START, 5, &[listed("b", "1", "m", 1)]).await.unwrap();
    cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Unavailable("OOM".into()));
    let next = tally_read_model::BuildId::first(2);
    let started = f.writer.start_build(crate::support::P, Some(crate::support::FIRST), next, &START, None, None).await;
    assert_eq!(started, Err(Error::Unavailable("OOM".into())));
    assert_eq!(f.model.page("p", "m", None, 9).await.unwrap().position, 5, "reading goes on");

    cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec_async(&mut f.raw).await.unwrap();
    f.apply(at(5), 6, &[]).await.unwrap();
}

#[tokio::test]
async fn a_replica() {
    let (primary, redis) = (Redis::temporary().await.unwrap(), Redis::temporary().await.unwrap());
    let mut f = on(&redis).await.begun().await;
    f.apply(START, 5, &[listed("b", "1", "m", 1)]).await.unwrap();
    // Its primary never lets it in, so it keeps what it has.
    cmd("REPLICAOF").arg("127.0.0.1").arg(primary.port()).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Unavailable("READONLY".into()));
    assert_eq!(f.model.page("p", "m", None, 9).await.unwrap().position, 5, "reading goes on");

    cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut f.raw).await.unwrap();
    f.apply(at(5), 6, &[]).await.unwrap();
}

#[tokio::test]
async fn too_few_replicas() {
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await.begun().await;
    f.apply(START, 5, &[]).await.unwrap();
    cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(1).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(apply_leaves_nothing(&mut f).await, Error::Unavailable("NOREPLICAS".into()));
}

#[tokio::test]
async fn a_redis_that_may_evict_checkpoints_is_told_of() {
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await.begun().await;
    f.writer.check_settings(0).await.unwrap();
    cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg("allkeys-lru").exec_async(&mut f.raw).await.unwrap();
    f.writer.check_settings(0).await.expect("without a limit nothing is evicted");
    cmd("CONFIG").arg("SET").arg("maxmemory").arg("1gb").exec_async(&mut f.raw).await.unwrap();
    assert!(matches!(f.writer.check_settings(0).await, Err(Error::Settings(_))));
}

#[tokio::test]
async fn a_missing_permission() {
    for missing in ["-set", "-zadd", "-zrem", "-hset", "-hdel"] {
        let mut f = fixture().await.begun().await;
        f.apply(START, 5, &[view("b", "1")]).await.unwrap();
        limit_to(&mut f, missing).await;
        assert_eq!(apply_leaves_nothing(&mut f).await, Error::Refused("permission to write".into()), "{missing}");
    }
}

#[tokio::test]
async fn a_bell_that_may_not_be_rung_keeps_nothing_from_being_written() {
    let mut f = fixture().await.begun().await;
    limit_to(&mut f, "-publish").await;
    f.apply(START, 5, &[view("b", "1")]).await.unwrap();
    assert_eq!(f.model.get("p", "b").await.unwrap().position, 5);
}

#[tokio::test]
async fn a_loss_that_may_not_be_kept_keeps_nothing_from_being_made_again() {
    let mut f = fixture().await.begun().await;
    limit_to(&mut f, "-lpush").await;
    let (live, repaired) = (FIRST, BuildId { generation: 1, repair: 7 });
    let started = f.writer.start_build(P, Some(live), repaired, &START, None, Some("of all")).await;
    assert_eq!(started.unwrap(), Started::Done);
}

/// Writes from now on as a user who may do all but this.
async fn limit_to(f: &mut Fixture, missing: &str) {
    cmd("ACL")
        .arg("SETUSER")
        .arg(&f.log)
        .arg(&["on", ">secret", "~*", "&*", "+@all", missing])
        .exec_async(&mut f.raw)
        .await
        .unwrap();
    let (_, address) = f.url.split_once('@').unwrap();
    let url = format!("redis://{}:secret@{address}", f.log);
    f.writer = ReadModel::connect(&url, &f.log, PATIENT).unwrap().writer(f.log_id);
}
