//! `bench run`, and the two programs that it starts beside it: `bench load` and `bench baseline`.

use clap::Parser;

fn main() -> anyhow::Result<()> {
    bench::run_command_line(bench::CommandLine::parse())
}
