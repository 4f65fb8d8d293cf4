//! A small TCP proxy between two parts, which can do to their connections what networks do.
//!
//! A stream of bytes that lost some can't go on, so a connection that carried nothing for a while, or whose replies were dropped, is closed
//! when that is over: as by a network that comes back and knows nothing of it any more.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Bytes taken from a connection at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Between attempts to accept, where the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is done to all connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Each piece waits this long, in both directions.
    Delay(Duration),
    /// They are closed, and new ones too.
    Cut,
    /// They stay open and carry nothing.
    HalfOpen,
    /// What is sent arrives, what is replied doesn't.
    DropReplies,
}

/// A listening proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: Arc<RwLock<SocketAddr>>,
    mode: watch::Sender<Mode>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Listens on a free port of this machine and carries to `upstream`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let upstream = Arc::new(RwLock::new(upstream));
        let mode = watch::Sender::new(Mode::Pass);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&upstream), mode.subscribe()));
        Ok(Self { address, upstream, mode, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// Where it listens, for as long as it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries new connections somewhere else.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.upstream.write().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// What is done to connections from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, upstream: Arc<RwLock<SocketAddr>>, mode: watch::Receiver<Mode>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let upstream = *upstream.read().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(carry_both(client, upstream, mode.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn carry_both(client: TcpStream, upstream: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let now = *mode.borrow_and_update();
    match now {
        Mode::Cut => return,
        Mode::HalfOpen => {
            // Whoever connects now gets no further than to the system.
            let _ = mode.changed().await;
            return;
        }
        Mode::Pass | Mode::Delay(_) | Mode::DropReplies => {}
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = carry(from_client, to_server, mode.clone(), false) => {}
        () = carry(from_server, to_client, mode, true) => {}
    }
}

/// Carries one direction until the connection ends or has to.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>, replies: bool) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut lossy = false;
    loop {
        let now = *mode.borrow_and_update();
        let loses = now == Mode::DropReplies || now == Mode::HalfOpen;
        if now == Mode::Cut || (lossy && !loses) {
            return;
        }
        lossy |= loses;
        let taken = tokio::select! {
            _ = mode.changed() => continue,
            taken = from.read(&mut chunk), if now != Mode::HalfOpen => taken,
        };
        let Ok(count @ 1..) = taken else { return };
        match now {
            Mode::DropReplies if replies => continue,
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            Mode::Pass | Mode::Cut | Mode::HalfOpen | Mode::DropReplies => {}
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A server that answers each byte with itself.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    /// What comes back for one byte: None where the connection ends.
    async fn ask(connection: &mut TcpStream, byte: u8) -> Option<u8> {
        connection.write_all(&[byte]).await.ok()?;
        connection.read_u8().await.ok()
    }

    async fn silent(connection: &mut TcpStream) -> bool {
        tokio::time::timeout(Duration::from_millis(100), ask(connection, 9)).await.is_err()
    }

    #[tokio::test]
    async fn it_carries_both_ways_and_a_delay_delays() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut connection = connect(&proxy).await;
        assert_eq!(ask(&mut connection, 1).await, Some(1));
        proxy.set(Mode::Delay(Duration::from_millis(60)));
        let began = Instant::now();
        assert_eq!(ask(&mut connection, 2).await, Some(2));
        assert!(began.elapsed() >= Duration::from_millis(110), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_takes_no_new_ones() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut connection = connect(&proxy).await;
        assert_eq!(ask(&mut connection, 1).await, Some(1));
        proxy.set(Mode::Cut);
        assert_eq!(connection.read_u8().await.ok(), None);
        assert_eq!(ask(&mut connect(&proxy).await, 2).await, None);
        proxy.set(Mode::Pass);
        assert_eq!(ask(&mut connect(&proxy).await, 3).await, Some(3));
    }

    #[tokio::test]
    async fn half_open_connections_are_silent_and_end_with_the_fault() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut old = connect(&proxy).await;
        assert_eq!(ask(&mut old, 1).await, Some(1));
        proxy.set(Mode::HalfOpen);
        let mut new = connect(&proxy).await;
        assert!(silent(&mut old).await && silent(&mut new).await);
        proxy.set(Mode::Pass);
        assert_eq!((old.read_u8().await.ok(), new.read_u8().await.ok()), (None, None));
    }

    #[tokio::test]
    async fn dropped_replies_stay_dropped() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut connection = connect(&proxy).await;
        assert_eq!(ask(&mut connection, 1).await, Some(1));
        proxy.set(Mode::DropReplies);
        assert!(silent(&mut connection).await);
        proxy.set(Mode::Pass);
        assert_eq!(connection.read_u8().await.ok(), None);
    }

    #[tokio::test]
    async fn it_leads_somewhere_else_when_told() {
        let proxy = Proxy::start("127.0.0.1:1".parse().unwrap()).await.unwrap();
        assert_eq!(ask(&mut connect(&proxy).await, 1).await, None);
        proxy.lead_to(echo().await);
        assert_eq!(ask(&mut connect(&proxy).await, 2).await, Some(2));
    }
}
