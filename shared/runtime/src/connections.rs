//! Accepting connections: no more than a limit, each served by one of some threads, encrypted where that is asked for, each hand-shake in a task of
//! its own with an end.
//!
//! When the process is told to stop, the listener is closed at once, so that a new client is refused and goes to another replica, instead of
//! waiting in a queue that nobody looks at any more.
//!
//! What one connection may do to the others is bounded in `connections/connection.rs`.

mod allowance;
mod connection;
mod frames;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, register_int_counter, register_int_counter_vec, register_int_gauge,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;

use crate::tls::{self, Tls};
use allowance::Reason;
use connection::Connection;
use transport::Transport;

/// Connections accepted and not taken over yet.
const HANDED_OVER_MAX: usize = 64;
/// After a failed accept, so that a process without file descriptors doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections are counted by.
pub(crate) static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::register().expect("every metric has a name of its own"));

pub(crate) struct Metrics {
    open: IntGauge,
    limit: IntGauge,
    slowed: IntCounter,
    hung_up: IntCounterVec,
    handshake_failures: IntCounter,
    pub(crate) tls_reloads: IntCounter,
    pub(crate) tls_reload_failures: IntCounter,
    pub(crate) tls_expires_at: IntGauge,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        let (tls_reloads, tls_reload_failures, handshake_failures, tls_expires_at) = tls::register()?;
        let hung_up = register_int_counter_vec!(
            "tally_connections_hung_up_total",
            "Connections of clients that were ended because of what the client sent, or did not.",
            &["reason"]
        )?;
        for reason in Reason::ALL {
            hung_up.with_label_values(&[reason.label()]);
        }
        Ok(Self {
            open: register_int_gauge!("tally_connections", "Connections of clients that are open.")?,
            limit: register_int_gauge!(
                "tally_connections_limit",
                "Connections of clients that may be open at a time."
            )?,
            slowed: register_int_counter!(
                "tally_connections_slowed_total",
                "Times that a connection was read from more slowly, because too many frames on it asked for nothing."
            )?,
            hung_up,
            handshake_failures,
            tls_reloads,
            tls_reload_failures,
            tls_expires_at,
        })
    }
}

/// What a client's connection may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// How long a connection may take to begin.
    pub(crate) preface_timeout: Duration,
    /// Frames a second that ask for nothing.
    pub(crate) control_frames_per_second_max: u32,
    /// How long it may send more of them.
    pub(crate) overuse_max: Duration,
}

/// A connection that was accepted, on its way to the thread that is to serve it.
pub(crate) struct Accepted {
    stream: std::net::TcpStream,
    open: Open,
}

/// A thread that serves connections, as the one who accepts them knows it.
pub(crate) struct Lane {
    hand_over: mpsc::Sender<Accepted>,
    /// Connections that it has.
    open: Arc<()>,
}

impl Lane {
    /// A lane, and what comes out at its end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Accepted>) {
        let (hand_over, accepted) = mpsc::channel(HANDED_OVER_MAX);
        (Self { hand_over, open: Arc::default() }, accepted)
    }
}

/// Accepts until `stopping` is cancelled; then the listener is closed. Each connection goes to the lane that has the fewest.
pub(crate) async fn accept(
    listener: TcpListener,
    connections_max: usize,
    lanes: Vec<Lane>,
    stopping: CancellationToken,
) {
    METRICS.limit.set(i64::try_from(connections_max).unwrap_or(i64::MAX));
    let places = Arc::new(Semaphore::new(connections_max));
    let accepting = async {
        loop {
            // Before the accept: whoever is too many waits in the system's queue, where it costs us nothing.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(lane) = lanes.iter().min_by_key(|lane| Arc::strong_count(&lane.open)) else { return };
            let open = Open::new(place, Arc::clone(&lane.open));
            if lane.hand_over.send(Accepted { stream, open }).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopping.cancelled() => {}
    }
}

/// The connections of one lane, begun.
pub(crate) struct Connections {
    begun: mpsc::Receiver<Connection>,
    _beginning: AbortOnDropHandle<()>,
}

impl Connections {
    /// Begins what comes out of a lane, until nothing more does.
    pub(crate) fn begin(
        accepted: mpsc::Receiver<Accepted>,
        tls: Option<Arc<Tls>>,
        limits: ConnectionLimits,
        stopping: CancellationToken,
    ) -> Self {
        let (hand_over, begun) = mpsc::channel(HANDED_OVER_MAX);
        let beginning = tokio::spawn(begin(accepted, tls, limits, stopping, hand_over));
        Self { begun, _beginning: AbortOnDropHandle::new(beginning) }
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.begun.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

async fn begin(
    mut accepted: mpsc::Receiver<Accepted>,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    stopping: CancellationToken,
    hand_over: mpsc::Sender<Connection>,
) {
    while let Some(Accepted { stream, open }) = accepted.recv().await {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken over");
                continue;
            }
        };
        // Without it small answers wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let (info, stopping) = (stream.connect_info(), stopping.clone());
        let Some(tls) = &tls else {
            let connection = Connection::new(Transport::Plain(stream), info, open, limits, stopping);
            if hand_over.send(connection).await.is_err() {
                return;
            }
            continue;
        };
        let (acceptor, timeout) = (TlsAcceptor::from(tls.current()), tls.handshake_timeout);
        let hand_over = hand_over.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let transport = Transport::Tls(Box::new(stream));
                    let _ = hand_over.send(Connection::new(transport, info, open, limits, stopping)).await;
                }
                Ok(Err(error)) => {
                    METRICS.handshake_failures.inc();
                    tracing::debug!(%error, "a TLS hand-shake failed");
                }
                Err(_) => {
                    METRICS.handshake_failures.inc();
                    tracing::debug!("a TLS hand-shake took too long");
                }
            }
        });
    }
}

/// A place among the connections, and among those of a lane.
#[derive(Debug)]
struct Open {
    _place: OwnedSemaphorePermit,
    _of_lane: Arc<()>,
}

impl Open {
    fn new(place: OwnedSemaphorePermit, of_lane: Arc<()>) -> Self {
        METRICS.open.inc();
        Self { _place: place, _of_lane: of_lane }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.open.dec();
    }
}

/// Whether only this machine can reach an address.
pub(crate) fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
