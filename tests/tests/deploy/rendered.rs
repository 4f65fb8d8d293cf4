//! The overlays as `kubectl kustomize` renders them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use system_tests::{clients_venv, root};
use tally_servers::find;

/// The image that the overlays rename.
const IMAGE: &str = "tally:";

/// An overlay, rendered.
pub(super) struct Overlay {
    pub(super) name: String,
    pub(super) text: String,
    objects: Vec<Value>,
}

/// What makes pods: a Deployment, a StatefulSet or a Job.
#[derive(Clone, Copy)]
pub(super) struct Workload<'a> {
    pub(super) object: &'a Value,
    pub(super) overlay: &'a Overlay,
}

static OVERLAYS: LazyLock<Vec<Overlay>> = LazyLock::new(render_all);

/// All overlays. There are none where there is no kubectl: its package is for Linux.
pub(super) fn overlays() -> &'static [Overlay] {
    if OVERLAYS.is_empty() {
        // Not by a macro: what those print is shown of failed tests only.
        let _ =
            writeln!(io::stderr(), "SKIPPED: no kubectl for this system in the tests' environment, and none in PATH");
    }
    &OVERLAYS
}

/// One of them, if they can be rendered here.
pub(super) fn overlay(name: &str) -> Option<&'static Overlay> {
    let all = overlays();
    assert!(all.is_empty() || all.iter().any(|overlay| overlay.name == name), "there is an overlay {name}");
    all.iter().find(|overlay| overlay.name == name)
}

fn kubectl() -> Option<PathBuf> {
    let installed = clients_venv().program("kubectl");
    if installed.is_file() {
        return Some(installed);
    }
    assert_ne!(std::env::consts::OS, "linux", "the tests' environment has a kubectl on Linux");
    find::program(&["kubectl"])
}

fn render_all() -> Vec<Overlay> {
    if kubectl().is_none() {
        return Vec::new();
    }
    let folder = root().join("deploy/kubernetes/overlays");
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["dev", "prod"]);
    names.into_iter().map(|name| render(&folder.join(&name), &name)).collect()
}

/// What is in a folder, rendered. There must be a kubectl.
pub(super) fn render(folder: &Path, name: &str) -> Overlay {
    let output = Command::new(kubectl().unwrap()).arg("kustomize").arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // What is deprecated is said and not refused.
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Overlay { name: name.to_owned(), text, objects }
}

impl Overlay {
    /// All objects of a kind.
    pub(super) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object of that kind and name.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// Everything that makes pods. A kind that this doesn't know would go unchecked, so it is refused.
    pub(super) fn workloads(&self) -> Vec<Workload<'_>> {
        let with_pods = self.objects.iter().filter(|object| !object["spec"]["template"]["spec"].is_null());
        let workloads: Vec<_> = with_pods.map(|object| Workload { object, overlay: self }).collect();
        assert!(workloads.len() >= 4, "{}: {}", self.name, workloads.len());
        for kind in ["Pod", "CronJob", "DaemonSet", "ReplicaSet"] {
            assert_eq!(self.all(kind).count(), 0, "{}: these tests don't know {kind}", self.name);
        }
        workloads
    }

    /// The workloads that run Tally's own image.
    pub(super) fn ours(&self) -> Vec<Workload<'_>> {
        let ours: Vec<_> = self.workloads().into_iter().filter(Workload::is_ours).collect();
        assert_eq!(ours.len(), 4, "{}", self.name);
        ours
    }

    /// The value of a Secret of this overlay.
    pub(super) fn secret(&self, name: &str, key: &str) -> Option<String> {
        use base64::Engine;
        // kustomize folds it into lines.
        let encoded: String = self.find("Secret", name)?["data"][key].as_str()?.split_whitespace().collect();
        Some(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap())
    }
}

/// One variable of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Variable {
    Text(String),
    Secret { name: String, key: String },
}

impl<'a> Workload<'a> {
    pub(super) fn name(&self) -> &'a str {
        text(&self.object["metadata"]["name"])
    }

    /// `app.kubernetes.io/name` of its pods.
    pub(super) fn app(&self) -> &'a str {
        text(&self.labels()["app.kubernetes.io/name"])
    }

    pub(super) fn is_deployment(&self) -> bool {
        self.object["kind"] == "Deployment"
    }

    /// The labels of its pods.
    pub(super) fn labels(&self) -> &'a Value {
        &self.object["spec"]["template"]["metadata"]["labels"]
    }

    /// The specification of its pods.
    pub(super) fn pod(&self) -> &'a Value {
        &self.object["spec"]["template"]["spec"]
    }

    /// All containers of a pod, whatever they are for.
    pub(super) fn containers(&self) -> Vec<&'a Value> {
        let kinds = ["initContainers", "containers", "ephemeralContainers"];
        kinds.into_iter().flat_map(|kind| list(&self.pod()[kind])).collect()
    }

    /// Its only container, whatever accompanies it.
    pub(super) fn container(&self) -> &'a Value {
        let [container] = list(&self.pod()["containers"]).collect::<Vec<_>>()[..] else {
            panic!("{} has one container", self.name())
        };
        container
    }

    fn is_ours(&self) -> bool {
        let image = text(&self.container()["image"]);
        image.rsplit('/').next().is_some_and(|image| image.starts_with(IMAGE))
    }

    /// The variables of its container, those of its ConfigMaps among them.
    pub(super) fn variables(&self) -> Vec<(String, Variable)> {
        let container = self.container();
        let mut variables = Vec::new();
        for source in list(&container["envFrom"]) {
            let name = text(&source["configMapRef"]["name"]);
            let map = self.overlay.find("ConfigMap", name).unwrap_or_else(|| panic!("there is a ConfigMap {name}"));
            let values = map["data"].as_object().unwrap().iter();
            variables.extend(values.map(|(name, value)| (name.clone(), Variable::Text(text(value).to_owned()))));
        }
        for variable in list(&container["env"]) {
            let secret = &variable["valueFrom"]["secretKeyRef"];
            let value = match variable["value"].as_str() {
                Some(value) => Variable::Text(value.to_owned()),
                None => Variable::Secret { name: text(&secret["name"]).into(), key: text(&secret["key"]).into() },
            };
            variables.push((text(&variable["name"]).to_owned(), value));
        }
        variables
    }

    /// The text of one of its variables.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.variables().into_iter().find_map(|(key, value)| match value {
            Variable::Text(text) if key == name => Some(text),
            _ => None,
        })
    }

    /// The ports of its container.
    pub(super) fn ports(&self) -> Vec<u64> {
        list(&self.container()["ports"]).map(|port| port["containerPort"].as_u64().unwrap()).collect()
    }

    /// The stores that it is told the address of, so that it calls them.
    pub(super) fn stores(&self) -> Vec<&'static str> {
        let stores = [("DATABASE_URL", "postgres"), ("REDIS_URL", "redis")];
        let variables = self.variables();
        let told = |name: &str| variables.iter().any(|(variable, _)| variable == name);
        stores.into_iter().filter(|(variable, _)| told(variable)).map(|(_, store)| store).collect()
    }
}

/// The text of a value that is one.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text"))
}

/// The entries of a list, none where there is no list.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether a label selector selects what has these labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let mut keys = selector.as_object().unwrap().keys();
    assert!(keys.all(|key| key == "matchLabels" || key == "matchExpressions"), "{selector}");
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    equal
        && list(&selector["matchExpressions"]).all(|expression| {
            assert_eq!(expression["operator"], "In", "these tests know no other");
            let value = &labels[text(&expression["key"])];
            list(&expression["values"]).any(|allowed| allowed == value)
        })
}
