//! Puts the process together: the only place that constructs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context;
use tally_api::events::v1::event_log_service_server::{self, EventLogServiceServer};
use tally_api::stored::allocation::v1::allocation_query_service_server::{self, AllocationQueryServiceServer};
use tally_api::stored::orders::v1::order_query_service_server::{self, OrderQueryServiceServer};
use tally_event_store::ReadStore;
use tally_read_model::{ReadModel, projections};
use tally_runtime::{CommonArgs, Listening, Readiness, limits, serve_operations, watch_readiness};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::ServeArgs;
use crate::allocation::Allocations;
use crate::event_log::EventLog;
use crate::log_tail::LogTail;
use crate::metrics::METRICS;
use crate::orders::Orders;
use crate::reader::Reader;
use crate::watch_call::Watching;
use crate::watched::Watched;
use crate::watches::Watches;

/// How long Redis may take to say at the start whether the settings agree with it.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// The process, bound to its port and not serving yet.
pub struct App {
    listening: Listening,
    routes: Routes,
    /// The names whose health is readiness.
    services: Vec<&'static str>,
    reader: Arc<Reader>,
    readiness: Readiness,
    drain_timeout: Duration,
    stopping: Stopping,
    _tail: Option<AbortOnDropHandle<()>>,
    _operations: Option<AbortOnDropHandle<()>>,
}

/// How calls are told that the process stops.
#[derive(Default)]
struct Stopping {
    /// Cancelled at once: streams, which would go on for ever.
    streams: CancellationToken,
    /// Cancelled when little of the time to drain is left: waits, which may well be over before.
    waits: CancellationToken,
}

impl App {
    /// Binds the port. Redis and Postgres may be away: they are connected to when they are needed.
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
        let stopping = Stopping::default();
        let reader = Arc::new(Reader::new(model.clone(), args, stopping.waits.clone()));
        let mut routes = queries(&model, args, &reader, &stopping);
        let mut services =
            vec![order_query_service_server::SERVICE_NAME, allocation_query_service_server::SERVICE_NAME];
        let mut tail = None;
        if let Some(database_url) = &args.database_url {
            let log = common.log.parse()?;
            let store = ReadStore::connect(database_url, &log, args.event_log.read_options()).await?;
            let event_log = event_log(store, args, stopping.streams.clone());
            let (bell, follow) = (model.subscribe_log(), Arc::clone(&event_log.tail));
            tail = Some(AbortOnDropHandle::new(tokio::spawn(async move { follow.run(bell).await })));
            routes = routes.add_service(
                EventLogServiceServer::new(event_log).max_decoding_message_size(limits::MESSAGE_BYTES_MAX),
            );
            services.push(event_log_service_server::SERVICE_NAME);
        }
        LazyLock::force(&METRICS);
        let readiness = Readiness::default();
        let _operations = serve_operations(common.metrics_listen, readiness.clone()).await?;
        let listening = tally_runtime::bind(args.listen, &args.port).await.context("can't serve")?;
        let drain_timeout = common.drain_timeout();
        Ok(Self { listening, routes, services, reader, readiness, drain_timeout, stopping, _tail: tail, _operations })
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
        let readiness = self.readiness;
        let _probe = AbortOnDropHandle::new(tokio::spawn(watch_store(self.reader, readiness.clone())));
        let (stopping, drain_timeout) = (self.stopping, self.drain_timeout);
        let shutdown = async move {
            shutdown.await;
            stopping.streams.cancel();
            tokio::spawn(async move {
                // Calls that wait are answered with what there is, rather than cut without a word.
                tokio::time::sleep(drain_timeout * 4 / 5).await;
                stopping.waits.cancel();
            });
        };
        tally_runtime::serve(self.listening, self.routes, &self.services, readiness, drain_timeout, shutdown).await
    }
}

/// What is answered from Redis.
fn queries(model: &ReadModel, args: &ServeArgs, reader: &Arc<Reader>, stopping: &Stopping) -> Routes {
    let watched = |projection| Watched::new(model, projection, args.wait_poll_interval());
    let watches = |projection| Watches::new(model, projection, args.streams.watch_poll_interval());
    let watching = Watching {
        reader: Arc::clone(reader),
        places: Arc::new(Semaphore::new(args.streams.watchers_max as usize)),
        limits: args.streams.limits(),
        stopping: stopping.streams.clone(),
    };
    let order = Arc::new(watched(projections::ORDER));
    let orders = Orders {
        reader: Arc::clone(reader),
        order: Arc::clone(&order),
        order_summaries: watched(projections::ORDER_SUMMARIES),
        order_history: watched(projections::ORDER_HISTORY),
        order_watches: watches(projections::ORDER),
        watching: watching.clone(),
    };
    let allocations = Allocations {
        reader: Arc::clone(reader),
        order,
        allocations: watched(projections::ALLOCATIONS),
        stock: watched(projections::STOCK),
        backorders: watched(projections::BACKORDERS),
        stock_watches: watches(projections::STOCK),
        watching,
    };
    Routes::new(OrderQueryServiceServer::new(orders).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)).add_service(
        AllocationQueryServiceServer::new(allocations).max_decoding_message_size(limits::MESSAGE_BYTES_MAX),
    )
}

/// What is answered from Postgres.
fn event_log(store: ReadStore, args: &ServeArgs, stopping: CancellationToken) -> EventLog {
    EventLog {
        tail: Arc::new(LogTail::new(store.clone(), args.event_log.tail_limits())),
        store,
        subscribers: Arc::new(Semaphore::new(args.streams.subscribers_max as usize)),
        reading: Semaphore::new(args.event_log.event_reads_in_flight_max as usize),
        limits: args.streams.limits(),
        stopping,
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
