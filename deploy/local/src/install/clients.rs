use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::missing::python;
use crate::logged::Logged;
use crate::project;
use crate::screen::Screen;

const REQUIREMENTS: &str = "tests/clients/requirements.txt";
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Makes target/clients-venv, or brings it up to date: the Python client, grpcurl, buf, kubectl and what checks deploy/.
pub(super) async fn install(screen: &Screen) -> Result<()> {
    let requirements = project::root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("can't read {}", requirements.display()))?;
    let venv = project::clients_venv()?;
    // The tests make it themselves when it is not there, under the same lock.
    let lock = File::create(venv.with_extension("lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    // Written last, so that what was interrupted is done again.
    let stamp = venv.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        screen.line(&format!("✓ the tools of the tests (grpcio, grpcurl, buf, kubectl …) are in {}", venv.display()));
        return Ok(());
    }
    let what = format!("installing the tools of the tests (grpcio, grpcurl, buf, kubectl …) into {}", venv.display());
    screen.step(&what, make(&venv, &requirements)).await?;
    fs::write(&stamp, wanted)?;
    drop(lock);
    Ok(())
}

async fn make(venv: &Path, requirements: &Path) -> Result<()> {
    let python = python().await.context("there is no Python with venv")?;
    let venv_args = ["-m".into(), "venv".into(), "--clear".into(), venv.into()];
    run(python, venv_args.to_vec()).await?;
    let pip = ["-m", "pip", "install", "--disable-pip-version-check", "--requirement"].map(Into::into);
    let pip = pip.into_iter().chain([requirements.into()]).collect();
    run(venv.join("bin/python"), pip).await
}

async fn run(program: PathBuf, args: Vec<std::ffi::OsString>) -> Result<()> {
    let log = project::target_dir()?.join("install.log");
    Logged { program, args, env: Vec::new(), log: &log, stop_within: STOP_WITHIN }.run().await
}
