//! How far a rebuild has come: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal a line is written each time that this many hundredths are done.
const PERCENT_PER_LINE: u64 = 10;

/// Shows how far a rebuild has come.
pub(crate) struct Progress {
    projection: &'static str,
    head: u64,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next_percent: u64 },
}

impl Progress {
    pub(crate) fn start(projection: &'static str, head: u64) -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let template = "{msg} [{wide_bar}] {human_pos}/{human_len} events, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            Shown::Bar(ProgressBar::new(head).with_style(style).with_message(format!("rebuilding {projection}")))
        } else {
            Shown::Lines { next_percent: 0 }
        };
        Self { projection, head, shown }
    }

    pub(crate) fn at(&mut self, position: u64) {
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(position),
            Shown::Lines { next_percent } => {
                let percent = (position.min(self.head) * 100).checked_div(self.head).unwrap_or(100);
                if percent >= *next_percent {
                    *next_percent = percent - percent % PERCENT_PER_LINE + PERCENT_PER_LINE;
                    line(&format!("rebuilding {}: {percent} %, {position} of {} events", self.projection, self.head));
                }
            }
        }
    }

    pub(crate) fn say(&self, what: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.println(what),
            Shown::Lines { .. } => line(what),
        }
    }

    pub(crate) fn end(self, what: &str) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
        line(what);
    }
}

fn line(text: &str) {
    // Nobody reads it any more: that is no reason to stop a rebuild.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
