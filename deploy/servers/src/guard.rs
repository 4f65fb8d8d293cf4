//! The hazard: a process that is killed runs no code of its own any more, and its servers would go on for ever. (Linux's parent-death signal
//! needs unsafe code, and a Mac has none.) So each program is run by a small shell script that holds a pipe from this process: the system
//! closes it with this process, however that ends, and the script stops the program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::{oneshot, watch};

use crate::ServerUser;
use crate::user::run_as;

const SCRIPT: &str = include_str!("guard.sh");
/// What a server of Tally's prints before its address.
const ANNOUNCEMENT: &str = "listening on ";

/// A program to run under a guard. It gets a process group of its own, so that a terminal's Ctrl-C doesn't reach it.
#[derive(Debug)]
pub struct GuardedCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set beside the inherited ones.
    pub env: Vec<(OsString, OsString)>,
    /// Run it as this user.
    pub user: Option<ServerUser>,
    /// Run it in this folder.
    pub folder: Option<PathBuf>,
    /// Its standard error; whatever is locked on this file stays locked until the program is gone.
    pub log: File,
    /// Its standard output goes to `log` too; otherwise it is [`Guarded::take_stdout`].
    pub stdout_to_log: bool,
    /// Asks it to stop when this process is gone: `TERM`, `INT`, `QUIT`.
    pub stop_signal: &'static str,
    /// How long it may take then, before it is killed; in whole seconds.
    pub stop_within: Duration,
    /// What to remove when this process is gone.
    pub remove: Option<PathBuf>,
}

/// A running program that ends when this process does. Dropping it stops it too.
#[derive(Debug)]
pub struct Guarded {
    pid: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
    stdout: Mutex<Option<BufReader<ChildStdout>>>,
    _alive: ChildStdin,
}

impl GuardedCommand {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no shell, or the program is not there.
    pub fn spawn(self) -> io::Result<Guarded> {
        if !self.program.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {}", self.program.display())));
        }
        let mut command = Command::new("/bin/sh");
        // Without its comments: `ps` shows the script.
        let script: Vec<&str> = SCRIPT.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        command.args(["-c", &script.join("\n"), "guard", self.stop_signal]).arg(self.stop_within.as_secs().to_string());
        command.arg(self.remove.unwrap_or_default()).arg(if self.stdout_to_log { "log" } else { "" });
        command.arg(self.program).args(self.args).envs(self.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(self.log).process_group(0);
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        run_as(&mut command, self.user);
        guarded(command.spawn()?)
    }
}

fn guarded(mut guard: Child) -> io::Result<Guarded> {
    let (Some(alive), Some(stdout)) = (guard.stdin.take(), guard.stdout.take()) else {
        return Err(io::Error::other("the guard has no pipes"));
    };
    let mut stdout = BufReader::new(stdout);
    let mut first_line = String::new();
    stdout.read_line(&mut first_line)?;
    let pid = first_line.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the guard could not start the program"))?;

    let (ended, exited) = watch::channel(None);
    thread::Builder::new().name("guard".to_owned()).spawn(move || ended.send(guard.wait().ok()))?;
    Ok(Guarded { pid, exited, stdout: Mutex::new(Some(stdout)), _alive: alive })
}

impl Guarded {
    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The program's standard output, once.
    pub fn take_stdout(&self) -> Option<BufReader<ChildStdout>> {
        self.stdout.lock().ok()?.take()
    }

    /// What the program says after `listening on`, once. The pipe is read to its end, whatever comes: nobody must die of a full or
    /// closed standard output.
    pub fn announced_address(&self) -> Option<oneshot::Receiver<String>> {
        let output = self.take_stdout()?;
        let (found, address) = oneshot::channel();
        thread::spawn(move || {
            let mut found = Some(found);
            for line in output.lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(ANNOUNCEMENT)
                    && let Some(found) = found.take()
                {
                    let _ = found.send(address.to_owned());
                }
            }
        });
        Some(address)
    }

    /// The program has not ended yet.
    pub fn is_running(&self) -> bool {
        self.exited.borrow().is_none() && self.exited.has_changed().is_ok()
    }

    /// Waits until the program has ended; None when it isn't known how.
    pub async fn exited(&self) -> Option<ExitStatus> {
        let mut exited = self.exited.clone();
        // An error says that the waiting thread is gone without a status: ended all the same.
        exited.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Sends the program a signal; no error when it has ended already.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        send(self.pid, signal)
    }
}

/// Sends `signal` to a process that may have ended meanwhile.
pub(crate) fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(pid, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A process with this id exists.
pub fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

pub use rustix::process::Signal as UnixSignal;
