//! deploy/compose.yaml: the parts that the schema can't know.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};
use system_tests::{binary, root};

use super::rendered::{list, text};

const TALLY: [&str; 4] = ["command-service", "migration", "projector", "query-service"];

fn services() -> Map<String, Value> {
    let text = std::fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let mut compose: Value = serde_saphyr::from_str(&text).unwrap();
    compose["services"].as_object_mut().map(std::mem::take).unwrap()
}

#[test]
fn everything_that_is_mounted_is_in_the_repository() {
    let services = services();
    let mounts = services.values().flat_map(|service| list(&service["volumes"]));
    let files: Vec<&Path> = mounts
        .filter_map(|mount| text(mount).split_once(':').filter(|(source, _)| source.starts_with("./")))
        .map(|(source, _)| Path::new(source))
        .collect();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        assert!(root().join("deploy").join(file).exists(), "{}", file.display());
    }
}

#[test]
fn tallys_containers_run_what_there_is_with_variables_that_it_knows() {
    let services = services();
    for name in TALLY {
        let service = &services[name];
        let command: Vec<&str> = list(&service["command"]).map(text).collect();
        let output = Command::new(binary(command[0])).args([command[1], "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for (variable, value) in service["environment"].as_object().unwrap() {
            assert!(help.contains(&format!("[env: {variable}")), "{name}: nobody reads {variable}");
            let Some((_, port)) = text(value)
                .rsplit_once(':')
                .filter(|_| variable.ends_with("_LISTEN") && variable != "TALLY_METRICS_LISTEN")
            else {
                continue;
            };
            let published: Vec<&str> = list(&service["ports"]).map(text).collect();
            let expected = format!("127.0.0.1:{port}:{port}");
            assert!(published.is_empty() || published == [expected], "{name}: {published:?}");
        }
        for (field, value) in
            [("read_only", true.into()), ("user", "65532:65532".into()), ("cap_drop", vec!["ALL"].into())]
        {
            let value: Value = value;
            assert_eq!(service[field], value, "{name}: {field}");
        }
    }
}

#[test]
fn nobody_starts_before_what_it_needs() {
    let services = services();
    let waits = |name: &str, other: &str| services[name]["depends_on"][other]["condition"].as_str().map(str::to_owned);
    for name in ["command-service", "projector"] {
        assert_eq!(waits(name, "migration").as_deref(), Some("service_completed_successfully"), "{name}");
    }
    for (name, service) in &services {
        for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains_key(other), "{name} waits for {other}");
            let is_healthy = condition["condition"] == "service_healthy";
            assert!(!is_healthy || services[other]["healthcheck"].is_object(), "{other} says whether it is healthy");
        }
    }
}

#[test]
fn prometheus_watches_services_that_there_are_and_grafana_asks_it() {
    let services = services();
    let read = |file: &str| -> Value {
        let text = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let prometheus = read("prometheus/prometheus.yaml");
    let jobs = list(&prometheus["scrape_configs"]).flat_map(|job| list(&job["static_configs"]));
    let targets: Vec<&str> = jobs.flat_map(|config| list(&config["targets"])).map(text).collect();
    assert!(!targets.is_empty());
    for target in targets {
        assert!(services.contains_key(target.split_once(':').unwrap().0), "{target}");
    }
    assert_eq!(read("grafana/datasources/prometheus.yaml")["datasources"][0]["url"], "http://prometheus:9090");
}
