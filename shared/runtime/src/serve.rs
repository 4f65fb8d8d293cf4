//! Serving gRPC until told to stop, then draining, with a hard deadline.
//!
//! tonic's graceful shutdown waits for every open stream, and one Health/Watch stays open for ever: so the drain has an end of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH_SERVICE;

use crate::calls::ObserveCalls;
use crate::connections::Connections;
use crate::health::health;
use crate::tokens::Authorize;
use crate::wire::WireErrors;
use crate::{Listening, Readiness};

/// Calls under way on one connection; further ones wait at the client, as HTTP/2 has it.
const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// Calls on one connection that were given up before they were looked at, until the library ends it: as it has it itself.
const RESETS_PENDING_MAX: usize = 20;
/// Bytes of headers in one request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How often a silent connection is asked whether anybody is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer that.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves `routes`, health and (unless it is switched off) reflection (v1 and v1alpha) on `listening`, prints `listening on ADDRESS` on standard output, and goes on until
/// `shutdown` completes; then calls under way have `drain_timeout` to finish. `services` are the names whose health is `readiness`.
///
/// # Errors
/// When the transport fails, or reflection can't be built.
pub async fn serve(
    listening: Listening,
    routes: Routes,
    services: &[&'static str],
    readiness: Readiness,
    drain_timeout: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (reporter, health_service) = health();
    let report = tokio::spawn(readiness.clone().report(reporter, services.to_vec()));

    let Listening { listener, address, tls, gate, connection_limits, reflection: is_described } = listening;
    let stopping = CancellationToken::new();
    let incoming = Connections::accept(listener, tls, connection_limits, stopping.clone());
    let (draining, drain_began) = oneshot::channel();
    let stop = async move {
        shutdown.await;
        tracing::info!("stopping: draining calls under way");
        readiness.set(false);
        stopping.cancel();
        let _ = draining.send(());
    };

    let (described, described_alpha) = match is_described {
        true => (Some(reflection(services).build_v1()?), Some(reflection(services).build_v1alpha()?)),
        false => (None, None),
    };
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_PENDING_MAX))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(ObserveCalls)
        .layer(Authorize(gate.map(Arc::new)))
        .layer(WireErrors)
        .add_routes(routes)
        .add_service(health_service)
        .add_optional_service(described)
        .add_optional_service(described_alpha)
        .serve_with_incoming_shutdown(incoming, stop);

    announce(address)?;
    let hard_stop = async move {
        match drain_began.await {
            Ok(()) => tokio::time::sleep(drain_timeout).await,
            Err(_) => std::future::pending().await,
        }
    };
    let served = tokio::select! {
        served = server => served.context("the transport failed"),
        () = hard_stop => {
            tracing::warn!(?drain_timeout, "calls were still under way and are cut");
            Ok(())
        }
    };
    report.abort();
    served
}

/// Describes every message, and lists only what this process serves.
fn reflection<'a>(services: &[&'static str]) -> tonic_reflection::server::Builder<'a> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tally_api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(HEALTH_SERVICE);
    services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
}

/// The one line on standard output, for whoever started the process with port 0.
fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()
}
