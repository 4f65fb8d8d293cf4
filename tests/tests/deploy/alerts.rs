//! deploy/prometheus and deploy/grafana: what Prometheus itself says of the rules, and that what they ask for is there.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use system_tests::client::{ReadAfter, TallyClient};
use system_tests::{Samples, Tally, root, target_dir};
use tally_servers::find;

use super::rendered::{list, text};

fn promtool(arguments: &[&str]) {
    let promtool = find::program(&["promtool"]).expect("there is a promtool: `make test` installs it");
    let output = Command::new(promtool).current_dir(root().join("deploy/prometheus")).args(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("deploy/prometheus/alerts.yaml")).unwrap();
    list(&file["groups"]).flat_map(|group| list(&group["rules"])).cloned().collect()
}

/// Every expression of the dashboards.
fn asked_by_dashboards() -> Vec<String> {
    let mut asked = Vec::new();
    for file in root().join("deploy/grafana/dashboards").read_dir().unwrap() {
        let board: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        for panel in list(&board["panels"]) {
            asked.extend(list(&panel["targets"]).map(|target| text(&target["expr"]).to_owned()));
        }
    }
    assert!(asked.len() > 20, "{}", asked.len());
    asked
}

#[test]
fn prometheus_understands_what_the_dashboards_ask() {
    let rules = asked_by_dashboards().into_iter().enumerate().map(|(number, expression)| {
        // What Grafana puts there.
        let expression = expression.replace("$__rate_interval", "5m");
        assert!(!expression.contains('$'), "{expression}");
        json!({"record": format!("dashboard:expression:{number}"), "expr": expression})
    });
    let groups = json!({"groups": [{"name": "dashboards", "rules": rules.collect::<Vec<_>>()}]});
    let file = target_dir().join("system-tests").join("dashboards.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    // JSON is YAML.
    std::fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules", "--lint=none", file.to_str().unwrap()]);
}

/// The names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("tally_") || word.starts_with("grpc_server_")).map(str::to_owned).collect()
}

#[test]
fn every_alert_goes_off_when_it_should_and_only_then() {
    promtool(&["check", "config", "prometheus.yaml"]);
    promtool(&["test", "rules", "tests.yaml"]);
    let tests = read("deploy/prometheus/tests.yaml");
    for alert in alerts() {
        let name = text(&alert["alert"]);
        assert_eq!(tests.matches(&format!("alertname: {name}")).count(), 2, "{name} is tested in trouble and in peace");
    }
}

#[test]
fn every_alert_leads_to_a_page_that_says_what_to_do() {
    let mut pages = BTreeSet::from(["README.md".to_owned(), "backup-and-restore.md".to_owned()]);
    for alert in alerts() {
        let name = text(&alert["alert"]);
        let page = text(&alert["annotations"]["runbook_url"]);
        assert_eq!(page, format!("docs/runbooks/{name}.md"));
        let page = read(page);
        for heading in ["## What it means", "## How to look", "## What to do"] {
            assert!(page.contains(heading), "{name}: {heading}");
        }
        assert!(["critical", "warning"].contains(&text(&alert["labels"]["severity"])), "{name}");
        pages.insert(format!("{name}.md"));
    }
    let there = root().join("docs/runbooks").read_dir().unwrap();
    let there: BTreeSet<String> = there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, pages, "and no page is about nothing");
}

#[tokio::test]
async fn what_alerts_and_dashboards_ask_for_is_served() {
    let tally = Tally::start_with_environment(&[("TALLY_METRICS_LISTEN", "127.0.0.1:0")]).await;
    tally.stocked("b1", "LAMP", 1).await;
    tally.client().get_stock("LAMP", &ReadAfter::position(2).or_fail()).await.unwrap();
    let mut served = BTreeSet::new();
    for service in tally.services() {
        let text = Samples::of(service).await.text;
        served.extend(text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect::<Vec<_>>()
        }));
    }
    let expressions = alerts().into_iter().map(|alert| text(&alert["expr"]).to_owned()).chain(asked_by_dashboards());
    for expression in expressions {
        for metric in metrics(&expression) {
            assert!(served.contains(&metric), "nobody serves {metric}: {expression}");
        }
    }
}
