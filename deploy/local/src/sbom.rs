//! What the three programs are made of, in CycloneDX: from what cargo resolved, so it is what was built, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::project;
use crate::service::NAMES;

/// Writes the bill and says where.
pub(crate) fn write() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .current_dir(project::root())
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("cargo can't be started")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let lock = std::fs::read_to_string(project::root().join("Cargo.lock"))?;
    let folder = project::target_dir()?.join("sbom");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("tally.cdx.json");
    std::fs::write(&path, serde_json::to_string_pretty(&bill(&metadata, &checksums(&lock))?)?)?;
    Ok(path)
}

fn bill(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        array(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    // What ends up in a program; what only builds or tests it doesn't.
    let uses: BTreeMap<String, Vec<String>> = array(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let is_linked =
                |dependency: &&Value| array(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let dependencies = array(&node["deps"]);
            (
                text(&node["id"]),
                dependencies.iter().filter(is_linked).map(|dependency| text(&dependency["pkg"])).collect(),
            )
        })
        .collect();
    let is_program =
        |package: &Value| NAMES.contains(&package["name"].as_str().unwrap_or_default()) && package["source"].is_null();
    let mut open: Vec<String> =
        packages.iter().filter(|(_, package)| is_program(package)).map(|(id, _)| id.clone()).collect();
    ensure!(open.len() == NAMES.len(), "cargo knows {} of the {} programs", open.len(), NAMES.len());
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id.clone()) {
            open.extend(uses.get(&id).into_iter().flatten().cloned());
        }
    }
    let purl = |package: &Value| format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]));
    let components = seen.iter().filter_map(|id| packages.get(id)).map(|package| {
        let (name, version, purl) = (text(&package["name"]), text(&package["version"]), purl(package));
        let kind = if is_program(package) { "application" } else { "library" };
        let mut component = json!({
            "type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "licenses": [{"expression": text(&package["license"]).replace('/', " OR ")}],
        });
        if let Some(checksum) = checksums.get(&(name, version)) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        component
    });
    let dependencies = seen.iter().filter_map(|id| Some((packages.get(id)?, uses.get(id)?))).map(|(package, used)| {
        let used: BTreeSet<String> = used.iter().filter_map(|id| packages.get(id)).map(purl).collect();
        json!({"ref": purl(package), "dependsOn": used})
    });
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

/// By name and version, from Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]");
    let known = packages.filter_map(|package| {
        Some(((field(package, "name")?, field(package, "version")?), field(package, "checksum")?))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_is_in_it_and_who_uses_it() {
        let package = |name: &str, source: Value| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source});
        let dependency = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let mut packages: Vec<Value> = NAMES.map(|name| package(name, Value::Null)).to_vec();
        packages.extend(["linked", "for-tests"].map(|name| package(name, "registry".into())));
        let uses = json!([dependency("linked", Value::Null), dependency("for-tests", "dev".into())]);
        let metadata = json!({"packages": packages, "resolve": {"nodes": [{"id": NAMES[0], "deps": uses}]}});
        let lock = "[[package]]\nname = \"linked\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n";
        let bill = bill(&metadata, &checksums(lock)).unwrap();
        let components = bill["components"].as_array().unwrap();
        assert_eq!(components.len(), 4);
        let linked = components.iter().find(|component| component["name"] == "linked").unwrap();
        assert_eq!(linked["hashes"][0]["content"], "abc");
        assert_eq!(linked["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let program = format!("pkg:cargo/{}@1.0.0", NAMES[0]);
        assert_eq!(bill["dependencies"], json!([{"ref": program, "dependsOn": [linked["bom-ref"]]}]));
    }
}
