//! What a process exports of its traces, as a receiver gets it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A span, and the service that sent it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The service.
    pub service: String,
    /// The span.
    pub span: Span,
}

impl Seen {
    /// An attribute of the span.
    pub fn attribute(&self, key: &str) -> Option<any_value::Value> {
        attribute(&self.span.attributes, key)
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<any_value::Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone().and_then(|AnyValue { value }| value)
}

/// As ids are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A real receiver of OTLP over gRPC.
#[derive(Clone, Debug, Default)]
pub struct Receiver(Arc<Mutex<Vec<Seen>>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut seen = self.0.lock().expect("no panic while it is held");
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = match attribute(&attributes, "service.name") {
                Some(any_value::Value::StringValue(name)) => name,
                other => panic!("a name: {other:?}"),
            };
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                seen.push(Seen { service: service.clone(), span });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> (Self, SocketAddr) {
        Self::start_on(Server::builder()).await
    }

    /// Starts one on a free port, with the settings of `server`.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start_on(mut server: Server) -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = server.add_service(TraceServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (receiver, address)
    }

    /// All that came.
    ///
    /// # Panics
    /// When a receiving task panicked.
    pub fn all(&self) -> Vec<Seen> {
        self.0.lock().expect("no panic while it is held").clone()
    }

    /// What came of one trace.
    pub fn of_trace(&self, trace: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| hex(&seen.span.trace_id) == trace).collect()
    }
}
