//! The first command on a product that a replica knows nothing of yet, by how much the product has behind it.

use std::time::Duration;

use anyhow::{Result, ensure};
use tally_event_store::migrate;
use tokio::time::{Instant, sleep};

use super::flags::Load;
use super::tally;
use crate::sample::Sample;
use crate::servers::{connect, count, execute};
use crate::stage::Stage;

const DATABASE: &str = "tally_past";
const LONG: &str = "LONG-";
const SHORT: &str = "SHORT-";
const LONG_ALLOCATIONS: u64 = 1_000_000;
const SHORT_ALLOCATIONS: u64 = 100;
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);
const APPEND: &str = include_str!("past/append.sql");

/// On a product with a million allocations that are over, from its snapshot.
pub(crate) async fn long(stage: &Stage) -> Result<Sample> {
    first_command(stage, LONG).await
}

/// On a product with a hundred.
pub(crate) async fn short(stage: &Stage) -> Result<Sample> {
    first_command(stage, SHORT).await
}

async fn first_command(stage: &Stage, prefix: &str) -> Result<Sample> {
    let url = stage.past.get_or_try_init(|| make(stage)).await?;
    let service = tally::start(stage, url).await?;
    let targets = [service.address];
    // The connection, the session and the program's pages are warm then; the product is not.
    Load::of("create-batch").once_on(&format!("R{}-", stage.next_run())).send(&targets, &stage.args).await?;
    let report = Load::of("allocate").once_on(prefix).send(&targets, &stage.args).await?;
    service.stop().await?;
    Ok(tally::of_report(&report, 0.0))
}

/// A log with both products, and the snapshot of the long one, which the first command on it brings.
async fn make(stage: &Stage) -> Result<String> {
    let url = stage.servers.empty_database(DATABASE).await?;
    let log = tally::log_name()?;
    migrate(&url, &log).await?;
    let mut owner = connect(&url).await?;
    for (prefix, allocations) in [(LONG, LONG_ALLOCATIONS), (SHORT, SHORT_ALLOCATIONS)] {
        let append = APPEND
            .replace(":schema", &log.schema())
            .replace(":sku", &format!("{prefix}0"))
            .replace(":allocations", &allocations.to_string());
        for statement in append.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            execute(&mut owner, statement).await?;
        }
    }
    stage.servers.checkpoint().await?;
    let service = tally::start(stage, &url).await?;
    let began = Instant::now();
    // Without a snapshot all of it is read. A caller need not wait for that, and the reading goes on without it.
    while let Err(error) = Load::of("allocate").once_on(LONG).send(&[service.address], &stage.args).await {
        ensure!(began.elapsed() < SNAPSHOT_WITHIN, "{error:#}");
    }
    while count(&mut owner, &format!("{}.snapshots", log.schema())).await? == 0 {
        ensure!(began.elapsed() < SNAPSHOT_WITHIN, "no snapshot is written");
        sleep(Duration::from_millis(20)).await;
    }
    service.stop().await?;
    Ok(url)
}
