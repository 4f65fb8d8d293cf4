//! Measures Tally against what else a team could have built, and prints one table.
//!
//! In reading order: what is asked for, the rows of the table, what has to be run for them, how each of that is set up, run and checked, and
//! what comes out. The load and the baselines are processes of their own, so that each costs only itself.

mod app;
mod args;

// What is compared.
mod row;
mod rows;
mod sample;
mod statistics;

// What is run for it.
mod cpu;
mod long_log;
mod neighbours;
mod orders_log;
mod processes;
mod rounds;
mod servers;
mod soak;
mod stage;
mod subject;
mod subjects;

// What comes out.
mod progress;
mod results;
mod table;

// The other processes.
mod baselines;
mod load;

pub use app::run_command_line;
pub use args::CommandLine;
pub use baselines::{BareArgs, serve_group_commit};
