//! The outermost layer: every call is counted, timed, and put into its place in a trace.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::trace::TraceId;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::rpc_metrics::{self, MethodMetrics};
use crate::trace::{self, CALL, CallContext, Kind, Span, TraceContext};

/// Bytes before each message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ObserveCalls;

impl<S> Layer<S> for ObserveCalls {
    type Service = ObserveCallsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveCallsService { inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ObserveCallsService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for ObserveCallsService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = Call::begin(request.uri().path(), request.headers());
        let context = call.context;
        let response = CALL.sync_scope(context, || self.inner.call(request));
        Box::pin(CALL.scope(context, async move {
            let mut call = call;
            let response = response.await?;
            let status = Status::from_header_map(response.headers()).map(|status| status.code());
            Ok(match status {
                // No body: the status is all there is.
                Some(code) => {
                    call.end(code);
                    response
                }
                None => response.map(|body| Body::new(ObservedBody { body, call, messages: Messages::default() })),
            })
        }))
    }
}

/// A call under way. Dropped before its end, it was cancelled.
struct Call {
    metrics: &'static MethodMetrics,
    began: Instant,
    context: CallContext,
    span: Span,
    ended: bool,
}

impl Call {
    fn begin(path: &str, headers: &HeaderMap) -> Self {
        let metrics = rpc_metrics::of_path(path);
        metrics.begin();
        let given = headers.get("traceparent").and_then(|value| TraceContext::parse(value.to_str().ok()?));
        let mut span = Span::default();
        if trace::is_on() {
            span = Span::begin(metrics.span.as_str(), Kind::Server, given);
            span.set("rpc.system", "grpc");
            span.set("rpc.service", metrics.service);
            span.set("rpc.method", metrics.name);
        }
        let trace = span.context().or(given);
        let log_id = trace.map_or_else(|| TraceId::from(fastrand::u128(1..)), |trace| trace.trace_id());
        let context = CallContext { log_id, trace };
        Self { metrics, began: Instant::now(), context, span, ended: false }
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        self.metrics.end(code, took);
        tracing::debug!(
            service = self.metrics.service,
            method = self.metrics.name,
            code = ?code,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "a call ended"
        );
        self.span.set("rpc.grpc.status_code", i64::from(code as i32));
        match code {
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => self.span.fail("the server failed"),
            _ => {}
        }
        // Ends it.
        self.span = Span::default();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALL.sync_scope(self.context, || self.end(Code::Cancelled));
    }
}

/// The body of an answer, up to the status in its trailers.
struct ObservedBody {
    body: Body,
    call: Call,
    messages: Messages,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        CALL.sync_scope(this.call.context, || {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        this.call.metrics.sent(this.messages.begun_in(data));
                    }
                    if let Some(trailers) = frame.trailers_ref() {
                        let status = Status::from_header_map(trailers);
                        this.call.end(status.map_or(Code::Unknown, |status| status.code()));
                    }
                }
                Poll::Ready(Some(Err(status))) => this.call.end(status.code()),
                Poll::Ready(None) | Poll::Pending => {}
            }
            polled
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts messages in a stream of bytes.
#[derive(Debug, Default)]
struct Messages {
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix was seen.
    prefix_bytes: usize,
    /// Of the message under way.
    bytes_left: usize,
}

impl Messages {
    /// How many messages begin in the next bytes.
    fn begun_in(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        loop {
            let skipped = self.bytes_left.min(bytes.len());
            bytes.advance(skipped);
            self.bytes_left -= skipped;
            if bytes.is_empty() {
                return begun;
            }
            let wanted = (PREFIX_BYTES - self.prefix_bytes).min(bytes.len());
            bytes.copy_to_slice(&mut self.prefix[self.prefix_bytes..][..wanted]);
            self.prefix_bytes += wanted;
            if self.prefix_bytes == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                self.bytes_left = u32::from_be_bytes(length) as usize;
                self.prefix_bytes = 0;
                begun += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_the_bytes_are_cut() {
        let mut stream = Vec::new();
        for length in [0_u32, 3, 300, 0] {
            stream.push(0);
            stream.extend(length.to_be_bytes());
            stream.extend(vec![7; length as usize]);
        }
        for size in [1, 2, 4, 5, 6, 7, 100, 1_000] {
            let mut messages = Messages::default();
            let begun: u64 = stream.chunks(size).map(|chunk| messages.begun_in(chunk)).sum();
            assert_eq!(begun, 4, "in pieces of {size}");
        }
    }
}
