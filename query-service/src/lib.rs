//! The read side: answers from the read model and waits for the caller's own writes.
//!
//! In reading order: what a process is told and how it is put together; the two services; one consistent read; the wait that it may need,
//! with the clever part in `wait`; what callers are told when it fails.

mod allocation;
mod app;
mod config;
mod limited_wait;
mod orders;
mod page_token;
mod read_after;
mod reader;
mod status;
mod wait;
mod watched;

pub use app::App;
pub use config::{CommandLine, ServeArgs};

use config::Action;

/// Does what the command line says.
///
/// # Errors
/// When the process can't start, or the transport fails.
pub async fn run_command_line(command_line: CommandLine) -> anyhow::Result<()> {
    let CommandLine { common, action } = command_line;
    tally_runtime::init_telemetry(common.log_format);
    let stop = tally_runtime::stop_signal()?;
    match action {
        Action::Serve(args) => App::build(&common, &args).await?.run(stop).await,
    }
}
