//! What the process is told, whole, before it binds a port. Every limit of the projector is here.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use tally_event_store::{ReadOptions, ReadRole};
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
    /// Show how every projection is: its generation, where it stands, how far behind the log it is, who works at it
    Status(ShowArgs),
    /// Make a projection's views anew beside those that are read, until they are promoted; works beside projectors that serve, and without
    Rebuild(RebuildArgs),
    /// Make the generation under construction the one that is read
    Promote(ProjectionArgs),
    /// Make the generation that was read before the one that is read again
    Rollback(ProjectionArgs),
    /// Stop projecting, until resumed
    Pause(ProjectionArgs),
    /// Go on projecting
    Resume(ProjectionArgs),
    /// Show the events that could not be folded, or retry one
    Parked(ParkedArgs),
    /// Say in one sentence why a projection is behind the log
    ExplainLag(ProjectionArgs),
    /// Compare what was applied with the log, and the views with their sum; says what differs, and where
    Verify(VerifyArgs),
    /// Divide the read model into as many shards as READ_SHARDS says: removes all views, while nothing serves; the next projector makes them
    Reshard(ShowArgs),
}

/// What `serve` is told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to serve gRPC (ProjectionAdminService, health, reflection) on, for operators alone; port 0 takes a free one
    #[arg(long, env = "PROJECTOR_LISTEN", default_value = "127.0.0.1:50053", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// Newest events that stay in the Redis stream line_events for others to read; Redis may keep some hundred more
    #[arg(long, env = "LINE_EVENTS_KEPT_MAX", default_value_t = 100_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) line_events_kept_max: u64,

    /// Milliseconds between two checks of what was applied against the log, each of a range of 4096 positions: by turns the newest one, and the
    /// next on the way through all
    #[arg(long, env = "PROJECTOR_VERIFY_INTERVAL_MS", default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub(crate) verify_interval_ms: u64,

    #[command(flatten)]
    pub(crate) port: PortArgs,

    #[command(flatten)]
    pub(crate) projecting: ProjectingArgs,
}

/// What `rebuild` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) one: ProjectionArgs,

    /// Leave the promotion to `projector promote`
    #[arg(long, env = "PROJECTOR_WAIT_FOR_PROMOTION")]
    pub(crate) wait_for_promotion: bool,
}

/// What a command on one projection is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectionArgs {
    /// Which projection
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(projections::ALL))]
    pub(crate) projection: String,

    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// What `parked` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ParkedArgs {
    /// Of which projection; of all where none is named
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(projections::ALL))]
    pub(crate) projection: Option<String>,

    /// Fold the event at this position after all, with those that wait behind it
    #[arg(long, env = "PROJECTOR_RETRY", value_name = "POSITION", requires = "projection")]
    pub(crate) retry: Option<u64>,

    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// What `verify` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyArgs {
    /// Which projection; all where none is named
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(projections::ALL))]
    pub(crate) projection: Option<String>,

    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// What every command that shows something is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShowArgs {
    /// Write JSON, one value a line, instead of tables
    #[arg(long, env = "PROJECTOR_JSON")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) projecting: ProjectingArgs,
}

/// Where the log and the read model are, and the limits of carrying one to the other.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProjectingArgs {
    /// URL of the Postgres database that holds the log, as a member of the log's tail role: postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,

    /// URL of the Redis that holds the read model: redis://[USER]:[PASSWORD]@HOST:PORT/[DB], further nodes of a Redis Cluster behind it as
    /// ,HOST:PORT; rediss:// for TLS, with ?sslrootcert=FILE for an authority of your own
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: String,

    /// Into how many read shards views are divided, from 1 to 1024: the same for all services of a log; to change it, see `projector reshard`
    #[arg(long, env = "READ_SHARDS", default_value_t = 1, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) read_shards: u16,

    /// Events that a build which catches up reads, folds and applies together at the most
    #[arg(long, env = "PROJECTOR_REBUILD_EVENTS_MAX", default_value_t = 1_024, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rebuild_events_max: u32,

    /// Seconds that the views from before a rebuild are kept, for a rollback
    #[arg(long, env = "PROJECTOR_KEEP_SECONDS", default_value_t = 3_600, value_name = "SECONDS")]
    pub(crate) keep_seconds: u64,

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

    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_seconds)
    }

    pub(crate) fn log_options(&self) -> ReadOptions {
        ReadOptions {
            role: ReadRole::Tail,
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
            read_shards: self.read_shards,
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
        let actions: Vec<String> = command.get_subcommands().map(|action| action.get_name().to_owned()).collect();
        for action in actions.iter().filter(|action| *action != "help") {
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
