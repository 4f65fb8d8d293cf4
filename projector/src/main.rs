//! `projector serve`, `projector rebuild NAME`.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    projector::run_command_line(tally_runtime::parse_arguments::<projector::CommandLine>()).await
}
