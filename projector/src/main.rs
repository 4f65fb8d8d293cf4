//! `projector serve`, `projector rebuild NAME`.

use std::env;
use std::process::ExitCode;

use tokio::runtime::Builder;

/// A third of the time that a projection takes went into the system's allocator (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// tokio's own setting; where it is there, it counts.
const THREADS: &str = "TOKIO_WORKER_THREADS";

fn main() -> anyhow::Result<ExitCode> {
    let line = tally_runtime::parse_arguments::<projector::CommandLine>();
    let mut runtime = Builder::new_multi_thread();
    if env::var_os(THREADS).is_none() {
        // It waits for Redis more than it works, and a second thread waits for the first (docs/decisions.md).
        runtime.worker_threads(1);
    }
    tally_runtime::ended(runtime.enable_all().build()?.block_on(projector::run_command_line(line)))
}
