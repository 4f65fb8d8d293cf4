//! A process under test: started, signalled, and gone when its owner is, however that one ends.

use std::fs::{self, File};
use std::iter;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_servers::guard::{Guarded, GuardedCommand, UnixSignal};

use crate::binary;

/// How long a process may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a log that a failed test shows.
const LOG_TAIL_LINES: usize = 40;

/// How a program is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program's name, such as `projector`.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its variables.
    pub environment: Vec<(&'static str, String)>,
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    guarded: Guarded,
}

impl Process {
    /// Starts it, its standard error in the file `log` (appended).
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(launch: &Launch, log: &Path) -> Result<Self> {
        let command = GuardedCommand {
            program: binary(launch.program),
            args: launch.arguments.iter().map(Into::into).collect(),
            // What a program says of an error is looked at, also by whoever wants to see where a test failed.
            env: iter::once(("RUST_LIB_BACKTRACE", "0"))
                .chain(launch.environment.iter().map(|(name, value)| (*name, value.as_str())))
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            user: None,
            folder: None,
            log: File::options().create(true).append(true).open(log)?,
            stdout_to_log: false,
            stop_signal: "KILL",
            stop_within: Duration::ZERO,
            remove: None,
        };
        Ok(Self { guarded: command.spawn().with_context(|| format!("can't start {}", launch.program))? })
    }

    /// As [`Process::spawn`], and waits until it has said where it listens.
    ///
    /// # Errors
    /// When it ends first, or says nothing in time.
    pub async fn serve(launch: &Launch, log: &Path) -> Result<(Self, SocketAddr)> {
        let process = Self::spawn(launch, log)?;
        let announced = process.guarded.announced_address().context("no standard output")?;
        let name = launch.program;
        match tokio::time::timeout(START_TIMEOUT, announced).await {
            Ok(Ok(address)) => Ok((process, address.parse().with_context(|| format!("{name} listens on {address}"))?)),
            Ok(Err(_)) => bail!("{name} ended before it listened:\n{}", log_tail(log)),
            Err(_) => bail!("{name} didn't say where it listens:\n{}", log_tail(log)),
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.guarded.is_running()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it may not be signalled.
    pub fn signal(&self, signal: UnixSignal) {
        self.guarded.signal(signal).expect("a process of one's own can be signalled");
    }

    /// Waits for its end, for ever.
    pub async fn exited(&self) {
        self.guarded.exited().await;
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it hasn't ended within `patience`.
    pub async fn ended(&self, patience: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(patience, self.guarded.exited()).await;
        ended.unwrap_or_else(|_| panic!("the process hasn't ended within {patience:?}")).expect("a status")
    }
}

/// The last lines of a log.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
