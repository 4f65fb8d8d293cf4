//! The write side: decides on commands and appends their events.
//!
//! In reading order: what the process is told, how it is put together, the gRPC edge, and the sequencer that every command passes.

mod app;
mod config;
mod convert;
mod doorbell;
mod edge;
mod forgetting;
mod metrics;
#[cfg(feature = "planted-faults")]
mod planted;
mod sequencer;
mod status;

pub use app::{App, run_command_line};
pub use config::{CommandLine, ServeArgs};
