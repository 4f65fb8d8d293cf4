//! grpc.health.v1, as a load balancer asks it.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::{Service, eventually};

/// The name that is SERVING as long as the process runs.
pub const LIVENESS: &str = "liveness";
/// The name of the process as a whole: whether it can do its work now.
pub const READINESS: &str = "";

/// Whether `service` says that `name` is SERVING.
///
/// # Panics
/// When it doesn't answer, or knows no such name.
pub async fn is_serving(service: &Service, name: &str) -> bool {
    let request = HealthCheckRequest { service: name.to_owned() };
    let answer = HealthClient::new(service.channel()).check(request).await;
    let status = answer.unwrap_or_else(|status| panic!("{} {name:?}: {status}", service.name())).into_inner().status();
    status == ServingStatus::Serving
}

/// Waits until `service` is ready, or until it isn't; it is live all the while.
///
/// # Panics
/// When that takes too long, or it stops being live.
pub async fn until_ready(service: &Service, ready: bool) {
    eventually(&format!("{} is ready: {ready}", service.name()), async || {
        assert!(is_serving(service, LIVENESS).await, "{} is live", service.name());
        (is_serving(service, READINESS).await == ready).then_some(())
    })
    .await;
}
