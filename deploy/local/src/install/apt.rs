use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_servers::ServerUser;
use tally_servers::find;
use tokio::process::Command;

use super::missing::Missing;
use crate::logged::Logged;
use crate::project;
use crate::screen::Screen;

const SCRIPT: &str = include_str!("apt.sh");
/// An installation is not cut off in the middle.
const STOP_WITHIN: Duration = Duration::from_secs(600);

/// Installs what is missing with apt, where that may be done without asking; otherwise the error says how to.
pub(super) async fn install(screen: &Screen, missing: &Missing) -> Result<()> {
    if find::program(&["apt-get"]).is_none() {
        bail!(missing.how_to("There is no apt here to install it with"));
    }
    let Some((program, mut args)) = as_root().await else {
        bail!(missing.how_to("Installing it takes root or a passwordless sudo"));
    };
    let packages = missing.debian_packages();
    screen.line(&format!("· not found: {} ({})", missing.names(), missing.purposes()));
    args.extend(["-c", SCRIPT, "apt.sh"]);
    args.extend(&packages);
    let log = project::target_dir()?.join("install.log");
    let apt = Logged {
        program,
        args: args.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        log: &log,
        stop_within: STOP_WITHIN,
    };
    let what = format!(
        "installing {} with apt; the system's own servers from these packages stay off, Tally runs private ones",
        packages.join(" ")
    );
    screen.step(&what, apt.run()).await.with_context(|| missing.how_to("apt could not install it"))
}

/// The start of a command that runs `sh` as root without asking anybody.
async fn as_root() -> Option<(PathBuf, Vec<&'static str>)> {
    let sh = find::program(&["sh"])?;
    if ServerUser::is_needed() {
        return Some((sh, Vec::new()));
    }
    let sudo = find::program(&["sudo"])?;
    let allowed = Command::new(&sudo).args(["-n", "true"]).output().await;
    allowed.is_ok_and(|output| output.status.success()).then(|| (sudo, vec!["-n", "sh"]))
}
