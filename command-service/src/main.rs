//! `command-service serve` and `command-service migrate`.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    command_service::run_command_line(command_service::CommandLine::parse()).await
}
