//! The NetworkPolicies, without components and with all of them: nothing but the edges that are needed, and each of those.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::components::with_all;
use super::rendered::{Overlay, Workload, list, overlays, selects, text};

/// Where the stores listen.
const STORES: [(&str, u64); 2] = [("postgres", 5432), ("redis", 6379)];
const DNS: u64 = 53;
const HTTPS: u64 = 443;
/// OTLP over gRPC.
const COLLECTOR: u64 = 4317;
const METRICS: u64 = 9464;
/// Who calls whom where a Redis Cluster is made: its nodes each other, data and bus, and who makes one of them.
const REDIS_CLUSTER: [(&str, &[u64]); 2] =
    [("redis-cluster", &[DNS, 6379, 16379]), ("redis-cluster-form", &[DNS, 6379])];

/// Who may speak to which port: (workload, port).
type Edges<'a> = BTreeSet<(&'a str, u64)>;

fn all() -> impl Iterator<Item = &'static Overlay> {
    overlays().iter().chain(with_all())
}

/// The ports that a workload of Tally calls, by what it is told.
fn called(workload: &Workload<'_>) -> BTreeSet<u64> {
    let told = |variable: &str, start: &str| workload.variable(variable).is_some_and(|value| value.starts_with(start));
    let stores = workload.stores().into_iter().map(store_port);
    let issuer = told("TALLY_JWT_KEYS", "https://").then_some(HTTPS);
    let collector = told("OTEL_EXPORTER_OTLP_ENDPOINT", "http").then_some(COLLECTOR);
    stores.chain([DNS]).chain(issuer).chain(collector).collect()
}

/// The policies that let something through in one direction: the policy, its rules there.
fn rules<'a>(overlay: &'a Overlay, direction: &'a str) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let field = direction.to_lowercase();
    overlay.all("NetworkPolicy").flat_map(move |policy| list(&policy["spec"][&field]).map(move |rule| (policy, rule)))
}

fn ports(rule: &Value) -> impl Iterator<Item = u64> {
    assert!(!rule["ports"].is_null(), "without ports it is all of them: {rule}");
    list(&rule["ports"]).map(|port| {
        assert!(port["endPort"].is_null(), "{port}");
        port["port"].as_u64().unwrap()
    })
}

fn chosen<'a>(overlay: &'a Overlay, selector: &Value) -> Vec<Workload<'a>> {
    overlay.workloads().into_iter().filter(|workload| selects(selector, workload.labels())).collect()
}

/// The edges out of, or into, the workloads of the overlay, as its policies allow them.
fn allowed<'a>(overlay: &'a Overlay, direction: &'a str) -> Edges<'a> {
    let mut edges = Edges::new();
    for (policy, rule) in rules(overlay, direction) {
        for workload in chosen(overlay, &policy["spec"]["podSelector"]) {
            edges.extend(ports(rule).map(|port| (workload.app(), port)));
        }
    }
    edges
}

fn store_port(store: &str) -> u64 {
    STORES.into_iter().find(|(name, _)| *name == store).unwrap().1
}

#[test]
fn nothing_is_allowed_that_no_policy_allows() {
    for overlay in all() {
        let deny = overlay.find("NetworkPolicy", "default-deny").unwrap();
        assert_eq!(deny["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}), "{}", overlay.name);
        for policy in overlay.all("NetworkPolicy") {
            let spec = &policy["spec"];
            for (direction, field) in [("Ingress", "ingress"), ("Egress", "egress")] {
                let is_named = list(&spec["policyTypes"]).any(|named| named == direction);
                assert!(spec[field].is_null() || is_named, "{}: {direction} does nothing", policy["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn every_edge_out_is_needed_and_none_is_missing() {
    for overlay in all() {
        let mut needed = Edges::new();
        for workload in overlay.ours() {
            needed.extend(called(&workload).into_iter().map(|port| (workload.app(), port)));
        }
        for workload in overlay.workloads() {
            let ports =
                REDIS_CLUSTER.into_iter().filter(|(app, _)| *app == workload.app()).flat_map(|(_, ports)| ports);
            needed.extend(ports.map(|port| (workload.app(), *port)));
        }
        assert_eq!(allowed(overlay, "Egress"), needed, "{}", overlay.name);
    }
}

#[test]
fn every_edge_in_is_needed_and_none_is_missing() {
    for overlay in all() {
        let mut needed = Edges::new();
        for service in overlay.all("Service") {
            let called = chosen(overlay, &json!({"matchLabels": service["spec"]["selector"]}));
            let ports: Vec<u64> = ports(&service["spec"]).collect();
            needed.extend(called.iter().flat_map(|workload| ports.iter().map(|port| (workload.app(), *port))));
        }
        for monitor in overlay.all("PodMonitor") {
            let watched = chosen(overlay, &monitor["spec"]["selector"]);
            needed.extend(watched.iter().map(|workload| (workload.app(), METRICS)));
        }
        assert_eq!(allowed(overlay, "Ingress"), needed, "{}", overlay.name);
    }
}

#[test]
fn an_edge_goes_from_and_to_what_its_name_says() {
    for overlay in all() {
        for (policy, rule) in rules(overlay, "Egress") {
            let name = text(&policy["metadata"]["name"]);
            let (from, to) = name.split_once("-to-").unwrap();
            let sources = chosen(overlay, &policy["spec"]["podSelector"]);
            let is_meant = |source: &Workload<'_>| match from {
                "all" => true,
                "services" => source.is_deployment(),
                // The Job beside it, too.
                "redis-cluster" => source.app().starts_with(from),
                from => source.app() == from,
            };
            assert!(sources.iter().all(is_meant), "{}: {name}", overlay.name);
            assert!(!sources.is_empty(), "{}: {name} is used", overlay.name);
            let meant = match to {
                "dns" => vec![DNS],
                "token-issuer" => vec![HTTPS],
                "trace-collector" => vec![COLLECTOR],
                "redis-cluster" => vec![6379, 16379],
                store => vec![store_port(store)],
            };
            assert!(ports(rule).all(|allowed| meant.contains(&allowed)), "{}: {name}", overlay.name);
            let targets: Vec<&Value> = list(&rule["to"]).collect();
            assert!(!targets.is_empty(), "{}: {name} leads to anybody", overlay.name);
        }
    }
}

#[test]
fn where_the_stores_are_pods_both_ends_of_an_edge_agree() {
    let mut both_ends = 0;
    for overlay in all() {
        for (policy, rule) in rules(overlay, "Egress") {
            for target in list(&rule["to"]).filter(|target| target["namespaceSelector"].is_null()) {
                if let Some(block) = target.get("ipBlock") {
                    assert!(!text(&block["cidr"]).ends_with("/0"), "{}: that is everybody", overlay.name);
                    continue;
                }
                let [store] = chosen(overlay, &target["podSelector"])[..] else { panic!("one store: {target}") };
                for source in chosen(overlay, &policy["spec"]["podSelector"]) {
                    let lets_in = rules(overlay, "Ingress").any(|(policy, rule)| {
                        selects(&policy["spec"]["podSelector"], store.labels())
                            && list(&rule["from"]).any(|from| selects(&from["podSelector"], source.labels()))
                    });
                    assert!(lets_in, "{}: {} lets {} in", overlay.name, store.app(), source.app());
                    both_ends += 1;
                }
            }
        }
        // The other way round: who is let in wants in.
        let allowed_out = allowed(overlay, "Egress");
        for (policy, rule) in rules(overlay, "Ingress") {
            for from in list(&rule["from"]).filter(|from| from["namespaceSelector"].is_null()) {
                for source in chosen(overlay, &from["podSelector"]) {
                    let wants = ports(rule).all(|port| allowed_out.contains(&(source.app(), port)));
                    assert!(wants, "{}: {} never calls {}", overlay.name, source.app(), policy["metadata"]["name"]);
                }
            }
        }
    }
    assert!(overlays().is_empty() || both_ends == 7 + 5, "{both_ends}");
}

/// What ProjectionAdminService can do is for operators: never to be reached from outside of the namespace, and never from outside of the cluster.
#[test]
fn the_projector_is_for_operators_of_its_namespace_alone() {
    for overlay in all() {
        let policy = overlay.find("NetworkPolicy", "operators-to-projector").unwrap();
        let expected = json!([{"podSelector": {"matchLabels": {"tally-operators": "true"}}}]);
        assert_eq!(policy["spec"]["ingress"][0]["from"], expected, "{}", overlay.name);
        assert_eq!(chosen(overlay, &policy["spec"]["podSelector"])[0].app(), "projector");
        for service in overlay.all("Service") {
            assert!(service["spec"]["type"].is_null(), "{}: {service} is of the cluster's inside", overlay.name);
        }
        for kind in ["Ingress", "Gateway", "GRPCRoute", "HTTPRoute"] {
            assert_eq!(overlay.all(kind).count(), 0, "{}: {kind}", overlay.name);
        }
        // A port of its own: no other process listens there.
        let ports: Vec<u64> = overlay.ours().iter().flat_map(Workload::ports).filter(|port| *port == 50053).collect();
        assert_eq!(ports, [50053], "{}", overlay.name);
    }
}

#[test]
fn clients_are_let_in_from_any_namespace_by_their_label() {
    for overlay in all() {
        for (service, label) in [("command-service", "tally-commands"), ("query-service", "tally-queries")] {
            let policy = overlay.find("NetworkPolicy", &format!("clients-to-{service}")).unwrap();
            let expected = json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {label: "true"}}}]);
            assert_eq!(policy["spec"]["ingress"][0]["from"], expected, "{}", overlay.name);
            assert_eq!(chosen(overlay, &policy["spec"]["podSelector"])[0].app(), service);
        }
    }
}
