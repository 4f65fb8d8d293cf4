//! The same on a real Redis Cluster.

use redis::{Client, cmd};
use tally_read_model::{Applied, Back, Batch, Role, Switched};
use tally_servers::RedisCluster;

use crate::support::{DEADLINE, FIRST, START, at, listed, sharded};

const SHARDS: u16 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_everything_is_as_on_one_server() {
    let cluster = RedisCluster::temporary().await.unwrap();
    let (model, writer) = sharded(&cluster.url(), SHARDS).await;
    let mut bells: Vec<_> = model.units("p").map(|unit| model.subscribe(unit)).collect();
    writer.claim().await.unwrap();
    for unit in model.units("p") {
        writer.check_settings(unit.shard).await.unwrap();
        writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
        let changes = (1..=50).map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n));
        let own: Vec<_> = changes.filter(|change| model.unit_of("p", &change.key) == unit).collect();
        let batch = Batch { views: own, ..Batch::default() };
        assert_eq!(writer.apply(unit, FIRST, None, (&START, &at(50)), &batch).await.unwrap(), Applied::Done);
    }
    assert_eq!(model.page("p", "l", None, 99).await.unwrap().entries.len(), 50);
    for n in 1..=50 {
        assert_eq!(model.get("p", &format!("k{n}")).await.unwrap().value.unwrap(), n.to_string());
    }
    // Rings are heard wherever the shard is, and wherever one listens.
    for (unit, bell) in model.units("p").zip(&mut bells) {
        while tokio::time::timeout(DEADLINE, bell.next()).await.unwrap() != Some(51) {
            let from = model.read_checkpoint(unit).await.unwrap().state;
            if from.position == 50 {
                writer.apply(unit, FIRST, None, (&from, &at(51)), &Batch::default()).await.unwrap();
            } else {
                break;
            }
        }
    }
    let second = tally_read_model::BuildId::first(2);
    for unit in model.units("p") {
        writer.start_build(unit, Some(FIRST), second, &at(51), Some(Role::Building), None).await.unwrap();
        assert_eq!(writer.switch(unit, (FIRST, second), false, Back::Never).await.unwrap(), Switched::Done);
        writer.sweep(unit, FIRST).await.unwrap();
        assert_eq!(writer.look(unit).await.unwrap().builds.into_keys().collect::<Vec<_>>(), [second]);
    }
    assert_eq!(model.page("p", "l", None, 99).await.unwrap().entries, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_master_dies_its_replica_takes_over_and_the_same_connection_goes_on() {
    let cluster = RedisCluster::temporary().await.unwrap();
    let (model, writer) = sharded(&cluster.url(), SHARDS).await;
    writer.claim().await.unwrap();
    for unit in model.units("p") {
        writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
    }
    cluster.kill_master(0).await.unwrap();
    let begun = std::time::Instant::now();
    for unit in model.units("p") {
        loop {
            let from = match model.read_checkpoint(unit).await {
                Ok(checkpoint) => checkpoint.state,
                Err(tally_read_model::Error::NotBuilt { .. }) => break,
                Err(_) => {
                    assert!(begun.elapsed() < DEADLINE * 2, "no failover");
                    continue;
                }
            };
            if from.position == 1 || writer.apply(unit, FIRST, None, (&from, &at(1)), &Batch::default()).await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_reads_views_follows_them_to_another_node() {
    let cluster = RedisCluster::temporary().await.unwrap();
    let (model, writer) = sharded(&cluster.url(), SHARDS).await;
    writer.claim().await.unwrap();
    for unit in model.units("p") {
        writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
    }
    let keys: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert!(model.get_many("p", &keys).await.into_iter().all(|found| found.is_ok()));

    // Each replica takes its master's place. The masters stay where they are, and know better from now on.
    for node in cluster.nodes() {
        let mut raw = Client::open(node.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let told: String = cmd("INFO").arg("replication").query_async(&mut raw).await.unwrap();
        if told.contains("role:slave") {
            cmd("CLUSTER").arg("FAILOVER").arg("TAKEOVER").exec_async(&mut raw).await.unwrap();
        }
    }
    let begun = std::time::Instant::now();
    while model.get_many("p", &keys).await.into_iter().any(|found| found.is_err()) {
        assert!(begun.elapsed() < DEADLINE, "views are not found where they are");
    }
}
