//! The projector as users run it: all projections of a log of orders, on a Redis that is empty.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use tally_api::allocation::v1::allocation_query_service_client::AllocationQueryServiceClient;
use tally_api::allocation::v1::{GetAllocationsRequest, GetStockRequest, ListBackordersRequest};
use tally_api::consistency::v1::{OnTimeout, ReadAfter, StreamVersion, read_after::After};
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;
use tally_api::orders::v1::{GetOrderHistoryRequest, GetOrderRequest, ListOrdersRequest, OrderStatus};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::reads;
use super::tally::{BYTES_PER_MB, LOG, log_name};
use crate::cpu;
use crate::orders_log::{self, OrdersLog, order_id};
use crate::processes::{Service, program};
use crate::sample::{Quantity, Sample};
use crate::servers::connect;
use crate::stage::Stage;

const PROJECTED_WITHIN: Duration = Duration::from_secs(900);
/// Views that are there are looked for by a read of each kind, which waits this long at a time.
const WAIT_SECONDS: i64 = 30;

/// From nothing to the log's end; what it makes stays for those who read it.
pub(crate) async fn all(stage: &Stage) -> Result<Sample> {
    let log = stage.orders_log.get_or_try_init(|| orders_log::make(stage)).await?;
    stage.is_projected.store(false, Ordering::Relaxed);
    empty(&stage.servers.redis.url()).await?;
    let began = Instant::now();
    let projector = start(stage, &log.url, &stage.servers.redis.url()).await?;
    let query = reads::start(stage, &stage.servers.redis.url()).await?;
    until_visible(&query, log, stage.args.orders - 1).await?;
    let took = began.elapsed();
    let resident = cpu::resident_bytes_max(projector.pid())?;
    projector.stop().await?;
    query.stop().await?;
    stage.is_projected.store(true, Ordering::Relaxed);
    Ok(Sample::default()
        .with(Quantity::EventsPerSecond, log.events as f64 / took.as_secs_f64())
        .with(Quantity::ResidentMb, resident as f64 / BYTES_PER_MB))
}

/// Makes the views where they aren't there.
pub(crate) async fn ensure(stage: &Stage) -> Result<()> {
    if !stage.is_projected.load(Ordering::Relaxed) {
        all(stage).await?;
    }
    Ok(())
}

/// All of the log's events, in the form that Postgres gives them out in the fastest.
pub(crate) async fn copy_out(stage: &Stage) -> Result<Sample> {
    let log = stage.orders_log.get_or_try_init(|| orders_log::make(stage)).await?;
    let mut connection = connect(&log.url).await?;
    let began = Instant::now();
    let columns = "position, stream_id, version, event_type, payload, metadata, command_id, recorded_at";
    let statement = format!(
        "COPY (SELECT {columns} FROM {}.events ORDER BY position) TO STDOUT (FORMAT binary)",
        log_name()?.schema()
    );
    let mut rows = connection.copy_out_raw(&statement).await?;
    let mut bytes = 0;
    while let Some(part) = rows.try_next().await? {
        bytes += part.len() as u64;
    }
    let took = began.elapsed();
    ensure!(bytes > log.events * 100, "{bytes} bytes are not {} events", log.events);
    Ok(Sample::default().with(Quantity::EventsPerSecond, log.events as f64 / took.as_secs_f64()))
}

/// Without what an earlier run left.
pub(crate) async fn empty(redis_url: &str) -> Result<()> {
    let mut connection = redis::Client::open(redis_url)?.get_multiplexed_async_connection().await?;
    let patient = Duration::from_secs(60);
    connection.set_response_timeout(patient);
    redis::cmd("FLUSHDB").exec_async(&mut connection).await.context("Redis isn't emptied")
}

/// One that projects this log.
pub(crate) async fn start(stage: &Stage, database_url: &str, redis_url: &str) -> Result<Service> {
    let env = [
        ("DATABASE_URL", database_url.to_owned()),
        ("REDIS_URL", redis_url.to_owned()),
        ("PROJECTOR_LISTEN", "127.0.0.1:0".to_owned()),
        ("TALLY_LOG", LOG.to_owned()),
    ];
    Service::start(program("projector")?, &["serve"], &env, &stage.servers.log_file("projector")).await
}

/// Until a query of each kind has seen the whole log.
async fn until_visible(query: &Service, log: &OrdersLog, last_order: u64) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{}", query.address))?.connect().await?;
    let (orders, stock) =
        (OrderQueryServiceClient::new(channel.clone()), AllocationQueryServiceClient::<Channel>::new(channel));
    let seen = || Some(wait(After::Position(log.events as i64)));
    let first = || order_id(0);
    let stream = || {
        let stream_id = format!("order-{}", order_id(last_order));
        Some(wait(After::StreamVersion(StreamVersion { stream_id, version: 1 })))
    };
    let customers = || ListOrdersRequest { customer_id: "customer-0".to_owned(), page_size: 1, ..Default::default() };
    let open = || ListOrdersRequest { status: OrderStatus::Open.into(), page_size: 1, ..Default::default() };
    tokio::try_join!(
        done(async || orders.clone().get_order(GetOrderRequest { order_id: first(), read_after: seen() }).await),
        done(async || orders.clone().get_order(GetOrderRequest { order_id: first(), read_after: stream() }).await),
        done(async || orders.clone().list_orders(ListOrdersRequest { read_after: seen(), ..customers() }).await),
        done(async || orders.clone().list_orders(ListOrdersRequest { read_after: seen(), ..open() }).await),
        done(async || {
            let request = GetOrderHistoryRequest { order_id: first(), read_after: seen(), ..Default::default() };
            orders.clone().get_order_history(request).await
        }),
        done(async || {
            stock.clone().get_allocations(GetAllocationsRequest { order_id: first(), read_after: seen() }).await
        }),
        done(async || {
            stock.clone().get_stock(GetStockRequest { sku: "SKU-0".to_owned(), read_after: seen() }).await
        }),
        done(async || {
            stock.clone().list_backorders(ListBackordersRequest { read_after: seen(), ..Default::default() }).await
        }),
    )?;
    Ok(())
}

fn wait(after: After) -> ReadAfter {
    let timeout = Some(prost_types::Duration { seconds: WAIT_SECONDS, nanos: 0 });
    ReadAfter { after: Some(after), timeout, on_timeout: OnTimeout::Fail.into() }
}

async fn done<T>(read: impl AsyncFn() -> Result<T, Status>) -> Result<()> {
    let began = Instant::now();
    loop {
        match read().await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::Unavailable && began.elapsed() < PROJECTED_WITHIN => {}
            Err(status) => return Err(status.into()),
        }
    }
}
