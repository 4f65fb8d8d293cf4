//! deploy/service-config.json: what gRPC clients repeat by themselves, and that they do.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use prost_reflect::DescriptorPool;
use serde_json::{Value, json};
use system_tests::{clients_venv, root};

use super::rendered::{list, text};

fn path() -> std::path::PathBuf {
    root().join("deploy/service-config.json")
}

fn config() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

/// What operators do is done once, and looked at: a second RollBackRebuild is another one.
const NOT_REPEATED: &str = "tally.projections.v1.ProjectionAdminService";

/// The services of the API whose calls can be repeated: all for clients. Commands by their command_id.
fn api() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(tally_api::FILE_DESCRIPTOR_SET).unwrap();
    let services = pool.services().map(|service| service.full_name().to_owned());
    let services: BTreeSet<String> = services.filter(|name| name.starts_with("tally.")).collect();
    assert!(services.contains(NOT_REPEATED));
    services.into_iter().filter(|name| name != NOT_REPEATED).collect()
}

#[test]
fn every_service_of_the_api_has_one_policy() {
    let config = config();
    let mut seen = BTreeMap::<&str, usize>::new();
    for name in list(&config["methodConfig"]).flat_map(|method| list(&method["name"])) {
        assert!(name["method"].is_null(), "whole services: {name}");
        *seen.entry(text(&name["service"])).or_default() += 1;
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    assert_eq!(seen.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), api());
}

#[test]
fn only_what_had_no_effect_or_has_it_once_is_repeated() {
    for method in list(&config()["methodConfig"]) {
        let policy = &method["retryPolicy"];
        assert_eq!(policy["retryableStatusCodes"], json!(["UNAVAILABLE", "RESOURCE_EXHAUSTED"]));
        // More than 5 are 5 for gRPC.
        assert!((2..=5).contains(&policy["maxAttempts"].as_u64().unwrap()), "{policy}");
        assert!(method["waitForReady"].is_null(), "a caller without a deadline would wait for ever");
    }
    assert!(config()["retryThrottling"]["maxTokens"].is_number(), "an outage is not made worse");
}

/// A server that refuses, a client that was given the file: gRPC's own C core, as most languages use it.
#[test]
fn a_client_that_is_given_it_repeats_what_may_be_repeated() {
    let venv = clients_venv();
    let script = root().join("tests/clients/retry_policy.py");
    let output = Command::new(venv.program("python")).arg(script).arg(path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let attempts: Value = serde_json::from_slice(&output.stdout).unwrap();
    for service in api() {
        let attempts = &attempts[&service];
        assert_eq!(attempts["UNAVAILABLE"], json!(["OK", 3]), "{service}");
        assert_eq!(attempts["RESOURCE_EXHAUSTED"], json!(["OK", 3]), "{service}");
        for code in ["ABORTED", "FAILED_PRECONDITION", "ALREADY_EXISTS", "INTERNAL", "DEADLINE_EXCEEDED"] {
            assert_eq!(attempts[code], json!([code, 1]), "{service}");
        }
    }
}
