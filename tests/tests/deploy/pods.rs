//! What every pod keeps to: the restricted profile, no token, bounds, and an end that is longer than the drain.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use system_tests::root;

use super::rendered::{Overlay, Variable, Workload, list, overlays, text};

/// The kinds of volumes that the restricted profile allows.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// All workloads of all overlays.
fn workloads() -> impl Iterator<Item = Workload<'static>> {
    overlays().iter().flat_map(|overlay| overlay.workloads())
}

#[test]
fn every_container_meets_the_restricted_profile() {
    workloads().for_each(meets_the_restricted_profile);
}

pub(super) fn meets_the_restricted_profile(workload: Workload<'_>) {
    let (pod, name) = (workload.pod(), workload.name());
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[shared].is_null(), "{name}: {shared}");
    }
    for volume in list(&pod["volumes"]) {
        let kinds: Vec<_> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        assert!(kinds.iter().all(|kind| VOLUMES.contains(&kind.as_str())), "{name}: {kinds:?}");
    }
    let for_all = &pod["securityContext"];
    for container in workload.containers() {
        let its_own = &container["securityContext"];
        let either = |field: &str| if its_own[field].is_null() { &for_all[field] } else { &its_own[field] };
        assert_eq!(*either("runAsNonRoot"), true, "{name}");
        assert!(either("runAsUser").as_u64().is_some_and(|user| user > 0), "{name}: a number that is not root's");
        assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{name}");
        assert_eq!(its_own["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(its_own["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        // Further than the profile goes.
        assert_eq!(its_own["readOnlyRootFilesystem"], true, "{name}");
        for field in ["privileged", "procMount", "seLinuxOptions", "windowsOptions", "appArmorProfile"] {
            assert!(either(field).is_null(), "{name}: {field}");
        }
        assert!(for_all["sysctls"].is_null(), "{name}");
        assert!(list(&container["ports"]).all(|port| port["hostPort"].is_null()), "{name}");
    }
}

#[test]
fn the_namespace_demands_the_restricted_profile() {
    for overlay in overlays() {
        let namespaces: Vec<&Value> = overlay.all("Namespace").collect();
        let [namespace] = namespaces[..] else { panic!("{}: one namespace", overlay.name) };
        assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
        for workload in overlay.workloads() {
            assert_eq!(workload.object["metadata"]["namespace"], namespace["metadata"]["name"]);
        }
    }
}

#[test]
fn every_workload_has_an_account_of_its_own_and_no_token() {
    overlays().iter().for_each(each_has_an_account_of_its_own);
}

pub(super) fn each_has_an_account_of_its_own(overlay: &Overlay) {
    let mut accounts = BTreeSet::new();
    for workload in overlay.workloads() {
        let name = text(&workload.pod()["serviceAccountName"]);
        let account = overlay.find("ServiceAccount", name).unwrap_or_else(|| panic!("there is an account {name}"));
        assert_eq!(account["automountServiceAccountToken"], false, "{name}");
        assert_eq!(workload.pod()["automountServiceAccountToken"], false, "{name}");
        assert!(accounts.insert(name), "{name} is used twice");
    }
    assert_eq!(accounts.len(), overlay.all("ServiceAccount").count(), "{}: none is left over", overlay.name);
}

#[test]
fn every_container_has_requests_a_memory_limit_and_an_image_of_a_version() {
    workloads().for_each(is_bounded_and_of_a_version);
}

pub(super) fn is_bounded_and_of_a_version(workload: Workload<'_>) {
    for container in workload.containers() {
        let (name, resources) = (workload.name(), &container["resources"]);
        let quantities =
            [&resources["requests"]["cpu"], &resources["requests"]["memory"], &resources["limits"]["memory"]];
        assert!(quantities.iter().all(|quantity| quantity.is_string()), "{name}: {resources}");
        // A limit on the processor only delays: it is the requests that are shared out.
        assert!(resources["limits"]["cpu"].is_null(), "{name}");
        let image = text(&container["image"]);
        assert!(image.rsplit('/').next().unwrap().contains(':') && !image.ends_with(":latest"), "{name}: {image}");
    }
}

#[test]
fn the_grace_is_longer_than_pre_stop_and_drain() {
    for workload in overlays().iter().flat_map(|overlay| overlay.ours()).filter(Workload::is_deployment) {
        let name = workload.name();
        let grace_ms = workload.pod()["terminationGracePeriodSeconds"].as_u64().expect("a grace period") * 1000;
        let pre_stop = &workload.container()["lifecycle"]["preStop"];
        let pre_stop_ms = pre_stop["sleep"]["seconds"].as_u64().unwrap_or_default() * 1000;
        let drain_ms: u64 = workload.variable("TALLY_DRAIN_TIMEOUT_MS").expect("a drain time-out").parse().unwrap();
        assert!(grace_ms >= pre_stop_ms + drain_ms + 5_000, "{name}: {grace_ms} {pre_stop_ms} {drain_ms}");

        // Whoever is called waits until nobody new comes. The image has no shell, so the kubelet does the sleeping.
        let is_called = workload.overlay.find("Service", name).is_some();
        assert_eq!(pre_stop_ms >= 3_000, is_called, "{name}: {pre_stop}");
        assert!(pre_stop["exec"].is_null(), "{name}");
    }
}

#[test]
fn every_secret_that_is_referred_to_is_there_or_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    for overlay in overlays() {
        for workload in overlay.ours() {
            for (variable, value) in workload.variables() {
                let Variable::Secret { name, key } = value else {
                    assert!(!variable.ends_with("_URL"), "{variable} holds a password: by reference");
                    continue;
                };
                let made_by_hand = format!("secret generic {name} --from-literal={key}=");
                let is_there = overlay.secret(&name, &key).is_some();
                assert!(is_there || readme.contains(&made_by_hand), "{}: {name} {key}", overlay.name);
            }
        }
    }
    // Production's are somebody's care who is not this repository.
    let prod = overlays().iter().find(|overlay| overlay.name == "prod");
    assert_eq!(prod.map_or(0, |prod| prod.all("Secret").count()), 0);
}
