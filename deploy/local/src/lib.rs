//! One command that runs the whole of Tally on this machine: `make run`.
//!
//! In the order in which it happens: what is missing is installed, the services are built, the servers are started, the log is migrated, the
//! services are started, a sample is put in, the banner is shown; then crashes are watched for, and at the end all is stopped in order.

mod app;
mod args;

mod logged;
mod project;
mod screen;
mod tools;

mod compile;
mod data;
mod install;
mod stores;

mod sample;
mod service;
mod supervise;

mod banner;
mod run;
mod sbom;
mod signals;

pub use app::app;
pub use args::Args;
