//! The projector's work on a real Redis Cluster: rebuilds, repairs, and a failover that loses writes.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, cmd};
use tally_api::projections::v1::{ListProjectionsRequest, Loss, Projection};
use tally_read_model::{Error, Unit, bucket_of_view, projections, shard_of};
use tally_servers::{Redis, RedisCluster};

use crate::support::{Fixture, Projector, eventually, patient};

const SHARDS: u16 = 6;
const MASTERS: usize = 3;
const READ_EVERY: Duration = Duration::from_millis(2);
/// The client waits as long for an answer that went down with a node.
const PATIENCE: Duration = Duration::from_secs(2);

async fn on_cluster() -> (Fixture, RedisCluster) {
    let (database_url, cluster) = tokio::join!(tally_servers::fresh_database(), RedisCluster::temporary());
    let cluster = cluster.unwrap();
    let f = patient(database_url, cluster.url(), SHARDS, PATIENCE).await;
    (f, cluster)
}

async fn connect(node: &Redis) -> MultiplexedConnection {
    Client::open(node.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn tell(node: &Redis, command: &[&str]) {
    cmd(command[0]).arg(&command[1..]).exec_async(&mut connect(node).await).await.unwrap();
}

/// Which of the masters of the beginning has a key; the others refuse to talk of it.
async fn master_of(cluster: &RedisCluster, key: &str) -> usize {
    for (number, node) in cluster.nodes().iter().take(MASTERS).enumerate() {
        let asked: Result<bool, _> = Cmd::exists(key).query_async(&mut connect(node).await).await;
        if asked.is_ok() {
            return number;
        }
    }
    panic!("a master has every key");
}

/// The shards of a master, found by a key that each of them has.
async fn shards_of(f: &Fixture, cluster: &RedisCluster, master: usize) -> BTreeSet<u16> {
    let mut shards = BTreeSet::new();
    for shard in 0..SHARDS {
        if master_of(cluster, &f.key(projections::ORDER, shard, "checkpoint").await).await == master {
            shards.insert(shard);
        }
    }
    shards
}

async fn facts(projector: &Projector, name: &str) -> Option<Projection> {
    let all = projector.admin().await.list_projections(ListProjectionsRequest {}).await.ok()?.into_inner();
    all.projections.into_iter().find(|projection| projection.name == name)
}

async fn noticed(projector: &Projector, name: &str, kind: &str) -> Vec<Loss> {
    eventually(&format!("{name}: {kind}"), async || {
        let losses = facts(projector, name).await?.losses;
        let losses: Vec<Loss> = losses.into_iter().filter(|loss| loss.kind == kind).collect();
        (!losses.is_empty()).then_some(losses)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_is_promoted_and_rolled_back_while_views_are_read() {
    let (mut f, _cluster) = on_cluster().await;
    f.append_random(100).await;
    let projectors = [f.projector(&[]).await, f.projector(&[]).await];
    f.projected(f.head).await;
    let (model, projection) = (f.model.clone(), projections::ORDER_SUMMARIES);
    let reading = tokio::spawn(async move {
        let mut furthest = 0;
        loop {
            let page = model.page(projection, "status/OPEN", None, 1_000).await.expect("reads go on");
            assert!(page.position >= furthest || page.may_be_stale, "{} after {furthest}", page.position);
            furthest = page.position.max(furthest);
            tokio::time::sleep(READ_EVERY).await;
        }
    });
    f.run(&["rebuild", projection]).await.unwrap();
    f.append_random(40).await;
    f.projected(f.head).await;
    assert_eq!(f.checkpoint(projection).await.generation, 2);
    f.run(&["rollback", projection]).await.unwrap();
    f.append_random(20).await;
    f.projected(f.head).await;
    assert_eq!(f.checkpoint(projection).await.generation, 1);
    assert!(!reading.is_finished(), "reads failed");
    reading.abort();
    f.is_by_the_book().await;
    for projector in projectors {
        projector.ready(true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_master_lost_is_made_again_and_the_others_are_left_alone() {
    let (mut f, cluster) = on_cluster().await;
    f.append_random(150).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;

    let sku = "sku-0";
    let shard = shard_of(sku, SHARDS);
    let bucket = f.key(projections::STOCK, shard, &format!("views:{}", bucket_of_view(sku))).await;
    let node = &cluster.nodes()[master_of(&cluster, &bucket).await];
    tell(node, &["DEL", &bucket]).await;
    assert_eq!(f.model.get(projections::STOCK, sku).await, Err(Error::Lost));
    f.model.ring_missed(Unit { projection: projections::STOCK, shard }).await.unwrap();
    let losses = noticed(&projector, "stock", "views_missing").await;
    assert_eq!(losses.iter().map(|loss| loss.shard).collect::<Vec<_>>(), [i32::from(shard)]);
    f.is_by_the_book().await;

    // That of the first shard, which has the plans and what is kept of losses, too.
    let master = master_of(&cluster, &f.key(projections::ORDER, 0, "checkpoint").await).await;
    let emptied = shards_of(&f, &cluster, master).await;
    let (writer, unit) = (f.writer().await, |shard| Unit { projection: projections::ORDER, shard });
    let spared: Vec<u16> = (0..SHARDS).filter(|shard| !emptied.contains(shard)).collect();
    let mut untouched = Vec::new();
    for shard in &spared {
        untouched.push(writer.look(unit(*shard)).await.unwrap());
    }
    tell(&cluster.nodes()[master], &["FLUSHALL"]).await;
    let told = eventually("each shard is told of", async || {
        let losses = noticed(&projector, "order", "emptied").await;
        let told: BTreeSet<u16> = losses.iter().map(|loss| u16::try_from(loss.shard).unwrap()).collect();
        (told.len() == emptied.len()).then_some(told)
    })
    .await;
    assert_eq!(told, emptied);
    f.is_by_the_book().await;
    for (shard, before) in spared.iter().zip(untouched) {
        assert_eq!(writer.look(unit(*shard)).await.unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_writes_is_noticed_and_mended_and_no_answer_hides_it() {
    let (mut f, cluster) = on_cluster().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let master = master_of(&cluster, &f.key(projections::STOCK, 0, "checkpoint").await).await;
    let (master, replica) = (&cluster.nodes()[master], &cluster.nodes()[MASTERS + master]);
    // From here on the replica is not let in any more, and falls behind; and takes over, however long that was ago.
    tell(replica, &["CONFIG", "SET", "cluster-replica-validity-factor", "0"]).await;
    tell(replica, &["CONFIG", "SET", "masterauth", "another"]).await;
    tell(master, &["CLIENT", "KILL", "TYPE", "REPLICA"]).await;
    f.append_random(60).await;
    f.projected(f.head).await;
    let reached = f.head;
    let skus: Vec<String> = (0..50).map(|n| format!("sku-{n}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).filter(|sku| shard_of(sku, SHARDS) == 0).collect();
    for found in f.model.get_many(projections::STOCK, &skus).await {
        assert_eq!(found.unwrap().position, reached);
    }

    master.kill().await.unwrap();
    // Whoever was answered from the lost time is refused, or told so, until it is as it was.
    eventually("it is as it was", async || {
        let found = f.model.get_many(projections::STOCK, &skus).await;
        let found: Vec<_> = found.into_iter().flatten().collect();
        assert!(found.iter().all(|found| found.position >= reached || found.may_be_stale), "{found:?}");
        (found.len() == skus.len() && found.iter().all(|found| !found.may_be_stale)).then_some(())
    })
    .await;
    let told = noticed(&projector, "stock", "writes_lost").await;
    assert!(told.iter().any(|loss| loss.shard == 0 && loss.position == i64::try_from(reached).unwrap()), "{told:?}");
    f.append_random(20).await;
    f.is_by_the_book().await;
    projector.ready(true).await;
}
