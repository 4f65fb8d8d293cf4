//! Programs that stand beside this one: the services, the baselines, the load.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_servers::guard::{Guarded, GuardedCommand, UnixSignal};
use tokio::process::Command;
use tokio::time::timeout;

use crate::load::LoadReport;

const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A program beside this one.
///
/// # Errors
/// When it isn't there.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if !program.is_file() {
        bail!("there is no {}: `make bench` builds it", program.display());
    }
    Ok(program)
}

/// A server that is being measured. It ends with this process.
#[derive(Debug)]
pub(crate) struct Service {
    guarded: Guarded,
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts it and waits until it says where it listens.
    pub(crate) async fn start(program: PathBuf, args: &[&str], env: &[(&str, String)], log: &Path) -> Result<Self> {
        let name = program.display().to_string();
        let command = GuardedCommand {
            program,
            args: args.iter().map(Into::into).collect(),
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            user: None,
            folder: None,
            log: File::options().create(true).append(true).open(log)?,
            stdout_to_log: false,
            stop_signal: "KILL",
            stop_within: Duration::ZERO,
            remove: None,
        };
        let guarded = command.spawn().with_context(|| format!("can't start {name}"))?;
        let announced = guarded.announced_address().context("no standard output")?;
        match timeout(START_WITHIN, announced).await {
            Ok(Ok(address)) => Ok(Self { guarded, address: address.parse()? }),
            _ => bail!("{name} doesn't listen; see {}", log.display()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.guarded.signal(UnixSignal::TERM)?;
        timeout(STOP_WITHIN, self.guarded.exited()).await.context("a service doesn't stop")?;
        Ok(())
    }
}

/// Runs `bench load`. One error in it is one too many.
pub(crate) async fn load(targets: &[SocketAddr], args: &[String]) -> Result<LoadReport> {
    let mut command = Command::new(program("bench")?);
    command.arg("load");
    for target in targets {
        command.arg("--target").arg(target.to_string());
    }
    let output = output_of(command.args(args)).await?;
    let report: LoadReport = serde_json::from_str(&output)?;
    if !report.errors.is_empty() {
        bail!("the server refused commands: {:?}", report.errors);
    }
    if report.measured == 0 {
        bail!("no command was answered while it counted");
    }
    Ok(report)
}

/// What a program prints, if it ends well.
pub(crate) async fn output_of(command: &mut Command) -> Result<String> {
    let output = command.kill_on_drop(true).output().await?;
    if !output.status.success() {
        bail!("{:?}: {}", command.as_std().get_program(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
