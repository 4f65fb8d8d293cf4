//! Puts the process together: the only place that constructs.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use tally_event_store::ReadStore;
use tally_read_model::ReadModel;
use tally_runtime::{CommonArgs, Listening, Readiness, serve_operations};
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::config::{ProjectingArgs, RebuildArgs};
use crate::engine::Engine;
use crate::metrics::METRICS;
use crate::outward::LINE_EVENTS;
use crate::status::Status;
use crate::{ServeArgs, projections};

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
    /// When the settings are wrong or the port can't be bound.
    pub async fn build(common: &CommonArgs, args: &ServeArgs) -> anyhow::Result<Self> {
        let (store, model) = stores(common, &args.projecting).await?;
        let (projections, readiness) = (projections::all(), Readiness::default());
        let names = projections.iter().map(|projection| projection.name()).chain([LINE_EVENTS]);
        let status = Status::new(names, readiness.clone());
        let engine = Engine {
            store,
            model,
            projections,
            limits: args.projecting.tail_limits(),
            log: common.log.clone(),
            line_events_kept_max: args.line_events_kept_max,
            status,
        };
        LazyLock::force(&METRICS);
        let _operations = serve_operations(common.metrics_listen, readiness.clone()).await?;
        let listening = tally_runtime::bind(args.listen, &args.port).await.context("can't serve")?;
        Ok(Self { listening, engine, readiness, drain_timeout: common.drain_timeout(), _operations })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// How the projections are.
    pub fn status(&self) -> Status {
        self.engine.status.clone()
    }

    /// Projects and serves until `shutdown` completes. A batch that is cut is either applied whole or not at all.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let _engine = AbortOnDropHandle::new(tokio::spawn(self.engine.run()));
        let (routes, services) = (Routes::default(), &[]);
        tally_runtime::serve(self.listening, routes, services, self.readiness, self.drain_timeout, shutdown).await
    }
}

/// Rebuilds one projection.
///
/// # Errors
/// When a store is away at the start, or an alarm stops it.
pub async fn rebuild(common: &CommonArgs, args: &RebuildArgs) -> anyhow::Result<()> {
    let (store, model) = stores(common, &args.projecting).await?;
    let projection = projections::all().into_iter().find(|projection| projection.name() == args.projection);
    let projection = projection.context("there is no such projection")?;
    crate::rebuild::rebuild(projection, store, model, args.projecting.tail_limits()).await
}

async fn stores(common: &CommonArgs, args: &ProjectingArgs) -> anyhow::Result<(ReadStore, ReadModel)> {
    let log = common.log.parse()?;
    let store = ReadStore::connect(&args.database_url, &log, args.log_options()).await?;
    let model = ReadModel::connect(&args.redis_url, &common.log, args.redis_options())?;
    Ok((store, model))
}
