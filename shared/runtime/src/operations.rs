//! The port for operators: `/metrics` for Prometheus, `/livez` and `/readyz` for probes that can't speak gRPC (or not over TLS). It shows no
//! customer's data and takes no orders, but it is not for the public either.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::Readiness;
use crate::connections::is_local;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// How long a request may take to arrive whole.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed accept, so that a process without file descriptors doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the port for operators, if there is to be one, until dropped. It is open to whoever reaches it (docs/decisions.md says why), so it is
/// off unless asked for, and says so where others than this machine reach it.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve_operations(
    address: Option<SocketAddr>,
    readiness: Readiness,
) -> anyhow::Result<Option<AbortOnDropHandle<()>>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't serve metrics on {address}"))?;
    let address = listener.local_addr()?;
    if !is_local(address) {
        tracing::info!(
            "whoever reaches the port of metrics may read it: it has neither TLS nor tokens, whatever other ports have"
        );
    }
    tracing::info!(%address, "metrics are served");
    Ok(Some(AbortOnDropHandle::new(tokio::spawn(accept(listener, readiness)))))
}

async fn accept(listener: TcpListener, readiness: Readiness) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let readiness = readiness.clone();
        tokio::spawn(async move {
            let answers = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &readiness))));
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), answers).await {
                tracing::debug!(%error, "a connection for metrics broke");
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, readiness: &Readiness) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/metrics" => metrics(),
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" if readiness.is_ready() => text(StatusCode::OK, "ok\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n"),
    }
}

fn metrics() -> Response<Full<Bytes>> {
    let encoder = TextEncoder::new();
    let mut body = Vec::new();
    if let Err(error) = encoder.encode(&prometheus::gather(), &mut body) {
        tracing::error!(%error, "metrics can't be written");
        return text(StatusCode::INTERNAL_SERVER_ERROR, "metrics can't be written\n");
    }
    response(StatusCode::OK, encoder.format_type(), body)
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
