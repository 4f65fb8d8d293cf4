//! Puts the process together: the only place that constructs.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use tally_api::projections::v1::projection_admin_service_server::{self, ProjectionAdminServiceServer};
use tally_event_store::ReadStore;
use tally_read_model::ReadModel;
use tally_runtime::{CommonArgs, Listening, Readiness, limits, serve_operations};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::config::ProjectingArgs;
use crate::engine::Engine;
use crate::metrics::METRICS;
use crate::service::Service;
use crate::status::Status;
use crate::{ServeArgs, projections};

/// The name whose health is readiness.
const SERVICES: [&str; 1] = [projection_admin_service_server::SERVICE_NAME];
/// How long giving back what this process owns may take when it stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// How long the stores may take to say at the start whether the settings agree with them.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// The process, bound to its port and not serving yet.
pub struct App {
    listening: Listening,
    engine: Engine,
    readiness: Readiness,
    drain_timeout: Duration,
    _operations: Option<AbortOnDropHandle<()>>,
}

impl App {
    /// Binds the port. Postgres and Redis may be away: they are connected to when they are needed.
    ///
    /// # Errors
    /// When the settings are wrong, or are others than those that the read model was made with, or the port can't be bound.
    pub async fn build(common: &CommonArgs, args: &ServeArgs) -> anyhow::Result<Self> {
        let readiness = Readiness::default();
        let mut engine = engine(common, &args.projecting, Status::new(readiness.clone())).await?;
        engine.line_events_kept_max = Some(args.line_events_kept_max);
        engine.verify_every = Some(Duration::from_millis(args.verify_interval_ms));
        if let Ok(Err(error @ tally_read_model::Error::Layout { .. })) =
            timeout(CHECK_WITHIN, engine.model.log_id()).await
        {
            return Err(error.into());
        }
        LazyLock::force(&METRICS);
        let _operations = serve_operations(common.metrics_listen, readiness.clone()).await?;
        let listening = tally_runtime::bind(args.listen, &args.port).await.context("can't serve")?;
        Ok(Self { listening, engine, readiness, drain_timeout: common.drain_timeout(), _operations })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// How the parts of the process are.
    pub fn status(&self) -> Status {
        self.engine.status.clone()
    }

    /// Projects and serves until `shutdown` completes. A batch that is cut is either applied whole or not at all; what this process owns is
    /// given back at once, while calls under way are answered.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let engine = AbortOnDropHandle::new(tokio::spawn(self.engine.clone().run(stop.clone())));
        let stopping = stop.clone();
        let shutdown = async move {
            shutdown.await;
            stopping.cancel();
        };
        let routes = Routes::new(
            ProjectionAdminServiceServer::new(Service::new(self.engine.clone()))
                .max_decoding_message_size(limits::MESSAGE_BYTES_MAX),
        );
        let served =
            tally_runtime::serve(self.listening, routes, &SERVICES, self.readiness, self.drain_timeout, shutdown).await;
        stop.cancel();
        let _ = timeout(LEAVE_WITHIN, engine).await;
        served
    }
}

/// What the process projects with.
pub(crate) async fn engine(common: &CommonArgs, args: &ProjectingArgs, status: Status) -> anyhow::Result<Engine> {
    let log = common.log.parse()?;
    let store = ReadStore::connect(&args.database_url, &log, args.log_options()).await?;
    let model = ReadModel::connect(&args.redis_url, &common.log, args.redis_options())?;
    Ok(Engine {
        store,
        model,
        projections: projections::all(),
        limits: args.tail_limits(),
        rebuild_events_max: args.rebuild_events_max as usize,
        keep: args.keep(),
        log: common.log.clone(),
        line_events_kept_max: None,
        verify_every: None,
        status,
    })
}
