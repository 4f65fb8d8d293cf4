//! Which crate may use which: the architecture, as cargo sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use system_tests::root;

/// What `cargo metadata` says, for this platform.
pub(super) static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["metadata", "--format-version", "1", "--filter-platform", host]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
});

/// What each crate of ours may use of ours, tests aside. `command-service` uses the read model for its bell alone.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("tally-domain", &[]),
    ("tally-receipt", &[]),
    ("tally-api", &[]),
    ("tally-servers", &[]),
    ("tally-read-model", &[]),
    ("tally-runtime", &["tally-api"]),
    ("tally-event-store", &["tally-domain"]),
    (
        "command-service",
        &["tally-domain", "tally-event-store", "tally-api", "tally-receipt", "tally-runtime", "tally-read-model"],
    ),
    ("projector", &["tally-domain", "tally-event-store", "tally-api", "tally-read-model", "tally-runtime"]),
    ("query-service", &["tally-api", "tally-event-store", "tally-read-model", "tally-receipt", "tally-runtime"]),
];
/// What may use anything.
const FREE: [&str; 4] = ["tally-local", "system-tests", "torture", "bench"];

/// Our packages.
fn members() -> Vec<&'static Value> {
    let members: BTreeSet<&str> = texts(&METADATA["workspace_members"]);
    packages().filter(|package| package["id"].as_str().is_some_and(|id| members.contains(id))).collect()
}

pub(super) fn packages() -> impl Iterator<Item = &'static Value> {
    METADATA["packages"].as_array().unwrap().iter()
}

fn texts(values: &'static Value) -> BTreeSet<&'static str> {
    values.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// The names of what a package uses, tests and build scripts aside.
fn used(package: &'static Value) -> BTreeSet<&'static str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
        .collect()
}

#[test]
fn dependencies_go_the_way_of_the_architecture() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let names: BTreeSet<&str> = members().iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(names.len() > 10, "{names:?}");
    for package in members() {
        let name = package["name"].as_str().unwrap();
        if FREE.contains(&name) {
            continue;
        }
        let allowed = may_use.get(name).unwrap_or_else(|| panic!("{name}: say what it may use"));
        for used in used(package).intersection(&names) {
            assert!(allowed.contains(used), "{name} may not use {used}");
        }
    }
}

#[test]
fn the_domain_uses_next_to_nothing() {
    let domain = members().into_iter().find(|package| package["name"] == "tally-domain").unwrap();
    let expected = BTreeSet::from(["serde", "serde_json", "thiserror", "uuid"]);
    assert!(used(domain).is_subset(&expected), "{:?}", used(domain));
}

#[test]
fn only_the_stores_speak_to_the_stores() {
    for package in members() {
        let name = package["name"].as_str().unwrap();
        let used = used(package);
        let drivers =
            [("sqlx", &["tally-event-store", "tally-servers"][..]), ("redis", &["tally-read-model", "tally-servers"])];
        for (driver, allowed) in drivers {
            let may = allowed.contains(&name) || FREE.contains(&name);
            assert!(may || !used.contains(driver), "{name} uses {driver}");
        }
    }
}

#[test]
fn versions_and_lints_are_the_workspaces() {
    for package in members() {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        let name = package["name"].as_str().unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} has lints of its own");
        let dependencies = manifest
            .split("\n[")
            .filter(|section| section.starts_with("dependencies]") || section.starts_with("dev-dependencies]"));
        for line in dependencies.flat_map(|section| section.lines().skip(1)).filter(|line| line.contains('=')) {
            assert!(line.contains("workspace = true"), "{name} has a version of its own: {line}");
        }
    }
}

#[test]
fn crates_are_what_they_say() {
    for package in members() {
        let description = package["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{} has no description that is a sentence", package["name"]);
        assert_eq!(package["license"], "Apache-2.0");
    }
}
