//! The projector on a real Postgres and a real Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod cluster;
mod command_line;
mod explained;
mod following;
mod history;
mod losses;
mod outages;
mod outward;
mod parked;
mod process;
mod rebuilds;
mod replicas;
mod support;
