//! A gRPC call on bare HTTP/2. The load shares its cores with what it measures, and tonic's client, made for more than this, takes from them
//! what the servers then lack.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::percent_decode;
use prost::Message;
use tokio::net::TcpStream;

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// So much may be on its way to us without our asking for more.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A connection to one method of a server; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    send: SendRequest<Bytes>,
    uri: Uri,
}

impl Connection {
    pub(super) async fn open(target: SocketAddr, method: &str) -> Result<Self> {
        let socket = TcpStream::connect(target).await.with_context(|| format!("can't connect to {target}"))?;
        socket.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(WINDOW_BYTES).initial_window_size(WINDOW_BYTES);
        let (send, connection) = builder.handshake(socket).await?;
        // Its errors come out of the calls.
        tokio::spawn(connection);
        Ok(Self { send, uri: format!("http://{target}/{method}").parse()? })
    }

    /// Another method of the same server, over the same connection.
    pub(super) fn to(&self, method: &str) -> Result<Self> {
        let server = self.uri.authority().context("a server")?;
        Ok(Self { send: self.send.clone(), uri: format!("http://{server}/{method}").parse()? })
    }

    /// Calls the method. An error is named by the server's code and message.
    pub(super) async fn call<A: Message + Default>(&self, message: &impl Message) -> Result<A, String> {
        let bytes = self.exchange(framed(message)).await?;
        A::decode(bytes.get(PREFIX_BYTES..).unwrap_or_default()).map_err(|error| error.to_string())
    }

    async fn exchange(&self, message: Bytes) -> Result<Bytes, String> {
        let broken = |error: h2::Error| format!("the connection broke: {error}");
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, http::HeaderValue::from_static("trailers"));
        let mut send = self.send.clone().ready().await.map_err(broken)?;
        let (answer, mut body) = send.send_request(request, false).map_err(broken)?;
        body.send_data(message, true).map_err(broken)?;
        let answer = answer.await.map_err(broken)?;
        // An error without a body has its status at the beginning.
        if answer.headers().contains_key("grpc-status") {
            succeeded(answer.headers())?;
        }
        let mut body = answer.into_body();
        let bytes = all_of(&mut body).await.map_err(broken)?;
        succeeded(&body.trailers().await.map_err(broken)?.unwrap_or_default())?;
        Ok(bytes)
    }
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // It can't be too short.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

async fn all_of(body: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn succeeded(headers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| Some(percent_decode(headers.get(name)?.as_bytes()).decode_utf8_lossy().into_owned());
    match text("grpc-status").as_deref() {
        Some("0") => Ok(()),
        Some(code) => Err(format!("code {code}: {}", text("grpc-message").unwrap_or_default())),
        None => Err("an answer without a status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tally_api::consistency::v1::Receipt;

    use super::*;

    #[test]
    fn a_message_is_framed_with_its_length() {
        let receipt = Receipt { token: "abc".to_owned(), ..Receipt::default() };
        let bytes = framed(&receipt);
        assert_eq!(bytes[..PREFIX_BYTES], [0, 0, 0, 0, 5]);
        assert_eq!(Receipt::decode(&bytes[PREFIX_BYTES..]).unwrap(), receipt);
    }

    #[test]
    fn only_status_0_is_success() {
        let with = |status: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static(status),
            )])
        };
        assert!(succeeded(&with("0")).is_ok());
        assert!(succeeded(&with("8")).unwrap_err().contains("code 8"));
        assert!(succeeded(&HeaderMap::new()).is_err());
    }
}
