//! The load: a process of its own, so that what it costs is nobody else's.

mod args;
mod caller;
mod commands;
mod connection;
mod reader;
mod report;
mod run;
mod schedule;

pub(crate) use args::LoadArgs;
pub(crate) use report::LoadReport;
pub(crate) use run::load;
