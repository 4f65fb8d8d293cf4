//! `query-service serve`.

/// As in command-service: with the system's allocator a good part of the service's time goes into it (docs/decisions.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    query_service::run_command_line(tally_runtime::parse_arguments::<query_service::CommandLine>()).await
}
