//! Bells: Redis channels that tell a position. They only save waiting: a ring may be lost, so every listener also polls.
//!
//! All bells of a process share one connection, made when the first is hung and renewed for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use redis::{Client, ErrorKind, Msg, RedisError};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tracing::debug;

use crate::connection::Servers;

/// How long after a failure the connection is made anew.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// How often the connection is asked whether it is alive: a dead one looks just like a log at rest.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Tells of the positions that somebody reached.
pub struct Bell {
    position: watch::Receiver<u64>,
    /// The listening ends with the last bell.
    _listener: Arc<Listener>,
}

impl Bell {
    /// Waits for a ring that was not told yet, and tells its position; of several only the last. Also rings, with the last position
    /// again (0 where there was none), whenever listening begins or begins anew, since what happened before was not heard.
    ///
    /// None when there will never be another ring. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<u64> {
        self.position.changed().await.ok()?;
        Some(*self.position.borrow_and_update())
    }
}

/// Where bells are hung.
pub(crate) struct Bells(Arc<Listener>);

struct Listener {
    servers: Servers,
    answer_timeout: Duration,
    channels: Arc<Channels>,
    task: OnceLock<AbortHandle>,
}

#[derive(Default)]
struct Channels {
    /// As many as a process has units, and the log's; none is ever taken down.
    by_name: Mutex<HashMap<String, Channel>>,
    added: Notify,
}

#[derive(Default)]
struct Channel {
    position: watch::Sender<u64>,
    is_heard: bool,
}

impl Bells {
    pub(crate) fn new(servers: Servers, answer_timeout: Duration) -> Self {
        Self(Arc::new(Listener { servers, answer_timeout, channels: Arc::default(), task: OnceLock::new() }))
    }

    pub(crate) fn hang(&self, channel: String) -> Bell {
        let listener = &self.0;
        let position = listener.channels.add(channel);
        listener.task.get_or_init(|| {
            let (servers, channels) = (listener.servers.clone(), listener.channels.clone());
            tokio::spawn(listen_for_ever(servers, listener.answer_timeout, channels)).abort_handle()
        });
        Bell { position, _listener: listener.clone() }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Channels {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: String) -> watch::Receiver<u64> {
        let mut channels = self.lock();
        let channel = channels.entry(name).or_default();
        let mut position = channel.position.subscribe();
        if channel.is_heard {
            position.mark_changed();
        }
        self.added.notify_one();
        position
    }

    fn unheard(&self) -> Vec<String> {
        self.lock().iter().filter(|(_, channel)| !channel.is_heard).map(|(name, _)| name.clone()).collect()
    }

    fn set_heard(&self, names: &[String]) {
        let mut channels = self.lock();
        for name in names {
            if let Some(channel) = channels.get_mut(name) {
                channel.is_heard = true;
                channel.position.send_modify(|_| {});
            }
        }
    }

    fn set_all_unheard(&self) {
        for channel in self.lock().values_mut() {
            channel.is_heard = false;
        }
    }

    fn ring(&self, message: &Msg) {
        // A position that is none still says that something happened.
        let told: Option<u64> = message.get_payload::<String>().ok().and_then(|payload| payload.parse().ok());
        if let Some(channel) = self.lock().get(message.get_channel_name()) {
            channel.position.send_modify(|position| *position = told.unwrap_or(*position));
        }
    }
}

/// Any server of a cluster tells of the rings at all of them, so one that is away is done without.
async fn listen_for_ever(servers: Servers, answer_timeout: Duration, channels: Arc<Channels>) {
    for number in 0.. {
        let ended = listen(servers.client(number), answer_timeout, &channels).await;
        channels.set_all_unheard();
        if let Err(error) = ended {
            debug!(error = %crate::Error::from(error), "the bells are silent until Redis can be reached again");
        }
        sleep(RECONNECT_AFTER).await;
    }
}

async fn listen(client: &Client, answer_timeout: Duration, channels: &Channels) -> Result<(), RedisError> {
    let pubsub = within(answer_timeout, client.get_async_pubsub()).await?;
    let (mut sink, mut messages) = pubsub.split();
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let new = channels.unheard();
        if !new.is_empty() {
            within(answer_timeout, sink.subscribe(&new)).await?;
            channels.set_heard(&new);
        }
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => channels.ring(&message),
                None => return Err((ErrorKind::Io, "the connection was closed").into()),
            },
            () = channels.added.notified() => {}
            _ = ping.tick() => within(answer_timeout, sink.ping()).await?,
        }
    }
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err((ErrorKind::Io, "no answer in time").into()))
}
