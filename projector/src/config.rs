//! What the process is told, whole, before it binds a port. Every limit of the projector is here.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use tally_event_store::ReadOptions;
use tally_read_model::{Options, projections};
use tally_runtime::{CommonArgs, PortArgs};

use crate::tail::TailLimits;

/// Tally's projector: tails the log in Postgres and keeps the read model in Redis.
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
    /// Keep the read model until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Project the whole log anew into one projection, and exit. Queries see its views grow meanwhile. A projector that serves may go on
    Rebuild(RebuildArgs),
}

/// What `serve` is told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to serve gRPC (health and reflection) on; port 0 takes a free one
    #[arg(long, env = "PROJECTOR_LISTEN", default_value = "127.0.0.1:50053", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// Newest events that stay in the Redis stream line_events for others to read; Redis may keep some hundred more
    #[arg(long, env = "LINE_EVENTS_KEPT_MAX", default_value_t = 100_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) line_events_kept_max: u64,

    #[command(flatten)]
    pub(crate) port: PortArgs,

    #[command(flatten)]
    pub(crate) projecting: ProjectingArgs,
}

/// What `rebuild` is told.
#[derive(Args, Clone, Debug)]
pub struct RebuildArgs {
    /// Which projection
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(projections::ALL))]
    pub(crate) projection: String,

    #[command(flatten)]
    pub(crate) projecting: ProjectingArgs,
}

/// Where the log and the read model are, and the limits of carrying one to the other.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectingArgs {
    /// URL of the Postgres database that holds the log, as a member of the log's read role: postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,

    /// URL of the Redis that holds the read model: redis://[USER]:[PASSWORD]@HOST:PORT/[DB]
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: String,

    /// Events that are read, folded and applied together at the most; a command with more of them is still applied whole
    #[arg(long, env = "PROJECTOR_BATCH_EVENTS_MAX", default_value_t = 512, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_events_max: u32,

    /// Newest events that stay in memory for all projections
    #[arg(long, env = "PROJECTOR_WINDOW_EVENTS_MAX", default_value_t = 4_096, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window_events_max: u32,

    /// Milliseconds between two looks at the log while events come in and no bell is heard
    #[arg(long, env = "PROJECTOR_POLL_BUSY_MS", default_value_t = 50, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) poll_busy_ms: u64,

    /// Milliseconds between two looks at the log when nothing has come for a second and no bell is heard
    #[arg(long, env = "PROJECTOR_POLL_IDLE_MS", default_value_t = 250, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) poll_idle_ms: u64,

    /// Milliseconds between two tries at the most while Postgres or Redis is away
    #[arg(long, env = "PROJECTOR_RETRY_MS_MAX", default_value_t = 1_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) retry_ms_max: u64,

    /// Connections to Postgres
    #[arg(long, env = "PROJECTOR_DATABASE_CONNECTIONS_MAX", default_value_t = 4, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) database_connections_max: u32,

    /// Milliseconds to wait for a connection to Postgres
    #[arg(long, env = "PROJECTOR_DATABASE_ACQUIRE_MS_MAX", default_value_t = 2_000, value_name = "MS")]
    pub(crate) database_acquire_ms_max: u64,

    /// Milliseconds that Postgres may take for one statement
    #[arg(long, env = "PROJECTOR_DATABASE_STATEMENT_MS_MAX", default_value_t = 5_000, value_name = "MS")]
    pub(crate) database_statement_ms_max: u64,

    /// Milliseconds to wait for a connection to Redis
    #[arg(long, env = "PROJECTOR_REDIS_CONNECT_MS_MAX", default_value_t = 1_000, value_name = "MS")]
    pub(crate) redis_connect_ms_max: u64,

    /// Milliseconds that Redis may take to answer a read
    #[arg(long, env = "PROJECTOR_REDIS_READ_MS_MAX", default_value_t = 2_000, value_name = "MS")]
    pub(crate) redis_read_ms_max: u64,

    /// Milliseconds that Redis may take to apply a batch
    #[arg(long, env = "PROJECTOR_REDIS_WRITE_MS_MAX", default_value_t = 10_000, value_name = "MS")]
    pub(crate) redis_write_ms_max: u64,
}

impl ProjectingArgs {
    pub(crate) fn tail_limits(&self) -> TailLimits {
        TailLimits {
            batch_events_max: self.batch_events_max as usize,
            window_events_max: self.window_events_max as usize,
            poll_busy: Duration::from_millis(self.poll_busy_ms),
            poll_idle: Duration::from_millis(self.poll_idle_ms),
            retry_max: Duration::from_millis(self.retry_ms_max),
        }
    }

    pub(crate) fn log_options(&self) -> ReadOptions {
        ReadOptions {
            connections_max: self.database_connections_max,
            acquire_timeout: Duration::from_millis(self.database_acquire_ms_max),
            statement_timeout: Duration::from_millis(self.database_statement_ms_max),
        }
    }

    pub(crate) fn redis_options(&self) -> Options {
        Options {
            connection_timeout: Duration::from_millis(self.redis_connect_ms_max),
            read_timeout: Duration::from_millis(self.redis_read_ms_max),
            write_timeout: Duration::from_millis(self.redis_write_ms_max),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_says_what_it_is_and_has_an_environment_variable_and_a_default() {
        let mut command = CommandLine::command();
        command.build();
        command.clone().debug_assert();
        for action in ["serve", "rebuild"] {
            let action = command.find_subcommand(action).expect("the action");
            for flag in action.get_arguments().chain(command.get_arguments()) {
                if matches!(flag.get_id().as_str(), "help" | "version" | "projection") {
                    continue;
                }
                assert!(flag.get_help().is_some(), "{flag} has no help");
                assert!(flag.get_env().is_some(), "{flag} has no environment variable");
                let has_default = !flag.get_default_values().is_empty();
                assert_eq!(flag.is_required_set(), flag.get_id().as_str().ends_with("_url"), "{flag}");
                assert!(!(flag.is_required_set() && has_default), "{flag}");
            }
        }
    }

    #[test]
    fn only_a_projection_can_be_rebuilt() {
        let rebuild = |name| {
            CommandLine::try_parse_from(["projector", "rebuild", name, "--database-url", "d", "--redis-url", "r"])
        };
        assert!(projections::ALL.iter().all(|name| rebuild(name).is_ok()));
        assert!(rebuild("orders").is_err());
    }
}
