//! The probes and ports of the manifests, put to the processes that the manifests start.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::health::{LIVENESS, READINESS, is_serving};
use system_tests::{binary, eventually};

use super::components::with_all;
use super::rendered::{Workload, overlay, overlays, text};
use super::started::{Programs, Started};

/// The probes, and what each asks for.
const PROBES: [(&str, &str); 3] =
    [("startupProbe", LIVENESS), ("readinessProbe", READINESS), ("livenessProbe", LIVENESS)];

fn deployments() -> impl Iterator<Item = Workload<'static>> {
    overlays().iter().flat_map(|overlay| overlay.ours()).filter(Workload::is_deployment)
}

#[test]
fn probes_ask_on_the_port_that_the_process_is_told() {
    for deployment in deployments() {
        let name = deployment.name();
        let [port, metrics] = deployment.ports()[..] else { panic!("{name} has two ports") };
        assert_eq!(deployment.variable("TALLY_METRICS_LISTEN"), Some(format!("0.0.0.0:{metrics}")), "{name}");
        let listen = format!("{}_LISTEN", name.trim_end_matches("-service").to_uppercase());
        assert_eq!(deployment.variable(&listen), Some(format!("0.0.0.0:{port}")), "{name}");
        for (probe, service) in PROBES {
            let grpc = &deployment.container()[probe]["grpc"];
            assert_eq!(grpc["port"], port, "{name} {probe}");
            assert_eq!(grpc["service"].as_str().unwrap_or_default(), service, "{name} {probe}");
        }
    }
}

/// A misspelt variable is one that nobody reads.
#[test]
fn every_variable_is_one_that_its_program_knows() {
    for workload in overlays().iter().chain(with_all()).flat_map(|overlay| overlay.ours()) {
        let [program, action] = ["command", "args"].map(|field| text(&workload.container()[field][0]));
        // What all are told is for those who serve.
        let help = [action, "serve"].map(|action| {
            let output = Command::new(binary(program)).args([action, "--help"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        for (variable, _) in workload.variables() {
            let is_standard = variable.starts_with("OTEL_");
            let is_known = is_standard || help.iter().any(|help| help.contains(&format!("[env: {variable}")));
            assert!(is_known, "{}: {program} doesn't know {variable}", workload.name());
        }
    }
}

/// Services that disagree about it refuse to start.
#[test]
fn whoever_knows_of_read_shards_is_told_the_same_number() {
    for overlay in overlays() {
        let told: Vec<_> = overlay.ours().iter().filter_map(|workload| workload.variable("READ_SHARDS")).collect();
        assert_eq!(told, ["1", "1"], "{}", overlay.name);
        for workload in overlay.ours() {
            let [program, action] = ["command", "args"].map(|field| text(&workload.container()[field][0]));
            let output = Command::new(binary(program)).args([action, "--help"]).output().unwrap();
            let knows = String::from_utf8(output.stdout).unwrap().contains("[env: READ_SHARDS");
            assert_eq!(knows, workload.variable("READ_SHARDS").is_some(), "{}", workload.name());
        }
    }
}

#[tokio::test]
async fn every_probe_is_answered_and_the_end_comes_before_the_grace_is_over() {
    let Some(overlay) = overlay("dev") else { return };
    let started = Started::new(overlay, Programs::Built).await;
    for (deployment, process) in &started.processes {
        for (probe, _) in PROBES {
            let service = deployment.container()[probe]["grpc"]["service"].as_str().unwrap_or_default();
            let what = format!("{}: {probe}", process.name());
            eventually(&what, async || is_serving(process, service).await.then_some(())).await;
        }
    }
    for (deployment, process) in &started.processes {
        let began = Instant::now();
        let grace = deployment.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(process.stop().await.success(), "{}", process.name());
        assert!(began.elapsed() < Duration::from_secs(grace), "{}", process.name());
    }
}

#[test]
fn a_process_has_a_minute_to_start_and_is_not_restarted_for_one_missed_answer() {
    let number = |probe: &Value, field: &str, default: u64| probe[field].as_u64().unwrap_or(default);
    for deployment in deployments() {
        let (start, live) = (&deployment.container()["startupProbe"], &deployment.container()["livenessProbe"]);
        assert!(number(start, "periodSeconds", 10) * number(start, "failureThreshold", 3) >= 60);
        assert!(number(live, "failureThreshold", 3) >= 3);
    }
}
