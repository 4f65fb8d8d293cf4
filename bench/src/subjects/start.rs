//! How long a replica takes until it serves, on a log that is there already.

use std::time::Instant;

use anyhow::Result;
use tally_event_store::migrate;

use super::tally;
use crate::sample::{Quantity, Sample};
use crate::stage::Stage;

const DATABASE: &str = "tally";

pub(crate) async fn measure(stage: &Stage) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &tally::log_name()?).await?;
    // The program and Postgres's catalogue are in memory from here on, as they are where a replica is replaced.
    tally::start(stage, &url).await?.stop().await?;

    let began = Instant::now();
    let service = tally::start(stage, &url).await?;
    let took = began.elapsed();
    service.stop().await?;
    Ok(Sample::default().with(Quantity::StartMs, took.as_secs_f64() * 1e3))
}
