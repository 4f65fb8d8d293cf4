//! How far something has come: a bar on a terminal, lines elsewhere, or JSON.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use tally_api::projections::v1::Rebuild;

use crate::cli::rebuild_json;

/// Without a terminal a line is written each time that this many hundredths are done.
const PERCENT_PER_LINE: u64 = 10;

/// Shows how far a rebuild or a check has come.
pub(crate) struct Progress {
    what: &'static str,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next_percent: u64 },
    Json,
}

impl Progress {
    /// `what` is the projection that is rebuilt, or the check.
    pub(crate) fn start(what: &'static str, json: bool) -> Self {
        let shown = if json {
            Shown::Json
        } else if std::io::stderr().is_terminal() {
            let template = "{msg} [{wide_bar}] {human_pos}/{human_len} events, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            Shown::Bar(ProgressBar::new(0).with_style(style).with_message(what))
        } else {
            Shown::Lines { next_percent: 0 }
        };
        Self { what, shown }
    }

    /// A rebuild has come so far.
    pub(crate) fn at(&mut self, rebuild: &Rebuild) {
        if let Shown::Json = self.shown {
            return line(&rebuild_json(rebuild).to_string());
        }
        let number = |events: i64| u64::try_from(events).unwrap_or(0);
        self.done(number(rebuild.done_events), number(rebuild.total_events));
    }

    /// So many of so many events are done.
    pub(crate) fn done(&mut self, done: u64, of: u64) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_length(of);
                bar.set_position(done);
            }
            Shown::Lines { next_percent } => {
                let percent = (done.min(of) * 100).checked_div(of).unwrap_or(100);
                if percent >= *next_percent {
                    *next_percent = percent - percent % PERCENT_PER_LINE + PERCENT_PER_LINE;
                    line(&format!("{}: {percent} %, {done} of {of} events", self.what));
                }
            }
            Shown::Json => {}
        }
    }

    pub(crate) fn say(&self, what: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.println(what),
            Shown::Lines { .. } => line(what),
            Shown::Json => {}
        }
    }

    /// The outcome: for people, or for programs.
    pub(crate) fn end(self, what: &str, outcome: &serde_json::Value) {
        let json = matches!(self.shown, Shown::Json);
        self.clear();
        if json { line(&outcome.to_string()) } else { line(what) }
    }

    pub(crate) fn clear(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) {
    // Nobody reads it any more: that is no reason to stop.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
