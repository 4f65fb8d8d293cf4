//! What the kit is told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::Fault;
use crate::abuse::AbuseArgs;
use crate::fuzz::FuzzArgs;
use crate::planted::Planted;

/// Tortures Tally and proves that nothing was lost: clients, faults by a seeded schedule, a history, a verdict.
#[derive(Clone, Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,

    /// URL of a Postgres to use instead of a private one, as a user who may create schemas and roles. Faults that need its process are left out
    #[arg(long, env = "TORTURE_DATABASE_URL", value_name = "URL", hide_env_values = true, requires = "redis_url")]
    pub(crate) database_url: Option<String>,

    /// URL of a Redis to use instead of a private one. Faults that need its process, or would take what belongs to others, are left out
    #[arg(long, env = "TORTURE_REDIS_URL", value_name = "URL", hide_env_values = true, requires = "database_url")]
    pub(crate) redis_url: Option<String>,

    /// How long clients send and faults happen: 90, 90s, 10m, 1h
    #[arg(long, env = "TORTURE_DURATION", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,

    /// What decides the schedule of faults and what clients send; a new one when absent
    #[arg(long, env = "TORTURE_SEED", value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Which faults, by name: a list with commas, `all` or `none`
    #[arg(long, env = "TORTURE_FAULTS", default_value = "all", value_name = "NAMES")]
    pub(crate) faults: String,

    /// Clients that send one call after the other
    #[arg(long, default_value_t = 24, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) sessions: u16,

    /// Of a hundred calls, how many are reads
    #[arg(long, default_value_t = 25, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    pub(crate) reads_percent: u8,

    /// Of a hundred commands, how many are given up by the client before they are answered
    #[arg(long, default_value_t = 2, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    pub(crate) given_up_percent: u8,

    /// Replicas of command-service
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) command_services: u16,

    /// Replicas of query-service
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) query_services: u16,

    /// Milliseconds from the start of one fault to that of the next, at the most
    #[arg(long, default_value_t = 4_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) fault_gap_ms_max: u64,

    /// Milliseconds that a fault lasts, at the most; those that say more of themselves last longer
    #[arg(long, default_value_t = 3_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) fault_hold_ms_max: u64,

    /// Seconds that clients have after the load to settle what they don't know, by sending it again
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) settle_secs_max: u64,

    /// Seconds that every view has after the load to get to the end of the log
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) catch_up_secs_max: u64,

    /// Plant this fault in the product first; the programs must have been built with the feature `planted-faults`
    #[arg(long, value_name = "NAME")]
    pub(crate) planted: Option<Planted>,

    /// Folder for the logs and, of a failed run, the history; target/torture/RUN when absent
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,

    /// Print the schedule of the seed and end
    #[arg(long)]
    pub(crate) schedule_only: bool,
}

/// What else it can do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Feed everything that is decoded with bad input, without a server
    Fuzz(FuzzArgs),
    /// Hold connections against both services that mean no good, and measure good clients meanwhile
    Abuse(AbuseArgs),
}

impl CommandLine {
    /// Which faults are asked for.
    pub(crate) fn faults(&self) -> Result<Vec<Fault>> {
        match self.faults.as_str() {
            "all" => Ok(Fault::ALL.to_vec()),
            "none" | "" => Ok(Vec::new()),
            names => names.split(',').map(|name| named(name.trim())).collect(),
        }
    }
}

fn named(name: &str) -> Result<Fault> {
    match Fault::ALL.into_iter().find(|fault| fault.name() == name) {
        Some(fault) => Ok(fault),
        None => {
            let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
            bail!("there is no fault {name:?}; there are {}", names.join(", "))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, seconds) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3_600),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no time such as 90s, 10m or 1h"))?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_minutes_or_hours() {
        let seconds = |text| duration(text).map(|time| time.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("2h"), Ok(7_200));
        assert!(seconds("soon").is_err());
    }

    #[test]
    fn faults_are_named_or_all_or_none() {
        let faults = |names| CommandLine::parse_from(["torture", "--faults", names]).faults();
        assert_eq!(faults("all").unwrap().len(), Fault::ALL.len());
        assert_eq!(faults("none").unwrap(), []);
        assert_eq!(faults("kill-redis, kill-postgres").unwrap(), [Fault::KillRedis, Fault::KillPostgres]);
        assert!(faults("kill-everything").is_err());
    }
}
