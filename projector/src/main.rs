//! `projector serve`, `projector rebuild NAME`.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    projector::run_command_line(projector::CommandLine::parse()).await
}
