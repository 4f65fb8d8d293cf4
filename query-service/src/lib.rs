//! The read side: answers from the read model and waits for the caller's own writes.
//!
//! In reading order: what a process is told and how it is put together; the three services; one consistent read and the wait that it may
//! need, with the clever part in `wait`; watching; the log of events and the tail that its subscribers share; streams to callers who may be
//! slow; what callers are told when it fails.

mod app;
mod config;

mod allocation;
mod event_log;
mod metrics;
mod orders;
#[cfg(feature = "planted-faults")]
mod planted;

mod limited_wait;
mod lookups;
pub mod page_token;
mod paging;
mod read_after;
mod reader;
mod wait;
mod watched;

mod watch_call;
mod watches;

mod log_tail;

mod outbox;
mod status;

pub use app::App;
pub use config::{CommandLine, ServeArgs};

use config::Action;

/// Does what the command line says.
///
/// # Errors
/// When the process can't start, or the transport fails.
pub async fn run_command_line(command_line: CommandLine) -> anyhow::Result<()> {
    let CommandLine { common, action } = command_line;
    let telemetry = tally_runtime::init_telemetry("query-service", common.log_format);
    let outcome = async {
        match action {
            Action::Serve(args) => App::build(&common, &args).await?.run(tally_runtime::stop_signal()?).await,
        }
    };
    let outcome = outcome.await;
    telemetry.finish().await;
    outcome
}
