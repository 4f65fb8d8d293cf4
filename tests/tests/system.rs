//! All end-to-end tests. They are one program, so that it links once and its tests share one Postgres and one Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod crash;
mod deploy;
mod discovery;
mod idempotency;
mod load;
mod logs;
mod losses;
mod metrics;
mod outages;
mod privacy;
mod read_your_writes;
mod rebuild;
mod restore;
mod rolling;
mod security;
mod shutdown;
mod stories;
mod tidy;
mod traces;
mod two_projectors;
mod valkey;
mod waiters;
