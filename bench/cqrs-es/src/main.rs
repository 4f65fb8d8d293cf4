//! A service as the documentation of cqrs-es 0.5 and postgres-es 0.5 has it, behind Tally's API.
//!
//! An aggregate is a SKU, with Tally's rule for allocating. It is fair: the tables are the crate's own, the pool is larger than the crate's
//! default of 10 and doesn't check its connections before each use, a lost race is tried again inside instead of being left to the caller,
//! and the edge, its runtime and its settings are Tally's own. Events are the source of truth, without snapshots: its documentation has
//! those for aggregates of many events, and here each has few. (`SNAPSHOT_EVERY=5 make bench ONLY=P12` tries
//! them.)

mod app;
mod product;
mod service;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    app::run(app::Args::parse()).await
}
