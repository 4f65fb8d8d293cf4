//! The schemas and rules that others made: Kubernetes', Compose's, hadolint's.

use std::path::Path;
use std::process::{Command, Output};

use system_tests::{clients_venv, root, target_dir};

use super::rendered::overlays;

fn run(program: &str, arguments: &[&str], file: &Path) -> (bool, String) {
    let program = clients_venv().program(program);
    let Output { status, stdout, stderr } = Command::new(program).args(arguments).arg(file).output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// A file with this text, for as long as the tests run.
fn file_with(name: &str, text: &str) -> std::path::PathBuf {
    let folder = target_dir().join("system-tests");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}-{}.yaml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn every_object_meets_the_newest_schema_of_kubernetes_to_the_letter() {
    let validate = |name: &str, text: &str| {
        let file = file_with(name, text);
        let result = run("kubernetes-validate", &["--strict"], &file);
        std::fs::remove_file(file).unwrap();
        result
    };
    for overlay in overlays() {
        let (valid, said) = validate(&overlay.name, &overlay.text);
        assert!(valid, "{}: {said}", overlay.name);
        let objects = overlay.text.matches("\nkind: ").count();
        assert_eq!(said.matches(" passed for resource ").count(), objects, "{}: each object: {said}", overlay.name);

        let (valid, said) = validate("typing-error", &overlay.text.replace("enableServiceLinks", "enableServiceLink"));
        assert!(!valid, "a field that doesn't exist is found: {said}");
    }
}

#[test]
fn compose_meets_its_schema() {
    let compose = root().join("deploy/compose.yaml");
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    let (valid, said) = run("check-jsonschema", &schema, &compose);
    assert!(valid, "{said}");

    let wrong = std::fs::read_to_string(&compose).unwrap().replace("depends_on:", "depend_on:");
    let wrong = file_with("compose", &wrong);
    assert!(!run("check-jsonschema", &schema, &wrong).0, "a field that doesn't exist is found");
    std::fs::remove_file(wrong).unwrap();
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile() {
    let (clean, said) = run("hadolint", &["--failure-threshold", "style"], &root().join("deploy/Dockerfile"));
    assert!(clean && said.is_empty(), "{said}");
}
