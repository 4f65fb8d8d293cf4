//! The real query-service on a real Redis, through the generated clients. Views are written as the projector writes them.

mod allocation;
mod backorders;
mod bad_input;
mod bells;
mod event_log;
mod history;
mod limits;
mod lookups;
mod orders;
mod pages;
mod process;
mod read_stream;
mod read_your_writes;
mod shards;
mod store_away;
mod stream_versions;
mod subscriptions;
mod system;
mod watches;
mod watches_ended;
