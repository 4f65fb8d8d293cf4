use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};
use tally_event_store::LogName;

/// Runs the whole of Tally on this machine.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find Postgres and Redis, or install them (by apt, as root or with a passwordless sudo)
    Install(InstallArgs),
    /// Build and run Tally until Ctrl-C, on a private Postgres and Redis of its own
    Run(Box<RunArgs>),
    /// Write what the programs are made of to target/sbom (CycloneDX)
    Sbom,
}

/// What `install` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallArgs {
    /// Also python3, and in target/clients-venv what else the tests use: grpcio, grpcurl, buf, kubectl and the linters of deploy/
    #[arg(long)]
    pub tests: bool,
}

/// What `run` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// A Postgres of your own instead of the private one: postgres://USER:PASSWORD@HOST:PORT/DATABASE; the user must own the database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub database_url: Option<String>,

    /// A Redis of your own instead of the private one: redis://:PASSWORD@HOST:PORT/
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub redis_url: Option<String>,

    /// Where command-service listens [default: 127.0.0.1:50051, or a free port where that is taken]
    #[arg(long, env = "COMMAND_LISTEN", value_name = "ADDRESS")]
    pub command_listen: Option<SocketAddr>,

    /// Where query-service listens [default: 127.0.0.1:50052, or a free port where that is taken]
    #[arg(long, env = "QUERY_LISTEN", value_name = "ADDRESS")]
    pub query_listen: Option<SocketAddr>,

    /// Where projector listens [default: 127.0.0.1:50053, or a free port where that is taken]
    #[arg(long, env = "PROJECTOR_LISTEN", value_name = "ADDRESS")]
    pub projector_listen: Option<SocketAddr>,

    /// Name of the log
    #[arg(long, env = "TALLY_LOG", default_value = "main", value_name = "NAME")]
    pub log: LogName,

    /// The folder that keeps data, logs and passwords [default: .data in the project]
    #[arg(long, env = "TALLY_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// Put no sample into an empty log
    #[arg(long)]
    pub no_sample: bool,

    /// The folder of services that are built already, instead of building them
    #[arg(long, env = "TALLY_PROGRAMS", value_name = "FOLDER", conflicts_with = "release")]
    pub programs: Option<PathBuf>,

    /// Build the services for speed, which takes minutes longer
    #[arg(long)]
    pub release: bool,
}
