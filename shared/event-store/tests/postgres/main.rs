//! The event store on a real Postgres, a fresh database for each test.

mod append;
mod cancellation;
mod commands;
mod concurrency;
mod errors;
mod exclusive;
mod fitting;
mod fixture;
mod load;
mod migrate;
mod outage;
mod plans;
mod read_stream;
mod rights;
mod tail;
