//! What can happen to Redis.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;
use url::Url;

use crate::proxy::{Mode, Proxy};
use crate::stores::Stores;
use crate::world::World;

/// How long a replica may take to have all that its primary has.
const SYNC_WITHIN: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(super) async fn kill(stores: &Stores, hold: Duration) -> Result<()> {
    let redis = stores.own_redis().await?;
    redis.kill().await?;
    sleep(hold).await;
    Ok(redis.restart().await?)
}

pub(super) async fn freeze(stores: &Stores, hold: Duration) -> Result<()> {
    let redis = stores.own_redis().await?;
    redis.pause()?;
    sleep(hold).await;
    Ok(redis.resume()?)
}

pub(super) async fn empty(stores: &Stores) -> Result<()> {
    Ok(redis::cmd("FLUSHALL").query_async(&mut stores.redis().await?).await?)
}

pub(super) async fn forget(stores: &Stores, hold: Duration) -> Result<()> {
    let redis = stores.own_redis().await?;
    redis.kill().await?;
    let data = redis.folder().join("data");
    for entry in fs::read_dir(&data)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    sleep(hold).await;
    Ok(redis.restart().await?)
}

/// A replica that has everything, then hears nothing for a while, then is all that is left.
pub(super) async fn promote_replica(world: &World, hold: Duration) -> Result<()> {
    let stores = &world.stores;
    let password = stores.redis_url().password().context("Redis has a password")?.to_owned();
    let replica = stores.new_redis(&password).await?;
    let url = Url::parse(&replica.url())?;
    let mut connection = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
    let link = Proxy::start(stores.redis_address()?).await?;
    let (host, port) = (link.address().ip().to_string(), link.address().port().to_string());
    set(&mut connection, "masterauth", &password).await?;
    // Otherwise it waits five seconds for others to copy at the same time: the setting is the primary's.
    set(&mut stores.redis().await?, "repl-diskless-sync-delay", "0").await?;
    redis::cmd("REPLICAOF").arg(host).arg(port).query_async::<()>(&mut connection).await?;
    until_synchronized(&mut connection).await?;

    link.set(Mode::HalfOpen);
    sleep(hold).await;
    stores.own_redis().await?.kill().await?;
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async::<()>(&mut connection).await?;
    stores.replace_redis(replica, url).await?;
    world.lead_to_redis()
}

async fn set(connection: &mut MultiplexedConnection, name: &str, value: &str) -> Result<()> {
    Ok(redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(connection).await?)
}

async fn until_synchronized(connection: &mut MultiplexedConnection) -> Result<()> {
    let began = Instant::now();
    loop {
        let info: String = redis::cmd("INFO").arg("replication").query_async(connection).await?;
        if info.contains("master_link_status:up") {
            return Ok(());
        }
        if began.elapsed() > SYNC_WITHIN {
            bail!("the replica doesn't get its primary's data");
        }
        sleep(LOOK_INTERVAL).await;
    }
}
