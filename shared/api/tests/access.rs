//! No method gets into the API without saying who may call it: the build itself refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

#[allow(dead_code, clippy::print_stdout, reason = "a build script begins by itself, and prints to cargo")]
#[path = "../build.rs"]
mod build;

const PROTO: &str = "tally/orders/v1/order_query_service.proto";
const OPTION: &str = r#"option (tally.access.v1.access) = {scope: "orders.read", customer: CUSTOMER_ACCESS_OWN};"#;

/// A copy of `proto/`, gone with it.
struct Protos(PathBuf);

impl Protos {
    fn copied(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("protos-{name}"));
        let _ = fs::remove_dir_all(&folder);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto"), &folder.join("proto"));
        fs::create_dir(folder.join("out")).unwrap();
        Self(folder)
    }

    /// The first `from` in a file becomes `to`.
    fn change(&self, from: &str, to: &str) {
        let path = self.0.join("proto").join(PROTO);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{PROTO} has {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// What the build of these protos says.
    fn built(&self) -> Result<(), String> {
        build::generate(&self.0.join("proto"), &self.0.join("out")).map_err(|error| error.to_string())
    }

    fn made(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join("out").join(name)).ok()
    }
}

impl Drop for Protos {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn what_says_who_may_call_it_is_built() {
    let protos = Protos::copied("as-they-are");
    protos.built().unwrap();
    let table = protos.made("methods.rs").unwrap();
    assert_eq!(table.matches("Method {").count(), tally_api::METHODS.len());
    assert!(protos.made("tally.rs").is_some());
}

#[test]
fn a_method_without_a_scope_is_not_built() {
    for (name, instead) in [
        ("without", ""),
        ("empty", r#"option (tally.access.v1.access) = {scope: ""};"#),
        ("customer-alone", "option (tally.access.v1.access) = {customer: CUSTOMER_ACCESS_PUBLIC};"),
        ("another-option", "option idempotency_level = NO_SIDE_EFFECTS;"),
    ] {
        let protos = Protos::copied(name);
        protos.change(OPTION, instead);
        let error = protos.built().expect_err(name);
        assert!(error.starts_with("tally.orders.v1.OrderQueryService.GetOrder says nothing about who"), "{error}");
        assert!(protos.made("methods.rs").is_none() && protos.made("tally.rs").is_none(), "{name}: nothing is made");
    }
}

#[test]
fn a_new_method_without_a_scope_is_not_built() {
    let protos = Protos::copied("new");
    protos.change(
        "service OrderQueryService {",
        "service OrderQueryService {\n  rpc Peek(GetOrderRequest) returns (GetOrderResponse);",
    );
    let error = protos.built().unwrap_err();
    assert!(error.starts_with("tally.orders.v1.OrderQueryService.Peek says nothing"), "{error}");
}
