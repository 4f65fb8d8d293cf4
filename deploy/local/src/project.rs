use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository that this program was built in.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder that cargo builds into, whatever it is called: this program is in a profile's folder of it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("this program doesn't know where it is")?;
    let target = program.ancestors().nth(2).context("this program is not in cargo's target folder")?;
    Ok(target.to_owned())
}

/// The Python environment of the tests, with grpcurl and buf in it.
pub(crate) fn clients_venv() -> Result<PathBuf> {
    Ok(target_dir()?.join("clients-venv"))
}
