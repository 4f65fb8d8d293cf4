use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::baselines::BaselineArgs;
use crate::load::LoadArgs;

/// Measures Tally against what else a team could have built
#[derive(Debug, Parser)]
#[command(version)]
pub struct CommandLine {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Measure, print one table and write a file of results
    Run(RunArgs),
    /// Load all three services with half of what they can do, for long, and look whether their memory and descriptors grow
    Soak(SoakArgs),
    /// Send commands over Tally's API and print one line of JSON about it
    Load(LoadArgs),
    /// Serve the API of Tally's commands, as far as it is measured, in one of the ways that Tally is compared with
    Baseline(BaselineArgs),
}

/// What `run` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Only these rows, by their ids: P1,P3
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    pub(crate) only: Vec<String>,

    /// How often everything is measured; the table has the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// Milliseconds that count for nothing, at the beginning of each run
    #[arg(long, default_value_t = 500, value_name = "MS")]
    pub(crate) warm_up_ms: u64,

    /// Milliseconds that count, after those; pgbench has whole seconds
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    pub(crate) measure_ms: u64,

    /// Events in the log that is long already
    #[arg(long, default_value_t = 5_000_000, value_name = "COUNT")]
    pub(crate) long_log_events: u64,

    /// Orders in the log that is projected and read; each has two events
    #[arg(long, default_value_t = 100_000, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(10_000..))]
    pub(crate) orders: u64,

    /// Folder for the results
    #[arg(long, default_value = "bench/results", value_name = "FOLDER")]
    pub(crate) results: PathBuf,

    /// Folder for the servers' data, which is removed at the end; it should be on the kind of disk that the answer is to hold for
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    pub(crate) data: PathBuf,
}

/// What `soak` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    /// How long
    #[arg(long, default_value_t = 30, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub(crate) minutes: u64,

    /// Folder for the servers' data, which is removed at the end
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    pub(crate) data: PathBuf,
}

impl RunArgs {
    /// One run as long as the soak.
    pub(crate) fn of_soak(soak: &SoakArgs) -> Self {
        Self {
            only: Vec::new(),
            rounds: 1,
            warm_up_ms: 500,
            measure_ms: soak.minutes * 60_000,
            long_log_events: 0,
            orders: 0,
            results: PathBuf::new(),
            data: soak.data.clone(),
        }
    }

    pub(crate) fn measure(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}
