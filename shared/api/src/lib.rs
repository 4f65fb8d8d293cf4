//! The generated gRPC messages, clients and servers, under the names of their proto packages:
//! `tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient` and so on; and the table of all methods.

#![allow(missing_docs, unreachable_pub, clippy::all)]

mod codec;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/tally.rs"));
}

pub mod stored;

pub use codec::SmallMessages;
pub use generated::google;
pub use generated::tally::*;

/// The encoded `FileDescriptorSet` of all packages, comments and imports included: what reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tally.bin"));

/// All methods of the API, made from the descriptor set.
pub const METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// A method of the API, and what its option `tally.access.v1.access` says.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// As in a request: `/package.Service/Name`.
    pub path: &'static str,
    /// `package.Service`.
    pub service: &'static str,
    /// The method alone.
    pub name: &'static str,
    /// Whether the server answers with a stream.
    pub streams: bool,
    /// What a caller's token must have among its scopes.
    pub scope: &'static str,
    /// What it is to a token that is bound to one customer.
    pub customer: CustomerAccess,
}

/// What a token that is bound to one customer may do with a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CustomerAccess {
    /// Nothing.
    None,
    /// What belongs to that customer.
    Own,
    /// As any other token.
    Public,
}
