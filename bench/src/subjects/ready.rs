//! When a replica can do its work. Listening is not enough: until it has reached Postgres it refuses commands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tally_api::allocation::v1::CreateBatchRequest;
use tally_api::allocation::v1::allocation_command_service_client::AllocationCommandServiceClient;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);

/// Waits until it says that it serves, and really accepts a command.
pub(crate) async fn ready(address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    while !(is_serving(channel.clone()).await? && accepts(channel.clone()).await?) {
        if began.elapsed() > READY_WITHIN {
            bail!("it doesn't serve within {READY_WITHIN:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Waits until it says that it serves.
pub(crate) async fn serving(address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    while !is_serving(channel.clone()).await? {
        if began.elapsed() > READY_WITHIN {
            bail!("it doesn't serve within {READY_WITHIN:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn is_serving(channel: Channel) -> Result<bool> {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    Ok(answer.into_inner().status() == ServingStatus::Serving)
}

/// Of a command that changes nothing.
async fn accepts(channel: Channel) -> Result<bool> {
    let request = CreateBatchRequest {
        validate_only: true,
        batch_ref: "is-it-there".to_owned(),
        sku: "IS-IT-THERE".to_owned(),
        quantity: 1,
        ..CreateBatchRequest::default()
    };
    match AllocationCommandServiceClient::new(channel).create_batch(request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::Unavailable => Ok(false),
        Err(status) => Err(status.into()),
    }
}
