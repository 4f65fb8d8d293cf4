use std::time::Duration;

use clap::Parser;
use tally_api::allocation::v1::allocation_command_service_server::{AllocationCommandServiceServer, SERVICE_NAME};
use tally_runtime::{PortArgs, Readiness, bind, serve, stop_signal};
use tonic::service::Routes;

use crate::service::Service;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A service on cqrs-es and postgres-es behind Tally's API
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// URL of an empty Postgres database
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: String,

    /// Keep a snapshot of a SKU after each so many events
    #[arg(long, env = "SNAPSHOT_EVERY", value_name = "COUNT")]
    snapshot_every: Option<usize>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let service = Service::connect(&args.database_url, args.snapshot_every).await?;
    let routes = Routes::new(AllocationCommandServiceServer::new(service));
    let readiness = Readiness::default();
    readiness.set(true);
    let listening = bind(([127, 0, 0, 1], 0).into(), &PortArgs::default()).await?;
    serve(listening, routes, &[SERVICE_NAME], readiness, DRAIN_TIMEOUT, stop_signal()?).await
}
