//! With everything that an operator would switch on: metrics served, one trace in a hundred exported to a receiver that takes and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::flags::Load;
use super::tally;
use crate::sample::Sample;
use crate::stage::Stage;

/// Which part of all traces is followed.
const SAMPLED: &str = "0.01";

#[derive(Clone, Default)]
struct Receiver(Arc<AtomicUsize>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.fetch_add(scopes.map(|scope| scope.spans.len()).sum(), Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

pub(crate) async fn measure(stage: &Stage) -> Result<Sample> {
    let receiver = Receiver::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(receiver.clone()));
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
        ("OTEL_TRACES_SAMPLER_ARG", SAMPLED.to_owned()),
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let sample = tally::on_empty_log_with(stage, 1, Load::of("allocate"), &settings).await;
    serving.abort();
    ensure!(receiver.0.load(Ordering::Relaxed) > 0, "no span came");
    sample
}
