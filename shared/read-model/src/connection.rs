//! The connections to Redis, and the time-outs that bound every wait for it.
//!
//! redis's own connection manager keeps a failed attempt to answer later commands with, and never leaves a failure that is not one of
//! I/O (a refused password, too many clients). So the renewing is done here: a connection that failed is forgotten at once and the next
//! command makes a new one; commands that come in while it is made share the attempt and its failure, so none queues behind another.
//!
//! Whether a server is one of a Redis Cluster it says itself, so the same settings work with both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    Script, ScriptInvocation, ServerErrorKind, TlsCertificates, ToRedisArgs, cmd,
};

use crate::metrics::METRICS;
use crate::{Error, certificates};

/// How long Redis may take.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For a new connection.
    pub connection_timeout: Duration,
    /// For the answer to a read.
    pub read_timeout: Duration,
    /// For the answer to a write: one script writes all that a batch of events changed.
    pub write_timeout: Duration,
    /// How many commands may wait to be sent on a connection before callers wait for room.
    pub commands_queued_max: usize,
    /// Into how many parts views are divided: one number for all services of a log.
    pub read_shards: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(10),
            commands_queued_max: 1024,
            read_shards: 1,
        }
    }
}

/// Where Redis is: one server, or some servers of a Redis Cluster, which lead to the others.
#[derive(Clone)]
pub(crate) struct Servers {
    clients: Arc<[Client]>,
    /// For TLS: for `rediss://` alone.
    certificates: Option<TlsCertificates>,
}

impl Servers {
    /// Parses the addresses; connects to nothing. `redis://[user]:[password]@host:port/[db]`, and further `,host:port` of the same cluster;
    /// `rediss://` with TLS, and then behind it all what [`certificates::parse`] knows.
    pub(crate) fn parse(redis_url: &str) -> Result<Self, Error> {
        let (addresses, certificates) = certificates::parse(redis_url)?;
        let (first, others) = addresses.split_once(',').unwrap_or((&addresses, ""));
        let mut urls = vec![first.to_owned()];
        let (scheme, rest) = first.split_once("://").unwrap_or_default();
        let before_host = rest.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        urls.extend(
            others.split(',').filter(|host| !host.is_empty()).map(|host| format!("{scheme}://{before_host}{host}")),
        );
        let clients = urls.into_iter().map(|url| {
            // Without this Nagle's algorithm holds back a small command until the one before it is acknowledged.
            let tcp = TcpSettings::default().set_nodelay(true);
            let info = url.into_connection_info()?.set_tcp_settings(tcp);
            match &certificates {
                Some(certificates) => Client::build_with_tls(info, certificates.clone()),
                None => Client::open(info),
            }
        });
        let clients: Result<Vec<_>, RedisError> = clients.collect();
        clients.map(|clients| Self { clients: clients.into(), certificates }).map_err(|_| {
            Error::Settings("the Redis URL is not one; expected redis://[user]:[password]@host:port/[db][,host:port…]")
        })
    }

    /// One after the other, from the first on.
    pub(crate) fn client(&self, number: usize) -> &Client {
        &self.clients[number % self.clients.len()]
    }

    fn info(&self) -> Vec<ConnectionInfo> {
        self.clients.iter().map(|client| client.get_connection_info().clone()).collect()
    }

    async fn connect(&self, limits: &Limits) -> Result<Live, RedisError> {
        let mut failed = None;
        for client in self.clients.iter() {
            match client.get_multiplexed_async_connection_with_config(&limits.one).await {
                Ok(connection) if is_of_cluster(&mut connection.clone()).await => {
                    let cluster = limits.cluster(self.info(), self.certificates.clone()).await;
                    return cluster.map(|connection| Live::Cluster(Box::new(connection)));
                }
                Ok(connection) => return Ok(Live::One(connection)),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| (ErrorKind::Io, "there is no server to connect to").into()))
    }
}

/// Who may not ask takes it for a server of its own.
async fn is_of_cluster(connection: &mut MultiplexedConnection) -> bool {
    let told: Result<String, RedisError> = cmd("INFO").arg("cluster").query_async(connection).await;
    told.is_ok_and(|told| told.lines().any(|line| line.trim_end() == "cluster_enabled:1"))
}

/// The limits of a connection, of either kind.
#[derive(Clone)]
struct Limits {
    one: AsyncConnectionConfig,
    connection_timeout: Duration,
    response_timeout: Duration,
}

impl Limits {
    async fn cluster(
        &self,
        servers: Vec<ConnectionInfo>,
        certificates: Option<TlsCertificates>,
    ) -> Result<ClusterConnection, RedisError> {
        let mut builder = ClusterClient::builder(servers);
        if let Some(certificates) = certificates {
            builder = builder.certs(certificates);
        }
        let client = builder
            .connection_timeout(self.connection_timeout)
            .response_timeout(self.response_timeout)
            .retries(CLUSTER_RETRIES)
            .max_retry_wait(CLUSTER_RETRY_WAIT_MS_MAX)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .build()?;
        client.get_async_connection().await
    }
}

/// A live connection.
#[derive(Clone)]
enum Live {
    One(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

/// How often a command follows a slot that moves, or waits for a failover, before its caller is told.
const CLUSTER_RETRIES: u32 = 4;
/// Milliseconds between two of these at the most.
const CLUSTER_RETRY_WAIT_MS_MAX: u64 = 100;

/// A call of a script, written at once as it is sent: [`ScriptInvocation`] keeps every argument by itself before, which reads of a hundred views feel.
pub(crate) struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Call {
    /// The first of the arguments, as many as `keys`, are the script's keys.
    pub(crate) fn new(script: &'static Script, keys: usize) -> Self {
        let mut command = cmd("EVALSHA");
        command.arg(script.get_hash()).arg(keys);
        Self { script, command }
    }

    /// Adds one.
    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }

    async fn sent<T: FromRedisValue>(&self, connection: &mut (impl ConnectionLike + Send)) -> Result<T, RedisError> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(connection).await?;
                self.command.query_async(connection).await
            }
            outcome => outcome,
        }
    }
}

/// What is sent to Redis.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
    Call(&'a Call),
}

impl<'a> From<&'a Call> for Request<'a> {
    fn from(call: &'a Call) -> Self {
        Self::Call(call)
    }
}

impl<'a> From<&'a mut Cmd> for Request<'a> {
    fn from(command: &'a mut Cmd) -> Self {
        Self::Command(command)
    }
}

impl<'a> From<&'a mut ScriptInvocation<'_>> for Request<'a> {
    fn from(script: &'a mut ScriptInvocation<'_>) -> Self {
        Self::Script(script)
    }
}

impl Request<'_> {
    async fn over<T: FromRedisValue>(self, live: &mut Live) -> Result<T, RedisError> {
        match live {
            Live::One(connection) => self.sent(connection).await,
            Live::Cluster(connection) => self.sent(&mut **connection).await,
        }
    }

    async fn sent<T: FromRedisValue>(self, connection: &mut (impl ConnectionLike + Send)) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
            Self::Call(call) => call.sent(connection).await,
        }
    }
}

type Attempt = Shared<BoxFuture<'static, Result<Live, RedisError>>>;

/// One connection for many callers at once, renewed by itself.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    servers: Servers,
    limits: Limits,
    current: Mutex<Attempt>,
    began: Instant,
    /// When a server answered last, in milliseconds since `began`.
    answered_ms: AtomicU64,
}

impl Connection {
    pub(crate) fn new(servers: Servers, options: &Options, response_timeout: Duration) -> Self {
        let one = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(Some(response_timeout))
            .set_pipeline_buffer_size(options.commands_queued_max);
        let limits = Limits { one, connection_timeout: options.connection_timeout, response_timeout };
        let current = Mutex::new(attempt(servers.clone(), limits.clone()));
        Self(Arc::new(Inner { servers, limits, current, began: Instant::now(), answered_ms: AtomicU64::new(0) }))
    }

    /// Runs what may be run twice: it is tried again once where the connection turns out to have died since its last use.
    pub(crate) async fn repeatable<T: FromRedisValue>(&self, request: impl Into<Request<'_>>) -> Result<T, Error> {
        let request = request.into();
        match self.send(request).await {
            Err(error) if error.is_connection_dropped() => Ok(self.send(request).await?),
            outcome => Ok(outcome?),
        }
    }

    /// Runs what writes, once: after a failure it may have taken effect or not.
    pub(crate) async fn once<T: FromRedisValue>(&self, request: impl Into<Request<'_>>) -> Result<T, Error> {
        Ok(self.send(request.into()).await?)
    }

    async fn send<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, RedisError> {
        let attempt = self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outcome = match attempt.clone().await {
            Ok(mut live) => {
                let sent_ms = self.now_ms();
                match request.over(&mut live).await {
                    Err(error) if !live.is_over(&error) && !self.is_stuck(&error, sent_ms) => return Err(error),
                    outcome => outcome,
                }
            }
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(_) => {
                self.0.answered_ms.fetch_max(self.now_ms(), Ordering::Relaxed);
            }
            Err(_) => {
                METRICS.failed.inc();
                self.forget(&attempt);
            }
        }
        outcome
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether nobody at all was answered since this was sent. redis's connection to a cluster may wait for itself for ever when a node dies under
    /// load (as of 1.8.1: its refresh of the slots waits for a lock whose next holder is polled only after the refresh). Time-outs alone say only that
    /// a node is away, and its replica will take over; the others are not to suffer for that.
    fn is_stuck(&self, error: &RedisError, sent_ms: u64) -> bool {
        if !error.is_timeout() {
            self.0.answered_ms.fetch_max(self.now_ms(), Ordering::Relaxed);
            return false;
        }
        self.0.answered_ms.load(Ordering::Relaxed) < sent_ms
    }

    /// A time-out counts too: nothing else tells that the server at the other end is gone when the network no longer says so.
    fn forget(&self, failed: &Attempt) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.ptr_eq(failed) {
            *current = attempt(self.0.servers.clone(), self.0.limits.clone());
        }
    }
}

impl Live {
    /// Whether it is of no use any more after this. A server that became a replica counts too: after a failover the address leads to another
    /// one. A connection to a cluster mends itself, unless it has lost all servers.
    fn is_over(&self, error: &RedisError) -> bool {
        match self {
            Self::One(_) => {
                error.is_io_error()
                    || error.is_unrecoverable_error()
                    || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            }
            Self::Cluster(_) => error.kind() == ErrorKind::ClusterConnectionNotFound,
        }
    }
}

/// Begins when first waited for, in a task of its own: a caller that goes away leaves nothing half-done for the others.
fn attempt(servers: Servers, limits: Limits) -> Attempt {
    async move {
        METRICS.opened.inc();
        tokio::spawn(async move { servers.connect(&limits).await })
            .await
            .unwrap_or_else(|_| Err((ErrorKind::Io, "the attempt to connect was given up").into()))
    }
    .boxed()
    .shared()
}
