use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tally_servers::find;
use tally_servers::guard::GuardedCommand;

use crate::project;
use crate::service::NAMES;

/// Builds the services and returns the folder of their programs.
///
/// The profile is dev unless asked otherwise: it is the one that this program and the tests are built with, so its dependencies are there
/// already and the first answer comes minutes sooner. cargo shows its own progress.
pub(crate) async fn build(release: bool) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").map(PathBuf::from).or_else(|| find::program(&["cargo"]));
    let cargo = cargo.context("cargo is not in PATH")?;
    let mut args: Vec<OsString> = Vec::new();
    for variable in cargos_own_variables() {
        args.extend(["-u".into(), variable]);
    }
    args.extend([cargo.into(), "build".into()]);
    for name in NAMES {
        args.extend(["--bin".into(), name.into()]);
    }
    if release {
        args.push("--release".into());
    }
    let command = GuardedCommand {
        program: find::program(&["env"]).context("there is no `env`")?,
        args,
        env: Vec::new(),
        user: None,
        folder: Some(project::root()),
        log: File::from(io::stderr().as_fd().try_clone_to_owned()?),
        stdout_to_log: true,
        stop_signal: "TERM",
        stop_within: Duration::from_secs(2),
        remove: None,
    };
    let status = command.spawn().context("can't start cargo")?.exited().await;
    ensure!(status.is_some_and(|status| status.success()), "the services don't build: see above");
    let folder = project::target_dir()?.join(if release { "release" } else { "debug" });
    for name in NAMES {
        ensure!(folder.join(name).is_file(), "cargo has built no {}", folder.join(name).display());
    }
    Ok(folder)
}

/// What `cargo run` and `cargo test` set for the program that they start. Build scripts (ring's) take them for a change and compile it, and all
/// that depends on it, once more.
fn cargos_own_variables() -> impl Iterator<Item = OsString> {
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    const NAMES: [&str; 2] = ["CARGO", "OUT_DIR"];
    let set_by_cargo = |name: &str| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let run_by_cargo = env::var_os("CARGO_MANIFEST_DIR").is_some();
    env::vars_os().map(|(name, _)| name).filter(move |name| run_by_cargo && name.to_str().is_some_and(set_by_cargo))
}
