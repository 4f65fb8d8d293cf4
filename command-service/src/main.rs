//! `command-service serve` and `command-service migrate`.

use std::process::ExitCode;

/// A third of the service's time went into the system's allocator (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One thread for the sequencer and the store: they do nothing that two could do at once. Connections have their own.
#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<ExitCode> {
    let line = tally_runtime::parse_arguments::<command_service::CommandLine>();
    tally_runtime::ended(command_service::run_command_line(line).await)
}
