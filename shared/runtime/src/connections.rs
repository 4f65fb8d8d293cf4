//! Accepting connections: no more than a limit, encrypted where that is asked for, each hand-shake in a task of its own with an end.
//!
//! When the process is told to stop, the listener is closed at once, so that a new client is refused and goes to another replica, instead of
//! waiting in a queue that nobody looks at any more.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge, register_int_gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::tls::{self, Tls};

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
    handshake_failures: IntCounter,
    pub(crate) tls_reloads: IntCounter,
    pub(crate) tls_reload_failures: IntCounter,
    pub(crate) tls_expires_at: IntGauge,
}

impl Metrics {
    fn register() -> prometheus::Result<Self> {
        let (tls_reloads, tls_reload_failures, handshake_failures, tls_expires_at) = tls::register()?;
        Ok(Self {
            open: register_int_gauge!("tally_connections", "Connections of clients that are open.")?,
            limit: register_int_gauge!(
                "tally_connections_limit",
                "Connections of clients that may be open at a time."
            )?,
            handshake_failures,
            tls_reloads,
            tls_reload_failures,
            tls_expires_at,
        })
    }
}

/// The connections that come in.
pub(crate) struct Connections {
    accepted: mpsc::Receiver<Connection>,
    _accepting: AbortOnDropHandle<()>,
}

impl Connections {
    /// Accepts until `stopping` is cancelled; then the listener is closed.
    pub(crate) fn accept(listener: TcpListener, tls: Option<Tls>, max: usize, stopping: CancellationToken) -> Self {
        METRICS.limit.set(i64::try_from(max).unwrap_or(i64::MAX));
        let (hand_over, accepted) = mpsc::channel(HANDED_OVER_MAX);
        let accepting = tokio::spawn(async move {
            tokio::select! {
                () = accept(listener, tls, max, hand_over) => {}
                () = stopping.cancelled() => {}
            }
        });
        Self { accepted, _accepting: AbortOnDropHandle::new(accepting) }
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

async fn accept(listener: TcpListener, tls: Option<Tls>, max: usize, hand_over: mpsc::Sender<Connection>) {
    let places = Arc::new(Semaphore::new(max));
    loop {
        // Before the accept: whoever is too many waits in the system's queue, where it costs us nothing.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it small answers wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let open = Open::new(place);
        let Some(tls) = &tls else {
            let connection = Connection { info: stream.connect_info(), stream: Transport::Plain(stream), _open: open };
            if hand_over.send(connection).await.is_err() {
                return;
            }
            continue;
        };
        let (acceptor, timeout) = (TlsAcceptor::from(tls.current()), tls.handshake_timeout);
        let hand_over = hand_over.clone();
        tokio::spawn(async move {
            let info = stream.connect_info();
            match tokio::time::timeout(timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _ = hand_over
                        .send(Connection { info, stream: Transport::Tls(Box::new(stream)), _open: open })
                        .await;
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

/// A place among the connections.
#[derive(Debug)]
struct Open {
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(place: OwnedSemaphorePermit) -> Self {
        METRICS.open.inc();
        Self { _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.open.dec();
    }
}

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Transport,
    info: TcpConnectInfo,
    _open: Open,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Whether only this machine can reach an address.
pub(crate) fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
