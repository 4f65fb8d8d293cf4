//! The Postgres and the Redis of a run: the kit's own, which it may do anything to, or somebody else's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tally_servers::{Postgres, Redis};
use url::Url;
use uuid::Uuid;

use crate::tmpfs::Tmpfs;

/// How long a server may take to answer again.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Both servers.
#[derive(Debug)]
pub(crate) struct Stores {
    own: Option<Own>,
    database_url: Url,
    /// Another one after a replica was promoted.
    redis_url: Mutex<Url>,
    /// Folders of replicas.
    folders: Mutex<Vec<PathBuf>>,
}

/// Servers of the kit's own.
#[derive(Debug)]
struct Own {
    postgres: Postgres,
    redis: tokio::sync::Mutex<Redis>,
    // Last: the server on it goes first.
    disk: Option<Tmpfs>,
}

impl Stores {
    /// Starts a pair of servers, Postgres on a disk of its own if that is wanted and possible.
    pub(crate) async fn own(log: &str, on_own_disk: bool) -> Result<Self> {
        let disk = match on_own_disk.then(Tmpfs::mount) {
            Some(Ok(disk)) => Some(disk),
            Some(Err(error)) => {
                crate::report::say(&format!("the disk will not be filled: {error:#}"));
                None
            }
            None => None,
        };
        let postgres = match &disk {
            Some(disk) => Postgres::start(&disk.folder().join("postgres")).await?,
            None => Postgres::temporary().await?,
        };
        let redis = Redis::temporary().await?;
        let database_url = Url::parse(&postgres.create_database(log).await?)?;
        let redis_url = Mutex::new(Url::parse(&redis.url())?);
        let own = Own { postgres, redis: tokio::sync::Mutex::new(redis), disk };
        Ok(Self { own: Some(own), database_url, redis_url, folders: Mutex::default() })
    }

    /// Uses servers that are there.
    pub(crate) fn foreign(database_url: &str, redis_url: &str) -> Result<Self> {
        Ok(Self {
            own: None,
            database_url: Url::parse(database_url).context("the URL of Postgres")?,
            redis_url: Mutex::new(Url::parse(redis_url).context("the URL of Redis")?),
            folders: Mutex::default(),
        })
    }

    pub(crate) fn are_own(&self) -> bool {
        self.own.is_some()
    }

    pub(crate) fn have_own_disk(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.disk.is_some())
    }

    /// The database, past every proxy.
    pub(crate) fn database_url(&self) -> &Url {
        &self.database_url
    }

    /// Redis, past every proxy.
    pub(crate) fn redis_url(&self) -> Url {
        self.redis_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn postgres_address(&self) -> Result<SocketAddr> {
        address(&self.database_url, 5_432)
    }

    pub(crate) fn redis_address(&self) -> Result<SocketAddr> {
        address(&self.redis_url(), 6_379)
    }

    /// A connection as the owner.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(self.database_url.as_str()).await?)
    }

    /// Connections as the owner, names looked up in the log's schema.
    pub(crate) async fn database(&self, log: &str) -> Result<PgPool> {
        let options: PgConnectOptions = self.database_url.as_str().parse()?;
        let options = options.options([("search_path", format!("tally_{log}"))]);
        Ok(PgPoolOptions::new().max_connections(1).connect_with(options).await?)
    }

    pub(crate) async fn redis(&self) -> Result<MultiplexedConnection> {
        let mut connection = redis::Client::open(self.redis_url().as_str())?.get_multiplexed_async_connection().await?;
        // It may have much to do, and be without a processor for it.
        connection.set_response_timeout(ANSWERS_WITHIN);
        Ok(connection)
    }

    fn own_servers(&self) -> Result<&Own> {
        self.own.as_ref().context("these servers are somebody else's")
    }

    pub(crate) fn postgres(&self) -> Result<&Postgres> {
        Ok(&self.own_servers()?.postgres)
    }

    pub(crate) async fn own_redis(&self) -> Result<tokio::sync::MutexGuard<'_, Redis>> {
        Ok(self.own_servers()?.redis.lock().await)
    }

    pub(crate) fn disk(&self) -> Result<&Tmpfs> {
        self.own_servers()?.disk.as_ref().context("Postgres has no disk of its own")
    }

    /// One more Redis, with the password that the services know.
    pub(crate) async fn new_redis(&self, password: &str) -> Result<Redis> {
        let folder = std::env::temp_dir().join(format!("tally-replica-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("password"), password)?;
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder.clone());
        Ok(Redis::start(&folder).await?)
    }

    /// Takes away what would be left of a run.
    pub(crate) async fn clean(&self) -> Result<()> {
        let folders = std::mem::take(&mut *self.folders.lock().unwrap_or_else(PoisonError::into_inner));
        if folders.is_empty() {
            return Ok(());
        }
        self.own_redis().await?.kill().await?;
        for folder in folders {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    /// From now on this is the Redis. The old one is gone.
    pub(crate) async fn replace_redis(&self, redis: Redis, url: Url) -> Result<()> {
        *self.own_redis().await? = redis;
        *self.redis_url.lock().unwrap_or_else(PoisonError::into_inner) = url;
        Ok(())
    }

    /// Waits until Postgres takes statements; starts it again if it has ended.
    pub(crate) async fn postgres_answers(&self) -> Result<()> {
        if self.own.is_some() && self.postgres()?.pid().is_none() {
            self.postgres()?.restart().await?;
        }
        let began = Instant::now();
        loop {
            let answer = async { self.connect().await?.close().await.map_err(anyhow::Error::from) };
            match tokio::time::timeout(Duration::from_secs(2), answer).await {
                Ok(Ok(())) => return Ok(()),
                _ if began.elapsed() > ANSWERS_WITHIN => bail!("Postgres doesn't answer"),
                _ => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    }
}

/// Where a URL leads to.
fn address(url: &Url, default_port: u16) -> Result<SocketAddr> {
    let addresses = url.socket_addrs(|| Some(default_port))?;
    addresses.into_iter().next().context("the URL leads nowhere")
}

/// The same URL, leading to another address.
pub(crate) fn through(url: &Url, proxy: SocketAddr) -> String {
    let mut through = url.clone();
    // Both can fail for URLs without a host only, and this one has led somewhere.
    let _ = through.set_ip_host(proxy.ip());
    let _ = through.set_port(Some(proxy.port()));
    through.to_string()
}
