//! The crash kit. It runs clients with mixed commands and reads against the real processes, injects faults by a schedule that its seed
//! decides, keeps a history of every call, and proves from that history, the log and the read model that nothing was lost.
//!
//! In reading order: what it is told; the faults and their schedule; the world that they happen in, with a proxy between all parts; the
//! clients; the history they write; the checker, which knows nothing of all that; the run, and what is said of it.

mod abuse;
mod app;
mod args;
pub mod checker;
mod fault;
mod fuzz;
mod handed_out;
pub mod history;
mod inject;
mod intention;
mod listener;
mod node;
mod planted;
mod proxy;
mod report;
mod resources;
mod run;
mod schedule;
mod session;
mod stores;
mod sweep;
mod tmpfs;
mod world;

pub use app::run_command_line;
pub use args::CommandLine;
pub use fault::Fault;
pub use planted::Planted;
pub use proxy::{Mode, Proxy};
pub use schedule::{Schedule, Scheduled};
