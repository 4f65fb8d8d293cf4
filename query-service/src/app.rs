//! Puts the process together: the only place that constructs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tally_api::allocation::v1::allocation_query_service_server::{self, AllocationQueryServiceServer};
use tally_api::orders::v1::order_query_service_server::{self, OrderQueryServiceServer};
use tally_read_model::{ReadModel, projections};
use tally_runtime::{CommonArgs, Listening, Readiness, limits, watch_readiness};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::ServeArgs;
use crate::allocation::Allocations;
use crate::orders::Orders;
use crate::reader::Reader;
use crate::watched::Watched;

/// The names whose health is readiness.
const SERVICES: [&str; 2] = [order_query_service_server::SERVICE_NAME, allocation_query_service_server::SERVICE_NAME];

/// How long Redis may take to say at the start whether the settings agree with it.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// The process, bound to its port and not serving yet.
pub struct App {
    listening: Listening,
    routes: Routes,
    reader: Arc<Reader>,
    drain_timeout: Duration,
    stopping: CancellationToken,
}

impl App {
    /// Binds the port. Redis may be away: it is connected to when it is needed.
    ///
    /// # Errors
    /// When the settings are wrong, or are others than those that the read model was made with, or the port can't be bound.
    pub async fn build(common: &CommonArgs, args: &ServeArgs) -> anyhow::Result<Self> {
        let model = ReadModel::connect(&args.redis_url, &common.log, args.redis_options())?;
        if let Ok(Err(error @ tally_read_model::Error::Layout { .. })) =
            tokio::time::timeout(CHECK_WITHIN, model.log_id()).await
        {
            return Err(error.into());
        }
        let stopping = CancellationToken::new();
        let watched = |projection| Watched::new(&model, projection, args.wait_poll_interval());
        let reader = Arc::new(Reader::new(model.clone(), args, stopping.clone()));
        let orders = Orders {
            reader: Arc::clone(&reader),
            order: watched(projections::ORDER),
            orders_by_customer: watched(projections::ORDERS_BY_CUSTOMER),
            orders_by_status: watched(projections::ORDERS_BY_STATUS),
        };
        let allocations = Allocations {
            reader: Arc::clone(&reader),
            allocations: watched(projections::ALLOCATIONS),
            stock: watched(projections::STOCK),
        };
        let routes =
            Routes::new(OrderQueryServiceServer::new(orders).max_decoding_message_size(limits::MESSAGE_BYTES_MAX))
                .add_service(
                    AllocationQueryServiceServer::new(allocations).max_decoding_message_size(limits::MESSAGE_BYTES_MAX),
                );
        let listening = tally_runtime::bind(args.listen).await.context("can't serve")?;
        Ok(Self { listening, routes, reader, drain_timeout: common.drain_timeout(), stopping })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Serves until `shutdown` completes, and then until the calls under way are answered or the drain time-out is over.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let readiness = Readiness::default();
        let _probe = AbortOnDropHandle::new(tokio::spawn(watch_store(self.reader, readiness.clone())));
        let (stopping, drain_timeout) = (self.stopping, self.drain_timeout);
        let shutdown = async move {
            shutdown.await;
            tokio::spawn(async move {
                // Calls that wait are answered with what there is, rather than cut without a word.
                tokio::time::sleep(drain_timeout * 4 / 5).await;
                stopping.cancel();
            });
        };
        tally_runtime::serve(self.listening, self.routes, &SERVICES, readiness, drain_timeout, shutdown).await
    }
}

/// Keeps `readiness` by whether the store answers, and says once why it doesn't.
async fn watch_store(reader: Arc<Reader>, readiness: Readiness) {
    let is_away = AtomicBool::new(false);
    watch_readiness(readiness, || async {
        let answer = reader.refresh_log_id().await;
        let was_away = is_away.swap(answer.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (&answer, was_away) {
            tracing::warn!(%error, "Redis can't be read");
        }
        answer.is_ok()
    })
    .await;
}
