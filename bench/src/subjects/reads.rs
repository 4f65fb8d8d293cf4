//! query-service as users run it, on the read model of many orders that the projector made.

use anyhow::{Context, Result};
use tally_api::orders::v1::GetOrderRequest;
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;

use super::flags::Load;
use super::projecting;
use super::ready::serving;
use super::tally::{BYTES_PER_MB, LOG, of_report};
use crate::cpu;
use crate::orders_log::order_id;
use crate::processes::{Service, program};
use crate::sample::{Quantity, Sample};
use crate::stage::Stage;

/// Orders that are read again and again.
pub(crate) const HOT_ORDERS: u64 = 1_000;

pub(crate) async fn get_order(stage: &Stage, load: Load) -> Result<Sample> {
    projecting::ensure(stage).await?;
    let service = start(stage, &stage.servers.redis.url()).await?;
    measured(stage, service, load).await
}

/// With the token of an answer that was given before.
pub(crate) async fn get_order_with_token(stage: &Stage, load: Load) -> Result<Sample> {
    projecting::ensure(stage).await?;
    let service = start(stage, &stage.servers.redis.url()).await?;
    let mut client = OrderQueryServiceClient::connect(format!("http://{}", service.address)).await?;
    let request = GetOrderRequest { order_id: order_id(0), read_after: None };
    let token = client.get_order(request).await?.into_inner().freshness.context("no freshness")?.token;
    measured(stage, service, load.with_flag(format!("--token={token}"))).await
}

async fn measured(stage: &Stage, service: Service, load: Load) -> Result<Sample> {
    let cpu_before = cpu::of_family(service.pid())?;
    let report = load.send(&[service.address], &stage.args).await?;
    let cpu_used = cpu::of_family(service.pid())? - cpu_before;
    let resident = cpu::resident_bytes_max(service.pid())?;
    service.stop().await?;
    Ok(of_report(&report, cpu_used).with(Quantity::ResidentMb, resident as f64 / BYTES_PER_MB))
}

/// One that serves.
pub(crate) async fn start(stage: &Stage, redis_url: &str) -> Result<Service> {
    let env = [
        ("REDIS_URL", redis_url.to_owned()),
        ("QUERY_LISTEN", "127.0.0.1:0".to_owned()),
        ("TALLY_LOG", LOG.to_owned()),
    ];
    let log = stage.servers.log_file("query-service");
    let service = Service::start(program("query-service")?, &["serve"], &env, &log).await?;
    serving(service.address).await?;
    Ok(service)
}
