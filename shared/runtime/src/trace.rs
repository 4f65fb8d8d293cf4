//! Where a call stands in a trace: W3C trace context in, spans out.
//!
//! A trace is followed only where a tracer was set up (see [`crate::telemetry`]) and the trace is sampled; in every other case a span is nothing
//! and costs next to nothing. The context of a caller is carried on in any case, so that the events of a command name it.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

/// Characters of a traceparent of version 00.
const TRACEPARENT_LENGTH: usize = 55;
/// Links of one span; further ones are left out.
const LINKS_MAX: usize = 64;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

tokio::task_local! {
    /// The call that this task works for.
    pub(crate) static CALL: CallContext;
}

/// What is known of the call that a task works for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallContext {
    /// What log lines show: the trace's id, or one made up for this call alone.
    pub(crate) log_id: TraceId,
    /// Of the call's own span, or of its caller's where ours isn't sampled.
    pub(crate) trace: Option<TraceContext>,
}

/// A place in a trace, as a `traceparent` header says it: <https://www.w3.org/TR/trace-context/>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl TraceContext {
    /// Reads a traceparent; None for what isn't one.
    pub fn parse(text: &str) -> Option<Self> {
        let version = text.get(..2)?;
        // A later version may say more behind what there is now.
        let known = text.len() == TRACEPARENT_LENGTH
            || (version != "00" && text.as_bytes().get(TRACEPARENT_LENGTH) == Some(&b'-'));
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts = [version, text.get(3..35)?, text.get(36..52)?, text.get(53..55)?];
        let separators = [2, 35, 52].into_iter().all(|at| text.as_bytes()[at] == b'-');
        if !known || !separators || version == "ff" || !parts.into_iter().all(is_hex) {
            return None;
        }
        let trace_id = TraceId::from_hex(parts[1]).ok().filter(|id| *id != TraceId::INVALID)?;
        let span_id = SpanId::from_hex(parts[2]).ok().filter(|id| *id != SpanId::INVALID)?;
        let flags = u8::from_str_radix(parts[3], 16).ok()?;
        Some(Self { trace_id, span_id, flags: TraceFlags::new(flags) & TraceFlags::SAMPLED })
    }

    /// Whether whoever began the trace wants it followed.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    fn to_remote(self) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::NONE)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// What a span is about, as OpenTelemetry sorts them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A call is answered.
    Server,
    /// Something is done on the way.
    Internal,
    /// What others put somewhere is worked off.
    Consumer,
}

/// A piece of work in a trace; nothing where the trace isn't followed. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<SdkSpan>>);

impl Span {
    /// A span of the call that this task works for.
    pub fn of_call(name: impl Into<Cow<'static, str>>) -> Self {
        match current() {
            Some(parent) => Self::begin(name, Kind::Internal, Some(parent)),
            None => Self(None),
        }
    }

    /// A span below `parent`; below none it begins a trace, if the sampler wants it.
    pub fn begin(name: impl Into<Cow<'static, str>>, kind: Kind, parent: Option<TraceContext>) -> Self {
        Self::build(name, kind, parent, None, &[])
    }

    /// A span that began at `since` and is about `links`, too.
    pub fn since(
        since: SystemTime,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        parent: Option<TraceContext>,
        links: &[TraceContext],
    ) -> Self {
        Self::build(name, kind, parent, Some(since), links)
    }

    fn build(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        parent: Option<TraceContext>,
        since: Option<SystemTime>,
        links: &[TraceContext],
    ) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let mut builder = SpanBuilder::from_name(name).with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Internal => SpanKind::Internal,
            Kind::Consumer => SpanKind::Consumer,
        });
        builder.start_time = since;
        if !links.is_empty() {
            let links = links.iter().take(LINKS_MAX).map(|link| Link::with_context(link.to_remote()));
            builder = builder.with_links(links.collect());
        }
        let parent =
            parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.to_remote()));
        let span = tracer.build_with_context(builder, &parent);
        Self(span.is_recording().then(|| Box::new(span)))
    }

    /// Where it stands; None where it isn't followed.
    pub fn context(&self) -> Option<TraceContext> {
        let context = self.0.as_ref()?.span_context();
        Some(TraceContext {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            flags: context.trace_flags() & TraceFlags::SAMPLED,
        })
    }

    /// Whether anybody will see it.
    pub fn is_followed(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a fact. No personal data: traces are read by many.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that it went wrong.
    pub fn fail(&mut self, what: &'static str) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(what));
        }
    }
}

/// Where the call that this task works for stands in a trace, if it is in any.
pub fn current() -> Option<TraceContext> {
    CALL.try_with(|call| call.trace).ok().flatten()
}

/// What log lines of this task are marked with.
pub(crate) fn log_id() -> Option<TraceId> {
    CALL.try_with(|call| call.log_id).ok()
}

/// Whether spans go anywhere.
pub(crate) fn is_on() -> bool {
    TRACER.get().is_some()
}

/// From now on spans are made with `tracer`. The first one stays.
pub(crate) fn follow_with(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// Puts the trace's id into a finished log line.
pub(crate) fn mark(line: &str, id: TraceId) -> String {
    let mut marked = String::with_capacity(line.len() + 48);
    match line.strip_prefix('{') {
        Some(rest) => {
            let _ = write!(marked, "{{\"trace_id\":\"{id}\",{rest}");
        }
        None => {
            let _ = writeln!(marked, "{} trace_id={id}", line.trim_end_matches('\n'));
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = TraceContext::parse(GIVEN).expect("a traceparent");
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), GIVEN);
        let later = format!("cc{}-what-comes-later", &GIVEN[2..]);
        assert_eq!(TraceContext::parse(&later), Some(context));
        assert!(!TraceContext::parse(&GIVEN.replace("-01", "-00")).expect("a traceparent").is_sampled());
    }

    #[test]
    fn what_is_none_is_not_read() {
        let long = format!("{GIVEN}-more");
        let upper = GIVEN.to_uppercase();
        let version = format!("ff{}", &GIVEN[2..]);
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0ü",
            long.as_str(),
            upper.as_str(),
            version.as_str(),
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn lines_are_marked_in_both_formats() {
        let id = TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").expect("an id");
        assert_eq!(mark("{\"a\":1}\n", id), "{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"a\":1}\n");
        assert_eq!(mark("INFO x\n", id), "INFO x trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n");
    }
}
