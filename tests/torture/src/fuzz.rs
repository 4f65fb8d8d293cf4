//! Fuzzing by plain loops: everything that is decoded, fed with good input gone bad. A panic is a find; so is what doesn't survive a round.

mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use fastrand::Rng;
use system_tests::mutated;

use crate::report::say;
use targets::{TARGETS, Target};

/// What fuzzing is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct FuzzArgs {
    /// Executions over all targets
    #[arg(long, default_value_t = 1_000_000, value_name = "COUNT")]
    executions: u64,

    /// What decides the input
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// Runs every target, and says how often and with what. Whether none failed.
pub(crate) fn run(args: &FuzzArgs) -> bool {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["target", "executions", "decoded", "per second", "failures"]);
    let share: u64 = TARGETS.iter().map(|target| target.share).sum();
    let mut failures = 0;
    for target in &TARGETS {
        let executions = args.executions * target.share / share;
        let began = Instant::now();
        let Came { decoded, failed } = fuzz(target, executions, args.seed);
        let per_second = (executions as f64 / began.elapsed().as_secs_f64()).round();
        let row = [executions.to_string(), decoded.to_string(), per_second.to_string(), failed.len().to_string()];
        table.add_row([target.name.to_owned()].into_iter().chain(row));
        for input in &failed {
            say(&format!("VIOLATION {} fails on {input:02x?}", target.name));
        }
        failures += failed.len();
    }
    say(&format!("\n{table}\n"));
    say(if failures == 0 { "PASSED: nothing panics" } else { "FAILED" });
    failures == 0
}

struct Came {
    /// How many inputs were good after all: what none of is good for shows nothing.
    decoded: u64,
    failed: Vec<Vec<u8>>,
}

fn fuzz(target: &Target, executions: u64, seed: u64) -> Came {
    let mut rng = Rng::with_seed(seed);
    let seeds = (target.seeds)();
    let mut came = Came { decoded: 0, failed: Vec::new() };
    for _ in 0..executions {
        let good = &seeds[rng.usize(..seeds.len())];
        // Now and then the good one itself.
        let input = if rng.u8(..64) == 0 { good.clone() } else { mutated(&mut rng, good) };
        match catch_unwind(AssertUnwindSafe(|| (target.decode)(&input))) {
            Ok(decoded) => came.decoded += u64::from(decoded),
            Err(_) if came.failed.len() < 10 => came.failed.push(input),
            Err(_) => {}
        }
    }
    came
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_fails_and_each_decodes_what_is_good() {
        for target in &TARGETS {
            let executions = 400 * target.share;
            let Came { decoded, failed } = fuzz(target, executions, 1);
            assert_eq!(failed, Vec::<Vec<u8>>::new(), "{}", target.name);
            assert!(decoded > executions / 100, "{}: {decoded} of {executions}", target.name);
        }
    }

    #[test]
    fn a_target_that_panics_is_found() {
        let broken = |input: &[u8]| {
            assert!(!input.contains(&0xff), "a bug");
            true
        };
        let target = Target { name: "broken", share: 1, seeds: seeds::tokens, decode: broken };
        assert!(!fuzz(&target, 10_000, 1).failed.is_empty());
    }
}
