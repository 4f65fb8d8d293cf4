//! When what was written is visible: by the bell that the projector rings, and by a read that waits for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tally_api::allocation::v1::{GetAllocationsRequest, GetAllocationsResponse};
use tally_read_model::{Options, ReadModel, Unit};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::args::LoadArgs;
use super::caller::Reply;
use super::connection::Connection;

/// Whose bell says that an allocation is visible.
const PROJECTION: &str = "allocations";
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
        let log = args.log.as_deref().context("reads need a --log")?;
        Ok(Self { connection, visible: listen(url, log).await? })
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
async fn listen(url: &str, log: &str) -> Result<watch::Receiver<u64>> {
    let (told, visible) = watch::channel(0);
    let (heard, mut is_heard) = mpsc::channel(1);
    let model = ReadModel::connect(url, log, Options::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // In a thread of its own: the load's one thread has enough to do.
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut bell = model.subscribe(Unit { projection: PROJECTION, shard: 0 });
            while let Some(position) = bell.next().await {
                // The first ring only says that there is somebody who listens.
                let _ = heard.try_send(());
                told.send_if_modified(|furthest| {
                    let is_further = position > *furthest;
                    *furthest = position.max(*furthest);
                    is_further
                });
            }
        });
    });
    is_heard.recv().await.context("Redis can't be listened to")?;
    Ok(visible)
}
