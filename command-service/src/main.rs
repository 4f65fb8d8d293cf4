//! `command-service serve` and `command-service migrate`.

use std::env;
use std::process::ExitCode;
use std::thread::available_parallelism;

use tokio::runtime::Builder;

/// A third of the service's time went into the system's allocator (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// tokio's own setting; where it is there, it counts.
const THREADS: &str = "TOKIO_WORKER_THREADS";

fn main() -> anyhow::Result<ExitCode> {
    let line = tally_runtime::parse_arguments::<command_service::CommandLine>();
    let mut runtime = Builder::new_multi_thread();
    if env::var_os(THREADS).is_none() {
        // A command passes from task to task, and each thread that wakes up for one of them costs more than it does (docs/decisions.md).
        runtime.worker_threads((available_parallelism()?.get() / 2).max(1));
    }
    tally_runtime::ended(runtime.enable_all().build()?.block_on(command_service::run_command_line(line)))
}
