//! Tails the log and keeps the read model.
//!
//! In reading order: what the process is told and how it is put together; an event, what a projection is, the projections; the fold of a
//! batch; one step of a projection, its loop, all of them side by side; the tail that they share; what is published to others; a rebuild; what goes wrong.

mod app;
mod config;

mod fold;
mod projection;
mod projections;
mod proto;
mod recorded;

mod commands;
mod engine;
mod run;
mod step;
mod tail;
mod traces;

mod outward;

mod progress;
mod rebuild;

mod alarm;
mod metrics;
mod retry;
mod status;

pub use app::{App, rebuild};
pub use config::{CommandLine, RebuildArgs, ServeArgs};
pub use status::{State, Status};

use config::Action;
use fold::Fold;
use recorded::Recorded;

/// Does what the command line says.
///
/// # Errors
/// When the process can't start, the transport fails, or a rebuild is stopped by an alarm.
pub async fn run_command_line(command_line: CommandLine) -> anyhow::Result<()> {
    let CommandLine { common, action } = command_line;
    let telemetry = tally_runtime::init_telemetry("projector", common.log_format);
    let outcome = async {
        match action {
            Action::Serve(args) => App::build(&common, &args).await?.run(tally_runtime::stop_signal()?).await,
            Action::Rebuild(args) => rebuild(&common, &args).await,
        }
    };
    let outcome = outcome.await;
    telemetry.finish().await;
    outcome
}
