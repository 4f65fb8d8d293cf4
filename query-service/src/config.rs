//! What the process is told, whole, before it binds a port. Every limit of the read side that an operator may move is here; those that callers
//! rely on are in `tally_runtime::limits`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tally_read_model::Options;
use tally_runtime::CommonArgs;

/// Tally's read side: answers queries over gRPC from the read model in Redis, and waits for what its callers wrote.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct CommandLine {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Serve queries until SIGTERM or SIGINT
    Serve(ServeArgs),
}

/// What `serve` is told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to serve gRPC on; port 0 takes a free one
    #[arg(long, env = "QUERY_LISTEN", default_value = "127.0.0.1:50052", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// URL of the Redis that holds the read model: redis://[USER]:[PASSWORD]@HOST:PORT/[DB]
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: String,

    /// Into how many read shards views are divided: the same for all services of a log
    #[arg(long, env = "READ_SHARDS", default_value_t = 1, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) read_shards: u16,

    /// Queries that wait for their read_after; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "WAITERS_MAX", default_value_t = 10_000, value_name = "COUNT")]
    pub(crate) waiters_max: u32,

    /// Reads sent to Redis and not answered yet; one more is refused at once with RESOURCE_EXHAUSTED, unless it has waited for its read_after
    #[arg(long, env = "READS_IN_FLIGHT_MAX", default_value_t = 4_096, value_name = "COUNT")]
    pub(crate) reads_in_flight_max: u32,

    /// Milliseconds between two looks at a projection while somebody waits for it and no bell is heard
    #[arg(long, env = "WAIT_POLL_INTERVAL_MS", default_value_t = 100, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) wait_poll_interval_ms: u64,

    /// Milliseconds to wait for a connection to Redis
    #[arg(long, env = "REDIS_CONNECT_MS_MAX", default_value_t = 1_000, value_name = "MS")]
    pub(crate) redis_connect_ms_max: u64,

    /// Milliseconds that Redis may take to answer a read
    #[arg(long, env = "REDIS_READ_MS_MAX", default_value_t = 1_000, value_name = "MS")]
    pub(crate) redis_read_ms_max: u64,

    /// Reads queued to be sent to Redis, above which further ones wait for room
    #[arg(long, env = "REDIS_COMMANDS_QUEUED_MAX", default_value_t = 1_024, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) redis_commands_queued_max: u16,
}

impl ServeArgs {
    pub(crate) fn wait_poll_interval(&self) -> Duration {
        Duration::from_millis(self.wait_poll_interval_ms)
    }

    pub(crate) fn redis_options(&self) -> Options {
        Options {
            connection_timeout: Duration::from_millis(self.redis_connect_ms_max),
            read_timeout: Duration::from_millis(self.redis_read_ms_max),
            commands_queued_max: usize::from(self.redis_commands_queued_max),
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
    fn every_flag_says_what_it_is_and_has_an_environment_variable() {
        CommandLine::command().debug_assert();
        let mut command = CommandLine::command();
        command.build();
        let serve = command.find_subcommand("serve").expect("serve");
        for flag in serve.get_arguments().chain(command.get_arguments()) {
            if matches!(flag.get_id().as_str(), "help" | "version") {
                continue;
            }
            assert!(flag.get_help().is_some(), "{flag} has no help");
            assert!(flag.get_env().is_some(), "{flag} has no environment variable");
            let has_default = !flag.get_default_values().is_empty();
            assert_eq!(has_default, flag.get_id() != "redis_url", "{flag}");
        }
    }

    #[test]
    fn no_interval_is_zero() {
        let poll = ["query-service", "serve", "--redis-url", "redis://localhost", "--wait-poll-interval-ms", "0"];
        assert!(CommandLine::try_parse_from(poll).is_err());
    }
}
