//! The connections to Redis, and the time-outs that bound every wait for it.
//!
//! redis's own connection manager keeps a failed attempt to answer later commands with, and never leaves a failure that is not one of
//! I/O (a refused password, too many clients). So the renewing is done here: a connection that failed is forgotten at once and the next
//! command makes a new one; commands that come in while it is made share the attempt and its failure, so none queues behind another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation,
    ServerErrorKind,
};

use crate::Error;
use crate::metrics::METRICS;

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(10),
            commands_queued_max: 1024,
        }
    }
}

/// Parses the address; connects to nothing.
pub(crate) fn client(redis_url: &str) -> Result<Client, Error> {
    // Without this Nagle's algorithm holds back a small command until the one before it is acknowledged.
    let tcp = TcpSettings::default().set_nodelay(true);
    redis_url
        .into_connection_info()
        .and_then(|info| Client::open(info.set_tcp_settings(tcp)))
        .map_err(|_| Error::Settings("the Redis URL is not one; expected redis://[user]:[password]@host:port/[db]"))
}

/// What is sent to Redis.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
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
    async fn over<T: FromRedisValue>(self, connection: &mut MultiplexedConnection) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Script(script) => script.invoke_async(connection).await,
        }
    }
}

type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

/// One connection for many callers at once, renewed by itself.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Attempt>,
}

impl Connection {
    pub(crate) fn new(client: Client, options: &Options, response_timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(Some(response_timeout))
            .set_pipeline_buffer_size(options.commands_queued_max);
        let current = Mutex::new(attempt(client.clone(), config.clone()));
        Self(Arc::new(Inner { client, config, current }))
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
            Ok(mut connection) => match request.over(&mut connection).await {
                Err(error) if !is_about_the_connection(&error) => return Err(error),
                outcome => outcome,
            },
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            METRICS.failed.inc();
            self.forget(&attempt);
        }
        outcome
    }

    /// A time-out counts too: nothing else tells that the server at the other end is gone when the network no longer says so.
    fn forget(&self, failed: &Attempt) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.ptr_eq(failed) {
            *current = attempt(self.0.client.clone(), self.0.config.clone());
        }
    }
}

/// A server that became a replica counts too: after a failover the address leads to another one.
fn is_about_the_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Begins when first waited for, in a task of its own: a caller that goes away leaves nothing half-done for the others.
fn attempt(client: Client, config: AsyncConnectionConfig) -> Attempt {
    async move {
        METRICS.opened.inc();
        tokio::spawn(async move { client.get_multiplexed_async_connection_with_config(&config).await })
            .await
            .unwrap_or_else(|_| Err((ErrorKind::Io, "the attempt to connect was given up").into()))
    }
    .boxed()
    .shared()
}
