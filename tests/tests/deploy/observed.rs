//! Which stores the processes really connect to: the NetworkPolicies' edges, looked at from the other side.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;

use system_tests::client::{RustClient, TallyClient};
use system_tests::health::{READINESS, is_serving};
use system_tests::{PATIENCE, eventually, within};

use super::rendered::overlay;
use super::started::{Programs, Started};

/// In /proc/net/tcp: a connection that stands.
const ESTABLISHED: &str = "01";

/// The ports that a process has connections to.
fn connected_to(pid: u32) -> BTreeSet<u16> {
    let files =
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let sockets: BTreeSet<String> =
        files.filter_map(|file| Some(file.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let connections = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    connections
        .filter(|fields| fields[3] == ESTABLISHED && sockets.contains(fields[9]))
        .map(|fields| u16::from_str_radix(fields[2].split_once(':').unwrap().1, 16).unwrap())
        .collect()
}

#[tokio::test]
async fn every_process_connects_to_the_stores_of_its_edges_and_to_no_other() {
    let Some(overlay) = overlay("dev") else { return };
    let started = Started::new(overlay, Programs::Built).await;
    for (_, process) in &started.processes {
        eventually(process.name(), async || is_serving(process, READINESS).await.then_some(())).await;
    }
    // A command and the read of it: the bell has been rung then, too.
    let client =
        RustClient::new(started.process("command-service").address(), started.process("query-service").address());
    let receipt = client.create_batch("b1", "LAMP", 5, None).await.unwrap();
    let stock = client.get_stock("LAMP", &receipt.seen()).await.unwrap();
    assert_eq!((stock.available_now, stock.freshness.may_be_stale), (5, false));
    // query-service reads the log when somebody asks for events, and not before.
    client.subscribe(0, 1).await.unwrap();

    let stores = [("postgres", started.postgres.port()), ("redis", started.redis.port())];
    for (deployment, process) in &started.processes {
        let expected: BTreeSet<&str> = deployment.stores().into_iter().collect();
        within(PATIENCE, &format!("{} is connected to {expected:?}", process.name()), async || {
            let connected = connected_to(process.process().pid());
            let stores = stores.into_iter().filter(|(_, port)| connected.contains(port)).map(|(store, _)| store);
            let stores: BTreeSet<&str> = stores.collect();
            assert!(stores.is_subset(&expected), "{} is connected to {stores:?}", process.name());
            (stores == expected).then_some(())
        })
        .await;
    }
}
