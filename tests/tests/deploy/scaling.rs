//! Who decides how many pods there are: an autoscaler or the manifest, never both.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rendered::{Overlay, overlays, text};

/// The autoscalers, by the Deployment that they scale.
fn autoscalers(overlay: &Overlay) -> BTreeMap<&str, &Value> {
    let scalers = overlay.all("HorizontalPodAutoscaler").map(|scaler| {
        let target = &scaler["spec"]["scaleTargetRef"];
        assert_eq!((text(&target["apiVersion"]), text(&target["kind"])), ("apps/v1", "Deployment"));
        (text(&target["name"]), &scaler["spec"])
    });
    scalers.collect()
}

#[test]
fn an_autoscaled_deployment_sets_no_replicas_and_every_other_does() {
    for overlay in overlays() {
        let autoscalers = autoscalers(overlay);
        for workload in overlay.workloads().iter().filter(|workload| workload.is_deployment()) {
            let replicas = &workload.object["spec"]["replicas"];
            let is_scaled = autoscalers.contains_key(workload.name());
            assert_eq!(replicas.is_null(), is_scaled, "{}: {}", overlay.name, workload.name());
        }
    }
}

#[test]
fn command_and_query_are_scaled_by_what_they_request() {
    for overlay in overlays() {
        let autoscalers = autoscalers(overlay);
        assert_eq!(autoscalers.keys().copied().collect::<Vec<_>>(), ["command-service", "query-service"]);
        for (name, scaler) in autoscalers {
            let (least, most) = (scaler["minReplicas"].as_u64().unwrap(), scaler["maxReplicas"].as_u64().unwrap());
            assert!(least < most, "{name}");
            if overlay.name == "prod" {
                assert!(least >= 3, "{name}: one is drained, one fails, one is left");
            }
            assert_eq!(scaler["metrics"][0]["resource"]["name"], "cpu", "{name}");
            assert_eq!(scaler["metrics"][0]["resource"]["target"]["type"], "Utilization", "{name}");
        }
    }
}

#[test]
fn projectors_share_the_work_and_none_goes_before_another_has_come() {
    for overlay in overlays() {
        let projector = &overlay.find("Deployment", "projector").unwrap()["spec"];
        let count = projector["replicas"].as_u64().unwrap();
        assert_eq!(count, if overlay.name == "dev" { 1 } else { 2 }, "{}", overlay.name);
        let strategy = &projector["strategy"];
        assert!(strategy["type"].is_null() || strategy["type"] == "RollingUpdate", "{strategy}");
        assert_eq!(strategy["rollingUpdate"], serde_json::json!({"maxSurge": 1, "maxUnavailable": 0}));
        // A new version of a projection is ready when its views are made anew, and that may take long.
        assert!(projector["progressDeadlineSeconds"].as_u64().is_some_and(|seconds| seconds >= 3600));
    }
}

#[test]
fn the_migration_of_each_version_is_a_job_of_its_own() {
    for overlay in overlays() {
        let migration = overlay.all("Job").next().unwrap();
        let image = text(&migration["spec"]["template"]["spec"]["containers"][0]["image"]);
        let (_, version) = image.rsplit_once(':').unwrap();
        assert_eq!(migration["metadata"]["name"], format!("migration-{version}"), "{}", overlay.name);
        // So that whoever looks at a failed one finds its log.
        assert_eq!(migration["spec"]["template"]["spec"]["restartPolicy"], "Never");
    }
}

/// An upgrade applies all but the services first: the selector of deploy/README.md.
#[test]
fn what_the_migration_needs_can_be_applied_before_the_services() {
    for overlay in overlays() {
        let is_early = |object: &Value| {
            let name = object["metadata"]["labels"]["app.kubernetes.io/name"].as_str().unwrap_or_default();
            !["command-service", "projector", "query-service"].contains(&name)
        };
        let migration = overlay.ours().into_iter().find(|workload| workload.app() == "migration").unwrap();
        let (pod, container) = (migration.pod(), migration.container());
        let account = ("ServiceAccount", &pod["serviceAccountName"]);
        let settings = ("ConfigMap", &container["envFrom"][0]["configMapRef"]["name"]);
        for (kind, name) in [account, settings, ("Job", &migration.object["metadata"]["name"])] {
            assert!(is_early(overlay.find(kind, text(name)).unwrap()), "{}: {kind} {name}", overlay.name);
        }
        assert!(overlay.all("NetworkPolicy").all(is_early), "{}", overlay.name);
        assert!(!overlay.all("Deployment").filter(|object| object["spec"]["replicas"].is_null()).any(is_early));
    }
}
