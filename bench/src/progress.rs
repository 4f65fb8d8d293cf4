//! What is going on: a bar on a terminal, lines elsewhere. On standard error, since the table is what a bench prints.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::sample::Sample;
use crate::subject::Subject;

#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    rounds: u32,
    began: Instant,
}

impl Progress {
    pub(crate) fn new(rounds: u32, subjects: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}  {msg}");
            let bar = ProgressBar::new(u64::from(rounds) * subjects as u64);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, rounds, began: Instant::now() }
    }

    pub(crate) fn begin(&self, round: u32, subject: Subject) {
        let Self { bar, rounds, began } = self;
        let what = format!("round {} of {rounds}: {subject:?}", round + 1);
        match bar {
            Some(bar) => bar.set_message(what),
            None => line(&format!("{:>4} s  {what}", began.elapsed().as_secs())),
        }
    }

    pub(crate) fn end(&self, subject: Subject, sample: &Sample) {
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => line(&format!("        {subject:?}: {sample}")),
        }
    }

    pub(crate) fn failed(&self, subject: Subject, error: &anyhow::Error) {
        let text = format!("{subject:?} failed: {error:#}");
        match &self.bar {
            Some(bar) => bar.println(text),
            None => line(&text),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) {
    // Nobody reads it any more: no reason to stop.
    let _ = writeln!(std::io::stderr(), "{text}");
}
