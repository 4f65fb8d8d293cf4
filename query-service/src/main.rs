//! `query-service serve`.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    query_service::run_command_line(query_service::CommandLine::parse()).await
}
