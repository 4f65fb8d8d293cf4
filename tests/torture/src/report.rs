//! What is said: progress, the table of figures, the verdict. A failed run's history is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use crate::history::{AttemptResult, History, ReadResult, Recorder};
use crate::resources::Resources;
use crate::run::Outcome;

/// Says a line.
#[allow(clippy::print_stdout, reason = "this is what the program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// How far a run is.
pub(crate) struct Progress {
    faults: usize,
    duration: Duration,
}

impl Progress {
    pub(crate) fn new(faults: usize, duration: Duration) -> Self {
        Self { faults, duration }
    }

    pub(crate) fn tell(&self, elapsed: Duration, recorder: &Recorder) {
        let history = recorder.history();
        let line = format!(
            "  {:>7.1} s of {:.0}: {} calls of commands, {} reads, {} of {} faults healed",
            elapsed.as_secs_f64(),
            self.duration.as_secs_f64(),
            history.attempts.len(),
            history.reads.len(),
            history.faults.len(),
            self.faults
        );
        drop(history);
        say(&line);
    }
}

/// Says what a run came to, and keeps the history of one that failed. Whether all is well.
pub(crate) fn conclude(outcome: &Outcome) -> bool {
    let Outcome { verdict, history, folder, .. } = outcome;
    say(&format!("\n{}\n", figures(outcome)));
    say(&format!("{}\n", resources(&outcome.resources)));
    if !history.faults.is_empty() {
        say(&format!("{}\n", recoveries(history)));
    }
    for violation in &verdict.violations {
        say(&format!("VIOLATION {violation}"));
    }
    if verdict.violations.is_empty() {
        let seed = outcome.seed;
        say(&format!(
            "PASSED (seed {seed}): nothing lost, doubled, oversold, skipped, out of order, or stale without saying so"
        ));
        return true;
    }
    let path = folder.join("history.jsonl");
    let kept = match history.write(&path) {
        Ok(()) => format!("history and logs are in {}", folder.display()),
        Err(error) => format!("the history can't be kept: {error}"),
    };
    let count = verdict.violations.len() + verdict.left_out;
    say(&format!("FAILED (seed {}): {count} violations; {kept}", outcome.seed));
    false
}

fn figures(outcome: &Outcome) -> Table {
    let Outcome { history, log, verdict, took, .. } = outcome;
    let mut commands: BTreeMap<_, Settled> = BTreeMap::new();
    for attempt in &history.attempts {
        let settled = match &attempt.result {
            AttemptResult::Acknowledged { .. } => Settled::Acknowledged,
            AttemptResult::Refused(failed) if failed.reason == "OVERLOADED" => Settled::Unknown,
            AttemptResult::Refused(_) => Settled::Refused,
            AttemptResult::Unknown(_) | AttemptResult::GivenUp => Settled::Unknown,
        };
        let known = commands.entry(attempt.command_id).or_insert(settled);
        *known = settled.max(*known);
    }
    let of = |wanted: Settled| commands.values().filter(|settled| **settled == wanted).count();
    let tries =
        |wanted: fn(&AttemptResult) -> bool| history.attempts.iter().filter(|attempt| wanted(&attempt.result)).count();
    let reads = |wanted: fn(&ReadResult) -> bool| history.reads.iter().filter(|read| wanted(&read.result)).count();
    let with_token = history.reads.iter().filter(|read| read.asked.wanted > 0).count();
    let acknowledged = of(Settled::Acknowledged);
    let per_second = (acknowledged as f64 / took.as_secs_f64()).round();

    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["figure", "count"]);
    let told: usize = history.watches.iter().map(|watch| watch.told.len()).sum();
    let rows: [(&str, String); 19] = [
        ("commands acknowledged", format!("{acknowledged} ({per_second}/s)")),
        ("commands refused by the rules", of(Settled::Refused).to_string()),
        ("commands whose outcome nobody knows", of(Settled::Unknown).to_string()),
        ("calls of commands", history.attempts.len().to_string()),
        (
            "… of unknown outcome, settled by sending the same id again",
            tries(|result| matches!(result, AttemptResult::Unknown(_))).to_string(),
        ),
        ("… given up by the client", tries(|result| *result == AttemptResult::GivenUp).to_string()),
        ("reads", history.reads.len().to_string()),
        ("… with a token", with_token.to_string()),
        (
            "… flagged as perhaps stale",
            reads(|result| matches!(result, ReadResult::Answered { may_be_stale: true, .. })).to_string(),
        ),
        ("… without an answer", reads(|result| matches!(result, ReadResult::Failed(_))).to_string()),
        ("watches", history.watches.len().to_string()),
        ("… their messages", told.to_string()),
        ("answers and messages held against the fold of the log", verdict.views_checked.to_string()),
        ("subscriptions to the log", history.subscriptions.len().to_string()),
        ("… events that they were handed, held against the log", verdict.handed_checked.to_string()),
        ("events published at the end, held against the log", verdict.published_checked.to_string()),
        ("faults injected", history.faults.len().to_string()),
        ("events in the log", log.events.len().to_string()),
        ("violations", (verdict.violations.len() + verdict.left_out).to_string()),
    ];
    for (name, count) in rows {
        table.add_row([name.to_owned(), count]);
    }
    table
}

/// What the processes took. First and last are of the life that a process ended with.
fn resources(Resources(taken): &Resources) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header([
        "process",
        "memory at first, last, most (MiB)",
        "descriptors at first, last",
    ]);
    for (process, taken) in taken {
        let mib = [taken.memory_kib_first, taken.memory_kib_last, taken.memory_kib_most].map(|kib| kib / 1_024);
        let memory = format!("{}, {}, {}", mib[0], mib[1], mib[2]);
        let descriptors = format!("{}, {}", taken.descriptors_first, taken.descriptors_last);
        table.add_row([process.clone(), memory, descriptors]);
    }
    table
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Settled {
    Unknown,
    Refused,
    Acknowledged,
}

/// How soon clients were served again after each fault had healed: the first of them, by kind of fault.
fn recoveries(history: &History) -> Table {
    let mut commands: Vec<(u64, u64)> = history
        .attempts
        .iter()
        .filter(|attempt| attempt.is_acknowledged())
        .map(|attempt| (attempt.invoked_us, attempt.ended_us))
        .collect();
    let fresh = |result: &ReadResult| matches!(result, ReadResult::Answered { may_be_stale: false, .. });
    let mut reads: Vec<(u64, u64)> = history
        .reads
        .iter()
        .filter(|read| read.asked.wanted > 0 && fresh(&read.result))
        .map(|read| (read.asked.invoked_us, read.asked.ended_us))
        .collect();
    commands.sort_unstable();
    reads.sort_unstable();
    let mut by_fault: BTreeMap<&str, Vec<[Option<u64>; 2]>> = BTreeMap::new();
    for fault in &history.faults {
        let back = [&commands, &reads].map(|served| back_after_ms(served, fault.healed_us));
        by_fault.entry(fault.fault).or_default().push(back);
    }
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header([
        "fault",
        "times",
        "first command after it, worst (ms)",
        "first fresh token read after it, worst (ms)",
    ]);
    for (fault, backs) in by_fault {
        let worst = |index: usize| {
            let worst = backs.iter().map(|back| back[index]).max().flatten();
            worst.map_or_else(|| "–".to_owned(), |ms| ms.to_string())
        };
        table.add_row([fault.to_owned(), backs.len().to_string(), worst(0), worst(1)]);
    }
    table
}

/// Milliseconds to the end of the first good call that began after `healed_us`.
fn back_after_ms(served: &[(u64, u64)], healed_us: u64) -> Option<u64> {
    let after = served.partition_point(|(invoked_us, _)| *invoked_us < healed_us);
    let first = served[after..].iter().take(1_000).map(|(_, ended_us)| ended_us - healed_us).min();
    first.map(|us| us / 1_000)
}
