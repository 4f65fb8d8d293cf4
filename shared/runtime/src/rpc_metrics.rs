//! Counts calls under the names of go-grpc-prometheus, which dashboards know.
//!
//! All series are made when the process starts, with every method and code: so a call finds its counters without a lock, and a rate over a
//! code that has not come yet is 0 and not nothing.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, register_histogram_vec, register_int_counter_vec,
};
use tonic::Code;

/// Seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// By number, as go-grpc-prometheus writes them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
/// What every process serves beside its API: path, service, method, whether it streams.
const OTHERS: [(&str, &str, &str, &str); 4] = [
    ("/grpc.health.v1.Health/Check", "grpc.health.v1.Health", "Check", UNARY),
    ("/grpc.health.v1.Health/Watch", "grpc.health.v1.Health", "Watch", STREAM),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1.ServerReflection",
        "ServerReflectionInfo",
        BIDI,
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection",
        "ServerReflectionInfo",
        BIDI,
    ),
];
const UNARY: &str = "unary";
const STREAM: &str = "server_stream";
const BIDI: &str = "bidi_stream";

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::register);

/// The counters of one method.
#[derive(Debug)]
pub(crate) struct MethodMetrics {
    /// `package.Service`.
    pub(crate) service: &'static str,
    /// The method alone.
    pub(crate) name: &'static str,
    /// What its spans are called.
    pub(crate) span: String,
    started: IntCounter,
    received: IntCounter,
    sent: IntCounter,
    handled: [IntCounter; CODES.len()],
    seconds: Histogram,
}

impl MethodMetrics {
    pub(crate) fn begin(&self) {
        self.started.inc();
        // The API has no streams of requests.
        self.received.inc();
    }

    pub(crate) fn sent(&self, messages: u64) {
        self.sent.inc_by(messages);
    }

    pub(crate) fn end(&self, code: Code, took: Duration) {
        if let Some(handled) = self.handled.get(code as usize) {
            handled.inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

struct Methods {
    by_path: HashMap<&'static str, MethodMetrics>,
    /// Whatever path isn't ours: one series, however many a scanner tries.
    unknown: MethodMetrics,
}

impl Methods {
    fn register() -> Self {
        const LABELS: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
        let counter = |name: &str, help: &str| -> IntCounterVec {
            register_int_counter_vec!(name, help, &LABELS).expect("a name of its own")
        };
        let started = counter("grpc_server_started_total", "Calls that began on the server.");
        let received = counter("grpc_server_msg_received_total", "Messages received on the server.");
        let sent = counter("grpc_server_msg_sent_total", "Messages sent by the server.");
        let handled = register_int_counter_vec!(
            "grpc_server_handled_total",
            "Calls that ended on the server, by the code that they ended with.",
            &["grpc_type", "grpc_service", "grpc_method", "grpc_code"]
        )
        .expect("a name of its own");
        let seconds: HistogramVec = register_histogram_vec!(
            "grpc_server_handling_seconds",
            "Seconds from a call's arrival until its last byte, or its status, was handed over.",
            &LABELS,
            LATENCY_BUCKETS.to_vec()
        )
        .expect("a name of its own");
        let metrics = |service: &'static str, name: &'static str, kind: &'static str| {
            let labels = [kind, service, name];
            MethodMetrics {
                service,
                name,
                span: format!("{service}/{name}"),
                started: started.with_label_values(&labels),
                received: received.with_label_values(&labels),
                sent: sent.with_label_values(&labels),
                handled: CODES.map(|code| handled.with_label_values(&[kind, service, name, code])),
                seconds: seconds.with_label_values(&labels),
            }
        };
        let api = tally_api::METHODS.iter().map(|method| {
            (method.path, metrics(method.service, method.name, if method.streams { STREAM } else { UNARY }))
        });
        let others = OTHERS.map(|(path, service, name, kind)| (path, metrics(service, name, kind)));
        Self { by_path: api.chain(others).collect(), unknown: metrics("unknown", "unknown", UNARY) }
    }
}

/// The counters of the method with this path.
pub(crate) fn of_path(path: &str) -> &'static MethodMetrics {
    let methods = &*METHODS;
    methods.by_path.get(path).unwrap_or(&methods.unknown)
}
