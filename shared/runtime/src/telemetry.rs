//! Log lines, on standard error: standard output belongs to the one line that says where a process listens.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. sqlx logs statements at info when they are slow: those show SQL, so they stay out.
const DEFAULT_FILTER: &str = "info,sqlx=error";

/// Starts logging for this process. A second call changes nothing, so that tests may call it freely.
pub fn init_telemetry(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // An error here means that logging was started already.
    let _ = if json { lines.json().try_init() } else { lines.with_target(false).try_init() };
}
