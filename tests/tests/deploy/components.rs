//! The components that an overlay may add, and all of them together.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use system_tests::{clients_venv, root, target_dir};

use super::rendered::{Overlay, list, overlays, render, text};

/// Production with all of them. None where there is no kubectl.
static WITH_ALL: LazyLock<Option<Overlay>> = LazyLock::new(|| {
    if overlays().is_empty() {
        return None;
    }
    let folder = target_dir().join("system-tests").join("with-components");
    std::fs::create_dir_all(&folder).unwrap();
    let up = std::iter::repeat_n("..", folder.components().count() - 1).collect::<Vec<_>>().join("/");
    let kubernetes = format!("{up}{}", root().join("deploy/kubernetes").display());
    let there = root().join("deploy/kubernetes/components").read_dir().unwrap();
    let names: BTreeSet<String> = there.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    // Those that are only to try it stand in the place of production's.
    let components = names.iter().filter(|name| *name != "stores");
    let components: String = components.map(|name| format!("  - {kubernetes}/components/{name}\n")).collect();
    let text = format!("namespace: tally\nresources:\n  - {kubernetes}/overlays/prod\ncomponents:\n{components}");
    std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
    Some(render(&folder, "prod with components"))
});

pub(super) fn with_all() -> Option<&'static Overlay> {
    WITH_ALL.as_ref()
}

#[test]
fn the_operators_rules_are_those_that_were_tested() {
    let Some(overlay) = with_all() else { return };
    let file = std::fs::read_to_string(root().join("deploy/prometheus/alerts.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    assert_eq!(overlay.find("PrometheusRule", "tally").unwrap()["spec"]["groups"], file["groups"]);
}

#[test]
fn the_monitor_and_its_edge_lead_to_the_port_for_operators_of_every_process() {
    let Some(overlay) = with_all() else { return };
    let monitor = overlay.find("PodMonitor", "tally").unwrap();
    let edge = overlay.find("NetworkPolicy", "prometheus-to-metrics").unwrap();
    let names = ["command-service", "projector", "query-service"];
    for selector in [&monitor["spec"]["selector"], &edge["spec"]["podSelector"]] {
        assert_eq!(selector["matchExpressions"][0]["values"], serde_json::json!(names));
    }
    for name in names {
        let ports = &overlay.find("Deployment", name).unwrap()["spec"]["template"]["spec"]["containers"][0]["ports"];
        let port = list(ports).find(|port| port["name"] == monitor["spec"]["podMetricsEndpoints"][0]["port"]).unwrap();
        assert_eq!(edge["spec"]["ingress"][0]["ports"][0]["port"], port["containerPort"]);
    }
}

#[test]
fn keda_scales_the_projector_by_its_lag_and_nobody_else_does() {
    let Some(overlay) = with_all() else { return };
    let scaled = &overlay.find("ScaledObject", "projector").unwrap()["spec"];
    assert_eq!(scaled["scaleTargetRef"]["name"], "projector");
    assert_eq!(scaled["minReplicaCount"], 2, "with none the views would stand still, with one they would for seconds");
    assert!(scaled["maxReplicaCount"].as_u64().is_some_and(|count| count > 2));
    let query = text(&scaled["triggers"][0]["metadata"]["query"]);
    assert!(query.contains("tally_projection_lag_seconds"), "{query}");
    let projector = &overlay.find("Deployment", "projector").unwrap()["spec"];
    assert!(projector["replicas"].is_null());
    assert!(
        overlay.all("HorizontalPodAutoscaler").all(|scaler| scaler["spec"]["scaleTargetRef"]["name"] != "projector")
    );
}

#[test]
fn with_mutual_tls_nobody_is_told_to_be_insecure_and_probes_go_where_no_certificate_is_needed() {
    let Some(overlay) = with_all() else { return };
    for name in ["command-service", "projector", "query-service"] {
        let pod = &overlay.find("Deployment", name).unwrap()["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let value = |variable: &str| {
            let found = list(&container["env"]).find(|entry| entry["name"] == variable)?;
            Some(text(&found["value"]).to_owned())
        };
        assert_eq!(value("TALLY_INSECURE"), None, "{name}");
        let of_tls = |entries| list(entries).find(|entry| entry["name"] == "tls").unwrap();
        let mount = text(&of_tls(&container["volumeMounts"])["mountPath"]);
        let secret = text(&of_tls(&pod["volumes"])["secret"]["secretName"]);
        for (variable, file) in
            [("TALLY_TLS_CERT", "tls.crt"), ("TALLY_TLS_KEY", "tls.key"), ("TALLY_TLS_CLIENT_CA", "ca.crt")]
        {
            assert_eq!(value(variable), Some(format!("{mount}/{file}")), "{name}");
        }
        let certificate = &overlay.find("Certificate", name).unwrap()["spec"];
        assert_eq!(certificate["secretName"], secret);
        let names: BTreeSet<&str> = list(&certificate["dnsNames"]).map(text).collect();
        for service in
            overlay.all("Service").filter(|service| service["spec"]["selector"]["app.kubernetes.io/name"] == name)
        {
            assert!(names.contains(text(&service["metadata"]["name"])), "{name}: {names:?}");
            assert!(service["spec"]["ports"][0]["appProtocol"].is_null(), "it is no longer in the open");
        }
        for (probe, path) in [("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
            let asked = &container[probe]["httpGet"];
            assert_eq!((text(&asked["path"]), text(&asked["port"])), (path, "metrics"), "{name} {probe}");
            assert!(container[probe]["grpc"].is_null());
        }
    }
}

#[test]
fn whom_to_trust_of_the_stores_is_mounted_where_the_readme_says() {
    let Some(overlay) = with_all() else { return };
    let readme = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    for workload in overlay.ours() {
        let of_stores = |entries| list(entries).find(|entry| entry["name"] == "stores-tls").unwrap();
        let mount = of_stores(&workload.container()["volumeMounts"]);
        assert_eq!(mount["readOnly"], true);
        assert!(readme.contains(&format!("sslrootcert={}/ca.crt", text(&mount["mountPath"]))));
        let secret = text(&of_stores(&workload.pod()["volumes"])["secret"]["secretName"]);
        assert!(readme.contains(&format!("secret generic {secret} --from-file=ca.crt")), "{secret}");
        // Read by the image's user, who is nobody.
        assert_eq!(workload.pod()["securityContext"]["fsGroup"], 65532);
    }
}

#[test]
fn what_is_kubernetes_own_meets_its_schema_with_components_too() {
    let Some(overlay) = with_all() else { return };
    let own = overlay.text.split("\n---\n").filter(|object| {
        !["keda.sh/", "cert-manager.io/", "monitoring.coreos.com/"]
            .iter()
            .any(|group| object.contains(&format!("apiVersion: {group}")))
    });
    let file = target_dir().join("system-tests").join("with-components.yaml");
    std::fs::write(&file, own.collect::<Vec<_>>().join("\n---\n")).unwrap();
    let output =
        Command::new(clients_venv().program("kubernetes-validate")).arg("--strict").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
