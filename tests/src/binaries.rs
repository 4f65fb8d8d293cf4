//! Where the programs under test are: beside the test program, built from the same tree.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with programs built already. Without it, cargo is asked to build them, so that a test never runs against old ones.
const BINARIES_VARIABLE: &str = "TALLY_TEST_BINARIES";

/// The programs under test.
const PROGRAMS: [&str; 3] = ["command-service", "projector", "query-service"];
/// What the variables begin with that cargo sets for the programs it runs.
const VARIABLES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a folder of the repository")
}

/// The folder that cargo builds into.
///
/// # Panics
/// When the test program isn't where cargo puts it.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile has a folder").to_owned()
}

/// The path of a program under test.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os(BINARIES_VARIABLE) {
            Some(folder) => folder.into(),
            None => build(),
        })
        .join(name)
}

/// `target/PROFILE`: a test program is in `target/PROFILE/deps`, every other one in the folder itself.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its path");
    let folder = program.parent().expect("a program is in a folder");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    profile.expect("the test program is in a profile's folder").to_owned()
}

fn build() -> PathBuf {
    let folder = profile_dir();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Not by package: another choice of packages is another choice of features, and every dependency would be compiled again.
    cargo.current_dir(root()).args(["build", "--quiet"]);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    // What `cargo test` sets for the test program: build scripts take it for a change and compile all over again.
    let set_by_cargo =
        |name: &str| name == "CARGO" || name == "OUT_DIR" || VARIABLES.iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars().filter(|(name, _)| set_by_cargo(name)) {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the programs under test don't build");
    folder
}
