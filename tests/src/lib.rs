//! What the end-to-end tests need: a whole Tally for each test, real clients, and a second opinion on what its log means.
//!
//! In reading order: the programs under test, waiting without sleeping, a process, the servers, a service, a Tally; the clients and their
//! environment, health; the log as it is stored, a naive fold of it, and what is held against that: the views, and the read model byte by byte;
//! what a process tells its operators, on a terminal too, and what it exports of its traces.

mod binaries;
mod check;
pub mod client;
pub mod credentials;
mod eventually;
pub mod fold;
pub mod frames;
pub mod health;
mod log;
mod mutated;
mod operations;
pub mod otlp;
mod process;
mod reads;
mod screen;
mod servers;
mod service;
mod tally;
mod venv;
mod views;

pub use binaries::{binary, root, target_dir};
pub use check::views_equal_fold;
pub use eventually::{PATIENCE, eventually, within};
pub use log::{Log, StoredEvent};
pub use mutated::mutated;
pub use operations::{Samples, operations_get};
pub use process::Launch;
pub use screen::Screen;
pub use servers::Servers;
pub use service::Service;
pub use tally::{Tally, run_to_end};
pub use venv::{Venv, clients_venv};
pub use views::{Dump, bucket_of, dump, evict};
