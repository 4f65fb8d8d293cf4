//! What the process is told, whole, before it binds a port. Every limit of the read side that an operator may move is here; those that callers
//! rely on are in `tally_runtime::limits`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tally_event_store::ReadOptions;
use tally_read_model::Options;
use tally_runtime::{CommonArgs, PortArgs};

use crate::log_tail::TailLimits;
use crate::outbox::StreamLimits;

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

    #[command(flatten)]
    pub(crate) port: PortArgs,

    /// URL of the Redis that holds the read model: redis://[USER]:[PASSWORD]@HOST:PORT/[DB], further nodes of a Redis Cluster behind it as
    /// ,HOST:PORT; rediss:// for TLS, with ?sslrootcert=FILE for an authority of your own
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: String,

    /// URL of the Postgres database that holds the log, as a member of the log's read role: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Without
    /// it EventLogService is not served; all else is answered from Redis alone
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

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

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    #[command(flatten)]
    pub(crate) event_log: EventLogArgs,
}

/// The limits of calls that go on for as long as their callers listen.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArgs {
    /// Calls that watch an order or a stock; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "WATCHERS_MAX", default_value_t = 4_096, value_name = "COUNT")]
    pub(crate) watchers_max: u32,

    /// Calls that subscribe to the log; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "SUBSCRIBERS_MAX", default_value_t = 256, value_name = "COUNT")]
    pub(crate) subscribers_max: u32,

    /// Milliseconds after which a stream that had nothing to tell shows that it is alive
    #[arg(long, env = "STREAM_HEARTBEAT_MS", default_value_t = 5_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) stream_heartbeat_ms: u64,

    /// Milliseconds that a caller may take to take a message of a stream; then the stream ends and says where to go on
    #[arg(long, env = "STREAM_STALL_MS_MAX", default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) stream_stall_ms_max: u64,

    /// Milliseconds between two looks at what is watched while no bell is heard
    #[arg(long, env = "WATCH_POLL_INTERVAL_MS", default_value_t = 1_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) watch_poll_interval_ms: u64,
}

/// The limits of reading the log of events.
#[derive(Args, Clone, Debug)]
pub(crate) struct EventLogArgs {
    /// Connections to Postgres
    #[arg(long, env = "EVENT_LOG_CONNECTIONS_MAX", default_value_t = 4, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) event_log_connections_max: u32,

    /// Milliseconds to wait for a connection to Postgres
    #[arg(long, env = "EVENT_LOG_ACQUIRE_MS_MAX", default_value_t = 2_000, value_name = "MS")]
    pub(crate) event_log_acquire_ms_max: u64,

    /// Milliseconds that Postgres may take for one statement
    #[arg(long, env = "EVENT_LOG_STATEMENT_MS_MAX", default_value_t = 5_000, value_name = "MS")]
    pub(crate) event_log_statement_ms_max: u64,

    /// Reads of streams that are under way; one more is refused at once with RESOURCE_EXHAUSTED
    #[arg(long, env = "EVENT_READS_IN_FLIGHT_MAX", default_value_t = 64, value_name = "COUNT")]
    pub(crate) event_reads_in_flight_max: u32,

    /// Events that are read from the log at once
    #[arg(long, env = "EVENT_LOG_BATCH_EVENTS_MAX", default_value_t = 512, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) event_log_batch_events_max: u32,

    /// Newest events that stay in memory for all who follow the log
    #[arg(long, env = "EVENT_LOG_WINDOW_EVENTS_MAX", default_value_t = 4_096, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) event_log_window_events_max: u32,

    /// Milliseconds between two looks at the log while somebody follows it and no bell is heard
    #[arg(long, env = "EVENT_LOG_POLL_INTERVAL_MS", default_value_t = 100, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) event_log_poll_interval_ms: u64,
}

impl StreamArgs {
    pub(crate) fn limits(&self) -> StreamLimits {
        StreamLimits {
            heartbeat: Duration::from_millis(self.stream_heartbeat_ms),
            stall_max: Duration::from_millis(self.stream_stall_ms_max),
        }
    }

    pub(crate) fn watch_poll_interval(&self) -> Duration {
        Duration::from_millis(self.watch_poll_interval_ms)
    }
}

impl EventLogArgs {
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            connections_max: self.event_log_connections_max,
            acquire_timeout: Duration::from_millis(self.event_log_acquire_ms_max),
            statement_timeout: Duration::from_millis(self.event_log_statement_ms_max),
            ..ReadOptions::default()
        }
    }

    pub(crate) fn tail_limits(&self) -> TailLimits {
        TailLimits {
            batch_events_max: self.event_log_batch_events_max as usize,
            window_events_max: self.event_log_window_events_max as usize,
            poll_interval: Duration::from_millis(self.event_log_poll_interval_ms),
            // Who catches up leaves a connection to the tail and to short calls.
            catching_up_max: self.event_log_connections_max as usize - 1,
        }
    }
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
            assert_eq!(flag.is_required_set(), flag.get_id() == "redis_url", "{flag}");
            assert!(!(flag.is_required_set() && has_default), "{flag}");
        }
    }

    #[test]
    fn no_interval_is_zero() {
        let poll = ["query-service", "serve", "--redis-url", "redis://localhost", "--wait-poll-interval-ms", "0"];
        assert!(CommandLine::try_parse_from(poll).is_err());
    }
}
