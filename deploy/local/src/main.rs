//! `tally-local run`: the whole of Tally on this machine.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    tally_local::app(tally_local::Args::parse()).await
}
