//! How a port is served: encrypted, to whom, to how many.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args};
use tokio::net::TcpListener;

use crate::connections::{ConnectionLimits, is_local};
use crate::serve::SERVING_THREADS_MAX;
use crate::tls::{Tls, TlsArgs};
use crate::tokens::{self, Gate, TokenArgs};

/// Connections of clients at a time.
const CONNECTIONS_MAX: u32 = 4_096;
/// How long a connection may take to begin. A client writes its first frames with the hand-shake.
const PREFACE_MS_MAX: u64 = 10_000;
/// Frames a second, of a connection, that are no part of a call. Clients that are asked to be gentle send one every ten seconds.
const CONTROL_FRAMES_PER_SECOND_MAX: u32 = 200;
/// How long a connection may send more of them, while it is slowed, until it is hung up on.
const OVERUSE_MS_MAX: u64 = 10_000;

/// How a port is served.
#[derive(Args, Clone, Debug)]
pub struct PortArgs {
    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) tokens: TokenArgs,

    /// Connections of clients at a time; further ones wait to be accepted
    #[arg(long, env = "TALLY_CONNECTIONS_MAX", default_value_t = CONNECTIONS_MAX, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections_max: u32,

    /// Threads that serve connections, each a part of them [default: as many as there are processors, up to 64]
    #[arg(long, env = "TALLY_SERVING_THREADS", value_name = "COUNT",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=SERVING_THREADS_MAX as u64))]
    pub(crate) serving_threads: Option<usize>,

    /// Milliseconds that a connection may take to begin (after the TLS hand-shake, where there is one)
    #[arg(long, env = "TALLY_PREFACE_MS_MAX", default_value_t = PREFACE_MS_MAX, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) preface_ms_max: u64,

    /// Frames a second on a connection that ask for nothing, beyond those that calls and answers bring with them: PING, SETTINGS, WINDOW_UPDATE,
    /// calls given up at once. Ten seconds' worth can be saved up; whoever sends more is slowed down to it
    #[arg(long, env = "TALLY_CONTROL_FRAMES_PER_SECOND_MAX", default_value_t = CONTROL_FRAMES_PER_SECOND_MAX, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) control_frames_per_second_max: u32,

    /// Milliseconds that a connection may send more of them, before it is hung up on
    #[arg(long, env = "TALLY_OVERUSE_MS_MAX", default_value_t = OVERUSE_MS_MAX, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) overuse_ms_max: u64,

    /// Whether the API describes itself to whoever may ask (gRPC reflection)
    #[arg(long, env = "TALLY_REFLECTION", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub(crate) reflection: bool,

    /// Serve others than this machine although the port is not encrypted, or asks nobody who they are: something else sees to that
    #[arg(long, env = "TALLY_INSECURE", default_value_t = false)]
    pub(crate) insecure: bool,
}

impl Default for PortArgs {
    /// For this machine alone: neither encrypted nor asking who calls.
    fn default() -> Self {
        Self {
            tls: TlsArgs::default(),
            tokens: TokenArgs::default(),
            connections_max: CONNECTIONS_MAX,
            serving_threads: None,
            preface_ms_max: PREFACE_MS_MAX,
            control_frames_per_second_max: CONTROL_FRAMES_PER_SECOND_MAX,
            overuse_ms_max: OVERUSE_MS_MAX,
            reflection: true,
            insecure: false,
        }
    }
}

impl PortArgs {
    fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections_max: self.connections_max as usize,
            preface_timeout: Duration::from_millis(self.preface_ms_max),
            control_frames_per_second_max: self.control_frames_per_second_max,
            overuse_max: Duration::from_millis(self.overuse_ms_max),
        }
    }
}

/// A bound listener, not served yet.
pub struct Listening {
    pub(crate) listener: TcpListener,
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) gate: Option<Gate>,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) reflection: bool,
    /// Threads that serve it.
    pub(crate) threads: usize,
}

/// Binds `address`; port 0 takes a free one. Certificates, keys and tokens are read before.
///
/// # Errors
/// When the address can't be bound, a file can't be used, or others than this machine would be served without TLS or without knowing who
/// calls, and nobody said that this is meant.
pub async fn bind(address: SocketAddr, port: &PortArgs) -> anyhow::Result<Listening> {
    let tls = Tls::load(&port.tls).context("no TLS")?;
    let gate = tokens::gate(&port.tokens, port.tls.reload_interval()).await?;
    let knows_callers = gate.is_some() || port.tls.is_mutual();
    let is_safe = tls.is_some() && knows_callers;
    if !(is_safe || port.insecure || is_local(address)) {
        bail!(
            "{address} can be reached by others, and {}: set up TLS (--tls-cert, --tls-key) and callers' tokens (--jwt-issuer or --tokens) or \
             certificates (--tls-client-ca), or say --insecure if something else sees to both",
            if tls.is_some() { "nobody would be asked who they are" } else { "nothing would be encrypted" }
        );
    }
    if tls.is_none() && gate.is_some() && !is_local(address) {
        tracing::warn!("tokens come in unencrypted: whoever listens on the way can use them");
    }
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    let connection_limits = port.connection_limits();
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = port.serving_threads.unwrap_or(processors.min(SERVING_THREADS_MAX));
    Ok(Listening { listener, address, tls, gate, connection_limits, reflection: port.reflection, threads })
}
