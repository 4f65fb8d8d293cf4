//! `query-service serve`.

use std::process::ExitCode;

/// As in command-service: with the system's allocator a good part of the service's time goes into it (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One thread for what all connections share, Redis's answers above all. Connections have their own.
#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<ExitCode> {
    let line = tally_runtime::parse_arguments::<query_service::CommandLine>();
    tally_runtime::ended(query_service::run_command_line(line).await)
}
