//! Serving gRPC until told to stop, then draining, with a hard deadline.
//!
//! tonic's graceful shutdown waits for every open stream, and one Health/Watch stays open for ever: so the drain has an end of its own.

use std::cell::Cell;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::future::try_join_all;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH_SERVICE;

use crate::calls::ObserveCalls;
use crate::connections::{Connections, Lane, accept};
use crate::health::health;
use crate::tokens::Authorize;
use crate::wire::WireErrors;
use crate::{Listening, Readiness};

/// Threads that may serve.
pub const SERVING_THREADS_MAX: usize = 64;
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

thread_local! {
    static SERVING_THREAD: Cell<usize> = const { Cell::new(0) };
}

/// Which of the threads that serve this is, below [`SERVING_THREADS_MAX`]; 0 on any other thread.
pub fn serving_thread() -> usize {
    SERVING_THREAD.get()
}

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

    let Listening { listener, address, tls, gate, connection_limits, reflection: is_described, threads } = listening;
    let (described, described_alpha) = match is_described {
        true => (Some(reflection(services).build_v1()?), Some(reflection(services).build_v1alpha()?)),
        false => (None, None),
    };
    let (tls, gate) = (tls.map(Arc::new), gate.map(Arc::new));
    let stopping = CancellationToken::new();
    let cut = CancellationToken::new();
    let _cut = cut.clone().drop_guard();
    let (mut lanes, mut serving) = (Vec::new(), Vec::new());
    for number in 0..threads {
        let (lane, accepted) = Lane::new();
        lanes.push(lane);
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_pending_accept_reset_streams(Some(RESETS_PENDING_MAX))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .layer(ObserveCalls)
            .layer(Authorize(gate.clone()))
            .layer(WireErrors)
            .add_routes(routes.clone())
            .add_service(health_service.clone())
            .add_optional_service(described.clone())
            .add_optional_service(described_alpha.clone());
        let (tls, stopping) = (tls.clone(), stopping.clone());
        serving.push(on_thread(number, cut.clone(), async move {
            let incoming = Connections::begin(accepted, tls, connection_limits, stopping.clone());
            server.serve_with_incoming_shutdown(incoming, stopping.cancelled_owned()).await
        })?);
    }
    let accepting = accept(listener, connection_limits.connections_max, lanes, stopping.clone());
    let _accepting = AbortOnDropHandle::new(tokio::spawn(accepting));

    let (draining, drain_began) = oneshot::channel();
    let _stop = AbortOnDropHandle::new(tokio::spawn(async move {
        shutdown.await;
        tracing::info!("stopping: draining calls under way");
        readiness.set(false);
        stopping.cancel();
        let _ = draining.send(());
    }));

    announce(address)?;
    let hard_stop = async move {
        match drain_began.await {
            Ok(()) => tokio::time::sleep(drain_timeout).await,
            Err(_) => std::future::pending().await,
        }
    };
    let served = tokio::select! {
        served = try_join_all(serving) => served.map(drop),
        () = hard_stop => {
            tracing::warn!(?drain_timeout, "calls were still under way and are cut");
            Ok(())
        }
    };
    report.abort();
    served
}

/// Runs a server on a thread of its own; what is returned is its end. The thread stays until `cut` is cancelled: what belongs to all may live on it, as a
/// connection to a store does that was first asked for there.
///
/// Each such thread has a part of the connections, and does all that is done for them. tokio's workers, which have everything in common, wait for each
/// other to wake up more than they work beside each other, where there are few of them (docs/decisions.md).
fn on_thread(
    number: usize,
    cut: CancellationToken,
    server: impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let (end, ended) = oneshot::channel();
    let serve = move || {
        SERVING_THREAD.set(number);
        runtime.block_on(async {
            let served = cut.run_until_cancelled(server).await.unwrap_or(Ok(()));
            let _ = end.send(served.context("the transport failed"));
            cut.cancelled().await;
        });
    };
    thread::Builder::new().name(format!("serve-{number}")).spawn(serve).context("no thread")?;
    Ok(async { ended.await.unwrap_or_else(|_| Err(anyhow!("a thread that serves has ended"))) })
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
