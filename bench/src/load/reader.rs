//! When what was written is visible: by the bell that the projector rings, and by a read that waits for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redis::Client;
use tally_api::allocation::v1::{GetAllocationsRequest, GetAllocationsResponse};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::args::LoadArgs;
use super::caller::Reply;
use super::connection::Connection;

const VISIBLE_WITHIN: Duration = Duration::from_secs(10);

/// Clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    connection: Connection,
    visible: watch::Receiver<u64>,
}

impl Reader {
    pub(super) async fn connect(args: &LoadArgs) -> Result<Self> {
        let target = args.query_target.context("reads need a --query-target")?;
        let method = "tally.allocation.v1.AllocationQueryService/GetAllocations";
        let connection = Connection::open(target, method).await?;
        let url = args.redis_url.as_deref().context("reads need a --redis-url")?;
        let bell = args.bell.clone().context("reads need a --bell")?;
        Ok(Self { connection, visible: listen(url, bell).await? })
    }

    /// Both are measured from now on, each for itself.
    pub(super) async fn until_visible(&self, position: u64, request: &GetAllocationsRequest) -> Result<Reply, String> {
        let acknowledged = Instant::now();
        let mut bell = self.visible.clone();
        let visible = async {
            let rung = timeout(VISIBLE_WITHIN, bell.wait_for(|visible| *visible >= position)).await;
            rung.map_err(|_| "not visible in time")?.map_err(|_| "the bell fell silent")?;
            Ok::<_, String>(acknowledged.elapsed())
        };
        let read = async {
            let answer: GetAllocationsResponse = self.connection.call(request).await?;
            let fresh = answer.freshness.is_some_and(|freshness| freshness.position.unsigned_abs() >= position);
            if fresh { Ok(acknowledged.elapsed()) } else { Err("a read from before the write".to_owned()) }
        };
        let (visible, read) = tokio::try_join!(visible, read)?;
        Ok(Reply::Visible { visible, read })
    }
}

/// The furthest position that was told.
async fn listen(url: &str, bell: String) -> Result<watch::Receiver<u64>> {
    let (told, visible) = watch::channel(0);
    let (subscribed, mut is_subscribed) = mpsc::channel(1);
    let client = Client::open(url)?;
    // In a thread of its own: the load's one thread has enough to do.
    std::thread::spawn(move || -> redis::RedisResult<()> {
        let mut connection = client.get_connection()?;
        let mut pubsub = connection.as_pubsub();
        pubsub.psubscribe(bell)?;
        let _ = subscribed.blocking_send(());
        loop {
            let position: Option<u64> = pubsub.get_message()?.get_payload::<String>()?.parse().ok();
            told.send_if_modified(|furthest| {
                let is_further = position.is_some_and(|position| position > *furthest);
                *furthest = position.unwrap_or_default().max(*furthest);
                is_further
            });
        }
    });
    is_subscribed.recv().await.context("Redis can't be listened to")?;
    Ok(visible)
}
