//! A rolling upgrade: replica after replica goes and comes again under load, and no call fails.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::client::{ReadAfter, TallyClient};
use system_tests::health::until_ready;
use system_tests::{Service, Tally, clients_venv, root, views_equal_fold};

/// Restarts, of all replicas in turn.
const RESTARTS: usize = 20;

/// Of calls that the load made at least, each a command and the read of it.
const CALLS_MIN: u64 = 100;

/// A replica that comes back where it was, as a pod's successor stands behind the same name.
async fn on_a_port_of_its_own(tally: &Tally, service: &Service, name: &str) -> Service {
    let mut launch = service.launched().clone();
    let variable = if launch.program == "command-service" { "COMMAND_LISTEN" } else { "QUERY_LISTEN" };
    launch.environment.retain(|(name, _)| *name != variable);
    launch.environment.push((variable, format!("127.0.0.1:{}", tally_servers::free_port().unwrap())));
    let service = Service::start(launch, tally.folder().join(format!("{name}.log"))).await.unwrap();
    until_ready(&service, true).await;
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_rolling_restarts_at_half_load_and_no_call_fails_after_one_retry() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 1_000_000).await;
    tally.client().get_stock("LAMP", &ReadAfter::position(2).or_fail()).await.unwrap();
    let mut replicas = Vec::new();
    for name in ["command-a", "command-b"] {
        replicas.push(on_a_port_of_its_own(&tally, &tally.command, name).await);
    }
    for name in ["query-a", "query-b"] {
        replicas.push(on_a_port_of_its_own(&tally, &tally.query, name).await);
    }
    let other = tally.another(&tally.projector).await;
    for projector in [&tally.projector, &other] {
        until_ready(projector, true).await;
    }
    let addresses = |replicas: &[Service]| format!("{},{}", replicas[0].address(), replicas[1].address());
    let venv = clients_venv();
    let mut load = Command::new(venv.program("python"))
        .arg(root().join("tests/clients/rolling.py"))
        .arg(root().join("deploy/service-config.json"))
        .args([addresses(&replicas[..2]), addresses(&replicas[2..])])
        .env("PYTHONPATH", venv.stubs())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(load.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "half of what was measured");

    // One of each kind and then the others, so that each has a while to be found again.
    let [command_a, command_b, query_a, query_b] = &replicas[..] else { panic!("two of each") };
    let order = [command_a, query_a, &tally.projector, command_b, query_b, &other];
    for replica in order.into_iter().cycle().take(RESTARTS) {
        assert!(replica.stop().await.success(), "{}", replica.name());
        replica.start_again().await;
        until_ready(replica, true).await;
    }
    drop(load.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(load.wait().unwrap().success());
    let outcome: Value = serde_json::from_str(&rest).unwrap_or_else(|error| panic!("{error}: {rest}"));
    assert_eq!(outcome["failed"], 0, "{outcome}");
    assert_eq!(outcome["stale"], 0, "{outcome}");
    let [rate, measured] = ["rate", "measured"].map(|field| outcome[field].as_f64().unwrap());
    assert!((0.2..0.6).contains(&(rate / measured)), "about half of what was measured: {outcome}");
    assert!(outcome["good"].as_u64().unwrap() > CALLS_MIN, "there was a load: {outcome}");
    views_equal_fold(&tally).await;
}
