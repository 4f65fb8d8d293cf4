//! The generated gRPC messages, clients and servers, under the names of their proto packages:
//! `tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient` and so on.

#![allow(missing_docs, unreachable_pub, clippy::all)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/tally.rs"));
}

pub use generated::google;
pub use generated::tally::*;

/// The encoded `FileDescriptorSet` of all packages, comments and imports included: what reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tally.bin"));
