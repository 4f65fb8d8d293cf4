use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_servers::guard::GuardedCommand;

const LOG_TAIL_LINES: usize = 12;
/// What a shell adds to a signal's number when it reports it as an exit status.
const SIGNALLED: i32 = 128;

/// A program that does something and ends; what it prints goes to a log.
#[derive(Debug)]
pub(crate) struct Logged<'a> {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) log: &'a Path,
    /// How long it may go on when this process ends.
    pub(crate) stop_within: Duration,
}

impl Logged<'_> {
    /// Runs it to its end. An error shows the end of the log.
    pub(crate) async fn run(self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log);
        let name = self.program.file_name().unwrap_or_default().display().to_string();
        let command = GuardedCommand {
            program: self.program,
            args: self.args,
            env: self.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            user: None,
            folder: None,
            log: log.with_context(|| format!("can't write {}", self.log.display()))?,
            stdout_to_log: true,
            stop_signal: "TERM",
            stop_within: self.stop_within,
            remove: None,
        };
        let status = command.spawn().with_context(|| format!("can't start {name}"))?.exited().await;
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        bail!("{name} {}:\n{}", how_it_ended(status), log_tail(self.log))
    }
}

/// For a sentence that begins with the program's name.
pub(crate) fn how_it_ended(status: Option<ExitStatus>) -> String {
    match (status.and_then(|status| status.code()), status.and_then(|status| status.signal())) {
        (Some(code), _) if code > SIGNALLED => format!("was ended by signal {}", code - SIGNALLED),
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The last lines of a log, indented, and where the rest is.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !is_backtrace(line)).collect();
    let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    tail.iter().map(|line| format!("    {line}\n")).collect::<String>() + &format!("    (from {})", log.display())
}

/// With RUST_BACKTRACE an error ends in pages of these, and what went wrong stands above them.
fn is_backtrace(line: &str) -> bool {
    let line = line.trim_start();
    let frame = line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    frame || line.starts_with("at ") || line.starts_with("Stack backtrace:") || line.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_shows_what_went_wrong_and_not_the_backtrace_below_it() {
        let log = std::env::temp_dir().join(format!("tally-log-{}", uuid::Uuid::new_v4().simple()));
        let frames: String = (0..30).map(|n| format!("  {n}: main\n     at ./main.rs:1:1\n")).collect();
        fs::write(&log, format!("Error: no route\n\nCaused by:\n    refused\n\nStack backtrace:\n{frames}")).unwrap();
        let tail = log_tail(&log);
        fs::remove_file(&log).unwrap();
        assert!(tail.contains("Error: no route") && tail.contains("refused"), "{tail}");
        assert!(!tail.contains("main.rs"), "{tail}");
    }
}
