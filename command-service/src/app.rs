//! The only place that constructs.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tally_api::allocation::v1::allocation_command_service_server::{
    AllocationCommandServiceServer, SERVICE_NAME as ALLOCATION_SERVICE,
};
use tally_api::orders::v1::order_command_service_server::{OrderCommandServiceServer, SERVICE_NAME as ORDER_SERVICE};
use tally_domain::SNAPSHOT_FORMAT;
use tally_event_store::{AppendOptions, AppendStore, LogName, migrate, renew_identity};
use tally_read_model::ReadModel;
use tally_runtime::{
    CommonArgs, Listening, Readiness, bind, init_telemetry, limits, serve, serve_operations, stop_signal,
    watch_readiness,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::config::{Action, CommandLine, ServeArgs};
use crate::doorbell::Doorbell;
use crate::edge::Edge;
use crate::forgetting::forget_commands;
use crate::metrics::METRICS;
use crate::sequencer::{Limits, Sequencer};

const MIB: usize = 1024 * 1024;

/// Does what the command line says.
///
/// # Errors
/// When the settings are wrong, the address is taken, or a migration fails.
pub async fn run_command_line(line: CommandLine) -> anyhow::Result<()> {
    let telemetry = init_telemetry("command-service", line.common.log_format);
    let outcome = act(line).await;
    telemetry.finish().await;
    outcome
}

async fn act(line: CommandLine) -> anyhow::Result<()> {
    match line.action {
        Action::Migrate(args) => {
            migrate(&args.database_url, &log_name(&line.common)?).await.context("the migration failed")?;
            tracing::info!(log = line.common.log, "the log is ready");
            Ok(())
        }
        Action::Restored(args) => {
            renew_identity(&args.database_url, &log_name(&line.common)?).await.context("the log keeps its identity")?;
            Ok(())
        }
        Action::Serve(args) => App::build(&line.common, &args).await?.run(stop_signal()?).await,
    }
}

/// The service, put together and bound, not serving yet.
pub struct App {
    listening: Listening,
    routes: Routes,
    readiness: Readiness,
    drain_timeout: Duration,
    sequencing: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    _operations: Option<AbortOnDropHandle<()>>,
}

impl App {
    /// Puts it together. Postgres and Redis may be away: the service is then up and not ready.
    ///
    /// # Errors
    /// When a setting is wrong or the address can't be bound.
    pub async fn build(common: &CommonArgs, args: &ServeArgs) -> anyhow::Result<Self> {
        let log = log_name(common)?;
        let options = AppendOptions {
            connections_max: args.database_connections_max,
            acquire_timeout: Duration::from_millis(args.database_acquire_ms_max),
            statement_timeout: Duration::from_millis(args.database_statement_ms_max),
            snapshot_format: SNAPSHOT_FORMAT,
        };
        let store = AppendStore::connect(&args.database_url, &log, options).await?;

        let (doorbell, rings) = Doorbell::new();
        let mut background = Vec::new();
        if let Some(url) = &args.redis_url {
            let bell = ReadModel::connect(url, &common.log, tally_read_model::Options::default())?;
            background.push(tokio::spawn(carry(rings, bell)));
        }

        let limits = Limits {
            commands_in_flight_max: args.commands_in_flight_max.max(1),
            commands_in_flight_kib_max: args.commands_in_flight_kib_max.max(1),
            batch_commands_max: args.batch_commands_max.max(1),
            batch_events_max: args.batch_events_max.max(1),
            state_cache_bytes_max: args.state_cache_mib_max * MIB,
            recent_commands_max: args.recent_commands_max,
        };
        if let Some(window) = args.command_window() {
            background.push(tokio::spawn(forget_commands(store.clone(), window)));
        }
        let (sequencer, sequencing) = Sequencer::start(store.clone(), doorbell, limits);
        let edge = Edge::new(sequencer, args.command_wait_max());
        let routes = Routes::new(
            OrderCommandServiceServer::new(edge.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX),
        )
        .add_service(AllocationCommandServiceServer::new(edge).max_decoding_message_size(limits::MESSAGE_BYTES_MAX));

        let readiness = Readiness::default();
        background.push(tokio::spawn(watch_readiness(readiness.clone(), move || {
            let store = store.clone();
            async move { store.ping().await.is_ok() }
        })));
        LazyLock::force(&METRICS);
        let _operations = serve_operations(common.metrics_listen, readiness.clone()).await?;
        let listening = bind(args.listen, &args.port).await?;
        let drain_timeout = common.drain_timeout();
        Ok(Self { listening, routes, readiness, drain_timeout, sequencing, background, _operations })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// Serves until `shutdown` completes; then calls under way have the drain time-out to finish.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let stopped_at = Arc::new(OnceLock::new());
        let noted = Arc::clone(&stopped_at);
        let shutdown = async move {
            shutdown.await;
            let _ = noted.set(Instant::now());
        };
        let services = [ORDER_SERVICE, ALLOCATION_SERVICE];
        let served = serve(self.listening, self.routes, &services, self.readiness, self.drain_timeout, shutdown).await;
        // With the last handle gone the sequencer finishes what it accepted, then ends. Connections that were cut still hold theirs.
        let deadline = stopped_at.get().copied().unwrap_or_else(Instant::now) + self.drain_timeout;
        if tokio::time::timeout_at(deadline, self.sequencing).await.is_err() {
            tracing::warn!("commands were still under way; their outcome is in the log");
        }
        for task in self.background {
            task.abort();
        }
        served
    }
}

/// Carries rings to Redis. A ring that fails is not tried again: the next one tells more.
async fn carry(mut rings: watch::Receiver<u64>, bell: ReadModel) {
    while rings.changed().await.is_ok() {
        let position = *rings.borrow_and_update();
        if let Err(error) = bell.ring_log(position).await {
            tracing::debug!(%error, "the bell was not rung; the projector polls");
        }
    }
}

fn log_name(common: &CommonArgs) -> anyhow::Result<LogName> {
    common.log.parse().with_context(|| format!("{:?} is no name of a log", common.log))
}
