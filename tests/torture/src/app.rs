//! From the command line to a verdict.

use std::process::ExitCode;

use crate::abuse;
use crate::args::{Action, CommandLine};
use crate::fuzz;
use crate::report::{conclude, say};
use crate::run::{run, schedule};

/// How the program ends when the product broke a promise.
const BROKEN_PROMISE: u8 = 1;
/// How it ends when the kit itself couldn't do its work.
const NO_VERDICT: u8 = 2;

/// Runs, and says what came of it.
pub async fn run_command_line(line: CommandLine) -> ExitCode {
    match line.action.clone() {
        Some(Action::Fuzz(args)) => {
            let passed = tokio::task::spawn_blocking(move || fuzz::run(&args)).await.unwrap_or(false);
            return verdict(passed);
        }
        Some(Action::Abuse(args)) => {
            return match abuse::run(&line, &args).await {
                Ok(passed) => verdict(passed),
                Err(error) => no_verdict(&error),
            };
        }
        None => {}
    }
    let seed = line.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    if line.schedule_only {
        return match schedule(&line, seed) {
            Ok((_, schedule)) => {
                for one in schedule.0 {
                    say(&format!(
                        "{:>9.3} s  {} for {:?}, replica {}",
                        one.at.as_secs_f64(),
                        one.fault.name(),
                        one.hold,
                        one.replica
                    ));
                }
                ExitCode::SUCCESS
            }
            Err(error) => no_verdict(&error),
        };
    }
    say(&format!("torture: seed {seed}, {:?}, faults: {}", line.duration, line.faults));
    match run(&line, seed).await {
        Ok(outcome) if conclude(&outcome) => {
            if line.folder.is_none() {
                let _ = std::fs::remove_dir_all(&outcome.folder);
            }
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::from(BROKEN_PROMISE),
        Err(error) => no_verdict(&error),
    }
}

fn verdict(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::from(BROKEN_PROMISE) }
}

fn no_verdict(error: &anyhow::Error) -> ExitCode {
    say(&format!("NO VERDICT: {error:#}"));
    ExitCode::from(NO_VERDICT)
}
