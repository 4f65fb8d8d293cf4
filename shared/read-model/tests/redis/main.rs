//! The read model on a real Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apply;
mod bell;
mod builds;
mod cluster;
mod outage;
mod publish;
mod read;
mod refusal;
mod support;
