//! The component redis-cluster: what it says, and that its scripts make one cluster of real servers with its settings, on which Tally runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use redis::Client;
use serde_json::{Value, json};
use system_tests::client::{RustClient, TallyClient};
use system_tests::{PATIENCE, Tally, target_dir, within};
use tally_servers::RedisCluster;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::components::with_all;
use super::pods;
use super::rendered::{Overlay, list, selects, text};
use super::users;

const NAME: &str = "redis-cluster";
/// The data of all nodes.
const PORT: u64 = 6379;

fn set(overlay: &Overlay) -> &Value {
    &overlay.find("StatefulSet", NAME).unwrap()["spec"]
}

/// A ConfigMap by its name before the hash of what it says.
fn config<'a>(overlay: &'a Overlay, name: &str) -> &'a Value {
    let is_meant = |map: &&Value| {
        let (known, hash) = text(&map["metadata"]["name"]).rsplit_once('-').unwrap();
        known == name && hash.len() == 10
    };
    &overlay.all("ConfigMap").find(is_meant).unwrap_or_else(|| panic!("there is a ConfigMap {name}"))["data"]
}

#[test]
fn its_nodes_are_those_that_the_scripts_are_told_of() {
    let Some(overlay) = with_all() else { return };
    let set = set(overlay);
    let service = text(&set["serviceName"]);
    let told: Vec<&str> = text(&config(overlay, "redis-cluster-nodes")["NODES"]).split_whitespace().collect();
    let nodes: Vec<String> =
        (0..set["replicas"].as_u64().unwrap()).map(|node| format!("{NAME}-{node}.{service}:{PORT}")).collect();
    assert_eq!(told, nodes);
    assert_eq!(nodes.len(), 6, "three masters and a replica of each");
    let headless = &overlay.find("Service", service).unwrap()["spec"];
    assert_eq!(headless["clusterIP"], "None");
    assert_eq!(headless["publishNotReadyAddresses"], true, "who is not ready must be found to become so");
    assert_eq!(set["podManagementPolicy"], "Parallel", "none is ready before all are there");
    // The volumes outlive the pods, and what is written there is said by the settings.
    assert_eq!(set["volumeClaimTemplates"][0]["metadata"]["name"], "data");
    let settings = text(&config(overlay, NAME)["redis.conf"]);
    for line in ["cluster-enabled yes", "dir /data", "maxmemory-policy noeviction", "appendonly yes"] {
        assert!(settings.lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn its_pods_keep_to_what_all_pods_keep_to() {
    let Some(overlay) = with_all() else { return };
    overlay.workloads().into_iter().for_each(pods::meets_the_restricted_profile);
    overlay.workloads().into_iter().for_each(pods::is_bounded_and_of_a_version);
    pods::each_has_an_account_of_its_own(overlay);
    let budget = &overlay.find("PodDisruptionBudget", NAME).unwrap()["spec"];
    assert_eq!(budget["maxUnavailable"], 1, "one node at a time");
    let pods = &set(overlay)["template"]["metadata"]["labels"];
    assert!(selects(&budget["selector"], pods) && selects(&set(overlay)["selector"], pods));
}

#[test]
fn tally_is_told_of_it_and_divides_its_views() {
    let Some(overlay) = with_all() else { return };
    let shards: BTreeSet<String> = overlay.ours().iter().filter_map(|it| it.variable("READ_SHARDS")).collect();
    assert_eq!(shards, BTreeSet::from(["12".to_owned()]), "more than there are masters");
    let redis = |workload: &super::rendered::Workload<'_>| workload.stores().contains(&"redis");
    assert_eq!(overlay.ours().into_iter().filter(redis).count(), 3);
}

/// (from, to, port) of all policies between pods of the namespace, as one end has them or the other.
fn edges(overlay: &Overlay, direction: &str, peers: &str, to_other: bool) -> BTreeSet<(String, String, u64)> {
    let mut edges = BTreeSet::new();
    for policy in overlay.all("NetworkPolicy") {
        for rule in list(&policy["spec"][direction]) {
            for peer in
                list(&rule[peers]).filter(|peer| peer["namespaceSelector"].is_null() && peer["ipBlock"].is_null())
            {
                for one in overlay.workloads().iter().filter(|it| selects(&policy["spec"]["podSelector"], it.labels()))
                {
                    for other in overlay.workloads().iter().filter(|it| selects(&peer["podSelector"], it.labels())) {
                        let (from, to) = if to_other { (one, other) } else { (other, one) };
                        for port in list(&rule["ports"]) {
                            edges.insert((from.app().to_owned(), to.app().to_owned(), port["port"].as_u64().unwrap()));
                        }
                    }
                }
            }
        }
    }
    edges
}

#[test]
fn each_of_its_edges_is_let_out_at_one_end_and_in_at_the_other() {
    let Some(overlay) = with_all() else { return };
    let from = ["command-service", "projector", "query-service", "redis-cluster-form", NAME];
    let mut expected: BTreeSet<_> = from.map(|from| (from.to_owned(), NAME.to_owned(), PORT)).into();
    expected.insert((NAME.to_owned(), NAME.to_owned(), 16_379));
    assert_eq!(edges(overlay, "egress", "to", true), expected);
    assert_eq!(edges(overlay, "ingress", "from", false), expected);
    let ports = &set(overlay)["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(list(ports).map(|port| port["containerPort"].as_u64().unwrap()).collect::<Vec<_>>(), [PORT, 16_379]);
    // All of them ask for names.
    for name in [NAME, "redis-cluster-form"] {
        let labels = json!({"app.kubernetes.io/name": name});
        let dns = &overlay.find("NetworkPolicy", "redis-cluster-to-dns").unwrap()["spec"];
        assert!(selects(&dns["podSelector"], &labels), "{name}");
    }
}

/// The files of the ConfigMap, as they are mounted.
fn scripts(overlay: &Overlay) -> PathBuf {
    let folder = target_dir().join("system-tests").join(format!("redis-cluster-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, content) in config(overlay, NAME).as_object().unwrap() {
        std::fs::write(folder.join(name), text(content)).unwrap();
    }
    folder
}

/// Runs what the container of the Job runs.
fn form(overlay: &Overlay, folder: &Path, cluster: &RedisCluster) -> Child {
    let job = &overlay.find("Job", "redis-cluster-form").unwrap()["spec"]["template"]["spec"]["containers"][0];
    let [shell, script] = list(&job["command"]).map(text).collect::<Vec<_>>()[..] else { panic!("{job}") };
    let nodes: Vec<String> = cluster.nodes().iter().map(|node| format!("localhost:{}", node.port())).collect();
    Command::new(shell)
        .arg(folder.join(Path::new(script).file_name().unwrap()))
        .env("NODES", nodes.join(" "))
        .env(text(&job["env"][0]["name"]), cluster.password())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ask(cluster: &RedisCluster, node: usize, what: &str) -> String {
    let client = Client::open(cluster.nodes()[node].url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CLUSTER").arg(what).query_async(&mut connection).await.unwrap()
}

/// Who is whose replica: (id, master's id or nothing, slots).
async fn topology(cluster: &RedisCluster) -> BTreeSet<(String, String, String)> {
    let nodes = ask(cluster, 0, "NODES").await;
    let fields = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.map(|it| (it[0].to_owned(), it[3].to_owned(), it[8..].join(" "))).collect()
}

#[tokio::test]
async fn the_job_makes_one_cluster_also_after_it_was_cut_off_and_tally_runs_on_it() {
    let Some(overlay) = with_all() else { return };
    let folder = scripts(overlay);
    let settings = text(&config(overlay, NAME)["redis.conf"]).to_owned();
    // Where and at which port is this test's own.
    let shipped = settings.lines().filter(|line| !line.starts_with("port ") && !line.starts_with("dir "));
    let shipped: Vec<&str> = shipped.chain(["cluster-announce-hostname localhost"]).collect();
    let cluster = RedisCluster::unformed(&shipped.join("\n")).await.unwrap();

    let mut cut_off = form(overlay, &folder, &cluster);
    let mut lines = BufReader::new(cut_off.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("knows its master") {
            break;
        }
    }
    cut_off.kill().await.unwrap();
    let output = form(overlay, &folder, &cluster).wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for node in 0..cluster.nodes().len() {
        let info = ask(&cluster, node, "INFO").await;
        for fact in ["cluster_state:ok", "cluster_slots_assigned:16384", "cluster_known_nodes:6", "cluster_size:3"] {
            assert!(info.contains(fact), "{fact}: {info}");
        }
    }
    let formed = topology(&cluster).await;
    let masters: BTreeSet<&String> = formed.iter().filter(|it| it.1 == "-").map(|it| &it.0).collect();
    let followed: BTreeSet<&String> = formed.iter().filter(|it| it.1 != "-").map(|it| &it.1).collect();
    assert_eq!((masters.len(), &masters), (3, &followed), "a replica of each: {formed:?}");

    let again = form(overlay, &folder, &cluster).wait_with_output().await.unwrap();
    assert!(again.status.success());
    assert_eq!(topology(&cluster).await, formed, "what is there is left as it is");

    let shards = overlay.ours().iter().find_map(|it| it.variable("READ_SHARDS")).unwrap();
    let address = format!("redis://:{}@localhost:{}", cluster.password(), cluster.nodes()[0].port());
    // Who is patient with servers that never go away is no good here.
    let times = ["PROJECTOR_REDIS_READ_MS_MAX", "PROJECTOR_REDIS_WRITE_MS_MAX", "REDIS_READ_MS_MAX"];
    let times = times.map(|name| (name, "2000"));
    let environment = [[("REDIS_URL", address.as_str()), ("READ_SHARDS", &shards)].as_slice(), &times].concat();
    let tally = Tally::start_with_environment(&environment).await;
    // Each process with its own user, of which every node knows.
    for node in cluster.nodes() {
        users::make_users(node, users::of_tests(), &tally.log).await;
    }
    let place = format!("localhost:{}", cluster.nodes()[0].port());
    let command = users::as_user(&tally, &tally.command, &place, "command").await;
    let _projector = users::as_user(&tally, &tally.projector, &place, "projector").await;
    let query = users::as_user(&tally, &tally.query, &place, "query").await;
    let client = RustClient::new(command.address(), query.address());
    for number in 0..20 {
        client.create_batch(&format!("b{number}"), &format!("LAMP-{number}"), 5, None).await.unwrap();
    }
    for number in 0..20 {
        let receipt = client.allocate("o1", &format!("LAMP-{number}"), 1).await.unwrap();
        let stock = client.get_stock(&format!("LAMP-{number}"), &receipt.seen().or_fail()).await.unwrap();
        assert_eq!(stock.available_now, 4);
    }
    for node in cluster.nodes() {
        let mut admin = Client::open(node.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let denied: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut admin).await.unwrap();
        assert!(denied.is_empty(), "nobody was refused anything: {denied:?}");
    }
    cluster.kill_master(1).await.unwrap();
    within(3 * PATIENCE, "all views are kept and read without one of the masters", async || {
        for number in 0..20 {
            let receipt = client.allocate("o2", &format!("LAMP-{number}"), 1).await.ok()?;
            let stock = client.get_stock(&format!("LAMP-{number}"), &receipt.seen().or_fail()).await.ok()?;
            assert_eq!(stock.available_now, 3);
        }
        Some(())
    })
    .await;
    std::fs::remove_dir_all(folder).unwrap();
}
