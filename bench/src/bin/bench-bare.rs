//! The least that a service can be that acknowledges with a group commit, on the allocator and the threads of Tally's: `bench run` starts it.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    bench::serve_group_commit(bench::BareArgs::parse()).await
}
