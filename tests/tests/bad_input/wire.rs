//! Calls with any bytes at all: what no generated client would send.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::Value;
use system_tests::client::Error;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(tally_api::FILE_DESCRIPTOR_SET).unwrap());

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Every RPC of Tally.
pub(super) fn methods() -> Vec<MethodDescriptor> {
    let services = POOL.services().filter(|service| service.package_name().starts_with("tally."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The bytes of a request given as proto3's JSON, with the names of the protos.
pub(super) fn encode(method: &MethodDescriptor, request: &Value) -> Vec<u8> {
    let message = DynamicMessage::deserialize(method.input(), request);
    message.unwrap_or_else(|error| panic!("{}: {error}: {request}", method.name())).encode_to_vec()
}

/// Sends `bytes` as the request and returns the answer's bytes, of a stream those of its first message.
pub(super) async fn call(channel: &Channel, method: &MethodDescriptor, bytes: Vec<u8>) -> Result<Bytes, Error> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).parse().unwrap();
    let mut request = Request::new(Bytes::from(bytes));
    request.set_timeout(DEADLINE);
    let of = |status: Status| Error::from_status(&status);
    if method.is_server_streaming() {
        let mut stream = client.server_streaming(request, path, Raw).await.map_err(of)?.into_inner();
        return Ok(stream.message().await.map_err(of)?.unwrap_or_default());
    }
    client.unary(request, path, Raw).await.map(Response::into_inner).map_err(of)
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
