//! Whoever selects pods selects those that were meant, and ports lead to ports.

use serde_json::{Value, json};

use super::rendered::{Overlay, Workload, list, overlays, selects, text};

/// The names of the workloads that a selector selects.
fn selected<'a>(overlay: &'a Overlay, selector: &Value) -> Vec<&'a str> {
    let workloads = overlay.workloads().into_iter();
    workloads.filter(|workload| selects(selector, workload.labels())).map(|workload| workload.name()).collect()
}

#[test]
fn a_deployment_selects_its_own_pods_and_no_others() {
    for overlay in overlays() {
        for workload in overlay.workloads().iter().filter(|workload| workload.is_deployment()) {
            assert_eq!(selected(overlay, &workload.object["spec"]["selector"]), [workload.name()], "{}", overlay.name);
        }
    }
}

#[test]
fn a_service_leads_to_the_pods_and_the_port_that_its_name_says() {
    for overlay in overlays() {
        for service in overlay.all("Service") {
            let name = text(&service["metadata"]["name"]);
            let expected = name.trim_end_matches("-headless");
            let selector = json!({"matchLabels": service["spec"]["selector"]});
            assert_eq!(selected(overlay, &selector), [expected], "{}: {name}", overlay.name);

            let workload = overlay.workloads().into_iter().find(|workload| workload.name() == expected).unwrap();
            for port in list(&service["spec"]["ports"]) {
                // Without a target it is the same number.
                let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
                let mut ports = list(&workload.container()["ports"]);
                let meant = ports.find(|port| port["name"] == *target || port["containerPort"] == *target);
                let meant = meant.unwrap_or_else(|| panic!("{}: {name} leads to no port: {target}", overlay.name));
                assert_eq!(port["port"], meant["containerPort"], "{}: {name}", overlay.name);
            }
        }
    }
}

#[test]
fn what_is_called_has_a_service_of_one_address_and_one_of_all_pods() {
    for overlay in overlays() {
        for name in ["command-service", "query-service"] {
            let one = overlay.find("Service", name).unwrap();
            assert!(one["spec"]["clusterIP"].is_null(), "{name}");
            let all = overlay.find("Service", &format!("{name}-headless")).unwrap();
            assert_eq!(all["spec"]["clusterIP"], "None", "{name}");
        }
    }
}

#[test]
fn pods_spread_over_zones_and_nodes_among_their_own() {
    for overlay in overlays() {
        for workload in overlay.ours().into_iter().filter(Workload::is_deployment) {
            if workload.object["spec"]["replicas"] == 1 {
                continue;
            }
            let constraints: Vec<&Value> = list(&workload.pod()["topologySpreadConstraints"]).collect();
            let keys: Vec<&str> = constraints.iter().map(|constraint| text(&constraint["topologyKey"])).collect();
            assert_eq!(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"], "{}", workload.name());
            for constraint in constraints {
                assert_eq!(selected(overlay, &constraint["labelSelector"]), [workload.name()]);
            }
        }
    }
}

#[test]
fn disruptions_are_limited_where_there_is_more_than_one_pod() {
    for overlay in overlays() {
        let mut limited: Vec<&str> = overlay
            .all("PodDisruptionBudget")
            .map(|budget| {
                assert_eq!(budget["spec"]["maxUnavailable"], 1, "{}: one at a time, and never none", overlay.name);
                let [name] = selected(overlay, &budget["spec"]["selector"])[..] else { panic!("{budget}") };
                name
            })
            .collect();
        limited.sort_unstable();
        assert_eq!(limited, ["command-service", "projector", "query-service"], "{}", overlay.name);
    }
}
