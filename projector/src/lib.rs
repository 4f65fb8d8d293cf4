//! Tails the log and keeps the read model.
//!
//! In reading order: what the process is told and how it is put together; an event, what a projection is, the projections; the fold of a
//! view. Then the protocol: what it needs of the stores; a step of a build, the work at a unit, what is decided for a projection as a whole,
//! who works at what. Then what runs it: the tail, the loop of a unit, all of them. Then what operators see and do; what goes wrong.

mod app;
mod config;

mod digest;
mod fold;
mod parked;
mod projection;
mod projections;
mod proto;
mod recorded;
mod traces;

mod compare;
mod conduct;
mod loss;
mod plan;
mod replicas;
mod retry_parked;
mod step;
mod stores;
mod verify;
mod work;

#[cfg(test)]
mod model;

mod audit;
mod commands;
mod engine;
mod high_water;
mod outward;
mod report;
mod run;
mod tail;

mod admin;
mod cli;
mod explain;
mod facts;
mod progress;
mod refusal;
mod service;

mod alarm;
mod metrics;
mod retry;
mod status;

pub use app::App;
pub use config::{CommandLine, ServeArgs};
pub use service::is_page_token;
pub use status::{Part, State, Status};

use config::Action;
use fold::Fold;
use recorded::Recorded;

/// Does what the command line says.
///
/// # Errors
/// When the process can't start, the transport fails, or a command is refused or stopped by an alarm.
pub async fn run_command_line(command_line: CommandLine) -> anyhow::Result<()> {
    let CommandLine { common, action } = command_line;
    let telemetry = tally_runtime::init_telemetry("projector", common.log_format);
    let outcome = async {
        match action {
            Action::Serve(args) => App::build(&common, &args).await?.run(tally_runtime::stop_signal()?).await,
            command => cli::run(&common, &command).await,
        }
    };
    let outcome = outcome.await;
    telemetry.finish().await;
    outcome
}
