//! `torture --duration 10m --seed 7 --faults all`

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    torture::run_command_line(torture::CommandLine::parse()).await
}
