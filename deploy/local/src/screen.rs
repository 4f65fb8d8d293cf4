use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant as TokioInstant, interval_at};

/// How often a long step without a terminal says that it still goes on.
const HEARTBEAT: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(100);
/// A step that took longer says how long.
const WORTH_SAYING: Duration = Duration::from_secs(1);

/// What the user sees: lines, and steps with a spinner on a terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    out: Mutex<io::Stdout>,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        Screen { terminal, out: Mutex::new(io::stdout()) }
    }

    pub(crate) fn line(&self, text: &str) {
        // Nobody reads it any more: no reason to stop.
        if let Ok(mut out) = self.out.lock() {
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        }
    }

    pub(crate) fn error(&self, text: &str) {
        let _ = writeln!(io::stderr(), "error: {text}");
    }

    /// Does `work` and shows that it is being done.
    pub(crate) async fn step<T, E>(&self, what: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let spinner = self.spinner(what);
        let mut work = std::pin::pin!(work);
        let mut heartbeat = interval_at(TokioInstant::now() + HEARTBEAT, HEARTBEAT);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = heartbeat.tick() => if !self.terminal { self.line(&format!("  … {} s", began.elapsed().as_secs())) },
            }
        };
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
            self.line(&match &done {
                Ok(_) if began.elapsed() > WORTH_SAYING => format!("✓ {what} ({:.1} s)", began.elapsed().as_secs_f64()),
                Ok(_) => format!("✓ {what}"),
                Err(_) => format!("✗ {what}"),
            });
        }
        done
    }

    fn spinner(&self, what: &str) -> Option<ProgressBar> {
        if !self.terminal {
            self.line(&format!("· {what}"));
            return None;
        }
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
        spinner.enable_steady_tick(TICK);
        Some(spinner)
    }
}
