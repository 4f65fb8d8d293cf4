//! From the acknowledgement of a command until it is visible: all three services as users run them.

use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;
use tally_event_store::migrate;

use super::flags::Load;
use super::tally::{self, DATABASE, LOG, log_name};
use super::{projecting, reads};
use crate::sample::{Quantity, Sample};
use crate::stage::Stage;

const PINGS: usize = 2_000;
/// So few that nobody waits for a core, even where all servers and the load share two.
pub(crate) const AT_EASE_PER_SECOND: f64 = 500.0;

pub(crate) async fn measure(stage: &Stage, per_second: f64) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &log_name()?).await?;
    // Another database of Redis than the one that holds the orders.
    let redis_url = format!("{}1", stage.servers.redis.url());
    projecting::empty(&redis_url).await?;
    let command = tally::start(stage, &url).await?;
    let projector = projecting::start(stage, &url, &redis_url).await?;
    let query = reads::start(stage, &redis_url).await?;
    Load::of("allocate").seed().send(&[command.address], &stage.args).await?;
    stage.servers.checkpoint().await?;
    let load = Load::of("allocate-and-read")
        .at_rate(per_second)
        .with_flag(format!("--query-target={}", query.address))
        .with_flag(format!("--redis-url={redis_url}"))
        .with_flag(format!("--log={LOG}"));
    let report = load.send(&[command.address], &stage.args).await?;
    for service in [command, projector, query] {
        service.stop().await?;
    }
    Ok(tally::of_report(&report, 0.0).with(Quantity::ReadP99Us, report.read_us.p99))
}

/// What nothing on Redis can do without.
pub(crate) async fn redis_ping(stage: &Stage) -> Result<Sample> {
    let client = redis::Client::open(stage.servers.redis.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut histogram = Histogram::<u64>::new(3)?;
    for _ in 0..PINGS {
        let began = Instant::now();
        redis::cmd("PING").exec_async(&mut connection).await?;
        histogram.record(u64::try_from(began.elapsed().as_nanos())?)?;
    }
    Ok(Sample::default().with(Quantity::P50Us, histogram.value_at_quantile(0.5) as f64 / 1e3))
}
