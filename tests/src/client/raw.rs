//! Any method of the API by its path, with a request as JSON: for tests that go through all of them.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Calls the method and returns how that ends; of a stream of answers, how it begins.
///
/// # Panics
/// When there is no such method, or `request` isn't one of its requests.
pub async fn call(channel: Channel, path: &str, request: &Value, metadata: MetadataMap) -> Result<(), Status> {
    let pool = DescriptorPool::decode(tally_api::FILE_DESCRIPTOR_SET).expect("descriptors");
    let (service, name) = path.trim_start_matches('/').split_once('/').expect("a path");
    let service = pool.get_service_by_name(service).expect("a service");
    let method = service.methods().find(|method| method.name() == name).expect("a method");
    let message =
        DynamicMessage::deserialize(method.input(), request).unwrap_or_else(|error| panic!("{path}: {error}"));
    let message = Bytes::from(message.encode_to_vec());
    if method.is_server_streaming() {
        let (mut client, request, path) = prepared(channel, path, message, metadata).await?;
        client.server_streaming(request, path, Raw).await.map(drop)
    } else {
        call_path(channel, path, message, metadata).await
    }
}

/// Calls a path, whatever is there, for a single answer.
///
/// # Panics
/// When it is none that a URI may have.
pub async fn call_path(channel: Channel, path: &str, message: Bytes, metadata: MetadataMap) -> Result<(), Status> {
    let (mut client, request, path) = prepared(channel, path, message, metadata).await?;
    client.unary(request, path, Raw).await.map(drop)
}

async fn prepared(
    channel: Channel,
    path: &str,
    message: Bytes,
    metadata: MetadataMap,
) -> Result<(Grpc<Channel>, Request<Bytes>, PathAndQuery), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(message);
    *request.metadata_mut() = metadata;
    Ok((client, request, path.parse().expect("a path")))
}

/// Messages as bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
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
