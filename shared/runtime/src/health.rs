//! grpc.health.v1. The service names "" and those of the API say whether the process can do its work now (readiness); `liveness` says that it
//! runs, whatever is away.

use std::time::Duration;

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, HealthService};

/// The health name that is SERVING as long as the process runs.
const LIVENESS: &str = "liveness";
/// How often readiness is looked at.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long a store may take to answer before it counts as away.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a process can do its work now. Cloned freely; all clones are one.
#[derive(Clone, Debug)]
pub struct Readiness {
    ready: watch::Sender<bool>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { ready: watch::Sender::new(false) }
    }
}

impl Readiness {
    /// Says whether it can.
    pub fn set(&self, ready: bool) {
        self.ready.send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }

    /// Whether it can.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Carries every change to the health service, for `services` and "". Ends when dropped.
    pub(crate) async fn report(self, reporter: HealthReporter, services: Vec<&'static str>) {
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let mut changes = self.ready.subscribe();
        loop {
            let status = if *changes.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in services.iter().copied().chain([""]) {
                reporter.set_service_status(service, status).await;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The health service and the handle that sets its answers.
pub(crate) fn health() -> (HealthReporter, HealthServer<impl Health>) {
    let reporter = HealthReporter::new();
    let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    (reporter, service)
}

/// Asks `probe` again and again whether what the process needs is there, and keeps `readiness` by the answer. Runs until dropped.
pub async fn watch_readiness<F>(readiness: Readiness, mut probe: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    loop {
        let ready = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or(false);
        if ready != readiness.is_ready() {
            tracing::info!(ready, "readiness changed");
        }
        readiness.set(ready);
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}
