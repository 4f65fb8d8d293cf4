//! `command-service serve` and `command-service migrate`.

use clap::Parser;

/// A third of the service's time went into the system's allocator (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    command_service::run_command_line(command_service::CommandLine::parse()).await
}
