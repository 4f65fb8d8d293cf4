//! How long a replica takes until it serves, on a log that is there already.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tally_event_store::migrate;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::tally;
use crate::sample::{Quantity, Sample};
use crate::stage::Stage;

const DATABASE: &str = "tally";
const SERVING_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);

pub(crate) async fn measure(stage: &Stage) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &tally::log_name()?).await?;
    // The programs and Postgres's catalogue are in memory from here on, as they are where a replica is replaced.
    tally::start(stage, &url).await?.stop().await?;

    let began = Instant::now();
    let service = tally::start(stage, &url).await?;
    let channel = Endpoint::from_shared(format!("http://{}", service.address))?.connect().await?;
    let mut health = HealthClient::new(channel);
    while health.check(HealthCheckRequest::default()).await?.into_inner().status() != ServingStatus::Serving {
        if began.elapsed() > SERVING_WITHIN {
            bail!("it doesn't serve within {SERVING_WITHIN:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    let took = began.elapsed();
    service.stop().await?;
    Ok(Sample::default().with(Quantity::StartMs, took.as_secs_f64() * 1e3))
}
