//! `projector serve`, `projector rebuild NAME`.

use std::process::ExitCode;

/// A third of the time that a projection takes went into the system's allocator (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let line = tally_runtime::parse_arguments::<projector::CommandLine>();
    tally_runtime::ended(projector::run_command_line(line).await)
}
