//! A service as the documentation of cqrs-es 0.5 and postgres-es 0.5 has it, behind Tally's API.
//!
//! An aggregate is a SKU, with Tally's rule for allocating. It is fair: the tables are the crate's own, the pool is larger than the crate's
//! default of 10 and doesn't check its connections before each use, a lost race is tried again inside instead of being left to the caller,
//! and the edge, its runtime and its settings are Tally's own. Events are the source of truth, without snapshots: its documentation has
//! those for aggregates of many events, and here each has few. (`SNAPSHOT_EVERY=5 make bench ONLY=P12` tries
//! them.)

mod product;
mod service;

use clap::Parser;
use tally_api::allocation::v1::allocation_command_service_server::{AllocationCommandServiceServer, SERVICE_NAME};
use tally_runtime::{Readiness, bind, serve, stop_signal};

/// A service on cqrs-es and postgres-es behind Tally's API
#[derive(Debug, Parser)]
struct Args {
    /// URL of an empty Postgres database
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: String,

    /// Keep a snapshot of a SKU after each so many events
    #[arg(long, env = "SNAPSHOT_EVERY", value_name = "COUNT")]
    snapshot_every: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let service = service::Service::connect(&args.database_url, args.snapshot_every).await?;
    let routes = tonic::service::Routes::new(AllocationCommandServiceServer::new(service));
    let readiness = Readiness::default();
    readiness.set(true);
    let listening = bind(([127, 0, 0, 1], 0).into()).await?;
    serve(listening, routes, &[SERVICE_NAME], readiness, std::time::Duration::from_secs(1), stop_signal()?).await
}
