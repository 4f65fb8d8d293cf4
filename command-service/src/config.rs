//! What the process is told, whole, before it binds a port. Every limit of the write side is here.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tally_runtime::{CommonArgs, PortArgs};

/// Tally's write side: takes commands over gRPC and appends their events to Postgres.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct CommandLine {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub(crate) enum Action {
    /// Serve commands until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Create or upgrade the log's schema, its functions and its roles, and exit
    Migrate(MigrateArgs),
    /// After the log was restored from a backup, and before anybody appends to it: give it a new identity, so that tokens and views from the lost
    /// time are told apart, and exit
    Restored(MigrateArgs),
}

/// Where the log is.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// URL of the Postgres database, as a user who may create schemas and roles: postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,
}

/// What `serve` is told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to serve gRPC on; port 0 takes a free one
    #[arg(long, env = "COMMAND_LISTEN", default_value = "127.0.0.1:50051", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    #[command(flatten)]
    pub(crate) port: PortArgs,

    /// URL of the Postgres database that holds the log, as a member of the log's append role: postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,

    /// URL of the Redis to ring when events were appended, so that the projector need not wait for its next poll; commands do without it
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// Commands accepted and not answered yet; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "COMMANDS_IN_FLIGHT_MAX", default_value_t = 8_192, value_name = "COUNT")]
    pub(crate) commands_in_flight_max: usize,

    /// What those may take together, in KiB; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "COMMANDS_IN_FLIGHT_KIB_MAX", default_value_t = 32 * 1_024, value_name = "KIB")]
    pub(crate) commands_in_flight_kib_max: usize,

    /// Commands committed together at the most
    #[arg(long, env = "BATCH_COMMANDS_MAX", default_value_t = 1_024, value_name = "COUNT")]
    pub(crate) batch_commands_max: usize,

    /// Events committed together, above which a batch takes no further command
    #[arg(long, env = "BATCH_EVENTS_MAX", default_value_t = 4_096, value_name = "COUNT")]
    pub(crate) batch_events_max: usize,

    /// Memory for the state of streams beside those that are in use, in MiB; the least recently used go first
    #[arg(long, env = "STATE_CACHE_MIB_MAX", default_value_t = 20, value_name = "MIB")]
    pub(crate) state_cache_mib_max: usize,

    /// Outcomes of recent commands kept in memory, to answer a repeated command_id without asking Postgres
    #[arg(long, env = "RECENT_COMMANDS_MAX", default_value_t = 10_000, value_name = "COUNT")]
    pub(crate) recent_commands_max: usize,

    /// Days for which a command_id is remembered, so that a repeated command is answered as the first time; 0 keeps them for ever
    #[arg(long, env = "COMMAND_WINDOW_DAYS", default_value_t = 7, value_name = "DAYS")]
    pub(crate) command_window_days: u32,

    /// Milliseconds that a command may take when its caller sets no deadline; then UNAVAILABLE
    #[arg(long, env = "COMMAND_WAIT_MS_MAX", default_value_t = 10_000, value_name = "MS")]
    pub(crate) command_wait_ms_max: u64,

    /// Connections to Postgres
    #[arg(long, env = "DATABASE_CONNECTIONS_MAX", default_value_t = 8, value_name = "COUNT")]
    pub(crate) database_connections_max: u32,

    /// Milliseconds to wait for a connection to Postgres
    #[arg(long, env = "DATABASE_ACQUIRE_MS_MAX", default_value_t = 2_000, value_name = "MS")]
    pub(crate) database_acquire_ms_max: u64,

    /// Milliseconds that Postgres may take for one statement
    #[arg(long, env = "DATABASE_STATEMENT_MS_MAX", default_value_t = 5_000, value_name = "MS")]
    pub(crate) database_statement_ms_max: u64,
}

impl ServeArgs {
    /// None: for ever.
    pub(crate) fn command_window(&self) -> Option<Duration> {
        (self.command_window_days > 0).then(|| Duration::from_secs(u64::from(self.command_window_days) * 24 * 60 * 60))
    }

    pub(crate) fn command_wait_max(&self) -> Duration {
        Duration::from_millis(self.command_wait_ms_max)
    }
}
