//! The arguments that every process takes.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The arguments that every process takes.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// Name of the log: a lower-case letter, then letters, digits or _, 31 characters at the most. It names the Postgres schema (tally_NAME) and the
    /// Redis prefix (tally:NAME:)
    #[arg(long, env = "TALLY_LOG", global = true, default_value = "main", value_name = "NAME")]
    pub log: String,

    /// How log lines are written, on standard error; RUST_LOG sets the level (info)
    #[arg(long, env = "TALLY_LOG_FORMAT", global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// After SIGTERM or SIGINT: milliseconds that calls under way have to finish before they are cut
    #[arg(long, env = "TALLY_DRAIN_TIMEOUT_MS", global = true, default_value_t = 5_000, value_name = "MS")]
    pub drain_timeout_ms: u64,

    /// Address to serve metrics (/metrics) and HTTP probes (/livez, /readyz) on, for operators only: never encrypted, and nobody is asked who they
    /// are, so let a firewall or a NetworkPolicy say who reaches it. Port 0 takes a free one; unset: none
    #[arg(long, env = "TALLY_METRICS_LISTEN", global = true, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,
}

impl CommonArgs {
    /// [`CommonArgs::drain_timeout_ms`] as a duration.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}
