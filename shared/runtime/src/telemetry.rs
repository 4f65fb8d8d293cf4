//! Log lines on standard error (standard output belongs to the one line that says where a process listens), and traces over OTLP.
//!
//! Traces are set up by OpenTelemetry's own variables and are off where none names an endpoint: `OTEL_EXPORTER_OTLP_ENDPOINT` (or
//! `…_TRACES_ENDPOINT`), `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SDK_DISABLED`, `OTEL_BSP_…`. The
//! protocol is gRPC, with TLS where the endpoint begins with `https://`: see [`collector_tls`].

mod collector_tls;

use std::env;
use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::settings;
use crate::{LogFormat, trace};

/// Whoever sets it wants no colours: <https://no-color.org>.
const NO_COLOR: &str = "NO_COLOR";
/// What is logged unless `RUST_LOG` says otherwise. sqlx logs statements at info when they are slow: those show SQL, so they stay out.
const DEFAULT_FILTER: &str = "info,sqlx=error";
/// How long the last spans may take on their way out.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// What a trace shows the process as, beside the name of its service.
const NAMESPACE: &str = "tally";
/// Any of these switches traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Whether log lines are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// The process's telemetry. Keep it until the process ends, and then [`Telemetry::finish`] it.
#[derive(Debug, Default)]
#[must_use]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logging, and traces where the environment asks for them. To be called once, inside of a runtime. `service` is what traces name the
/// process, unless `OTEL_SERVICE_NAME` does.
pub fn init_telemetry(service: &'static str, format: LogFormat) -> Telemetry {
    init_logging(format);
    if let Some(settings) = settings() {
        tracing::info!(settings, "starting");
    }
    match traces(service) {
        Ok(Some(provider)) => {
            trace::follow_with(provider.tracer(NAMESPACE));
            tracing::info!("traces go out over OTLP");
            Telemetry { traces: Some(provider) }
        }
        Ok(None) => Telemetry::default(),
        Err(error) => {
            tracing::error!(%error, "no traces: OTLP is not set up right");
            Telemetry::default()
        }
    }
}

impl Telemetry {
    /// Sends what is left. A collector that is away holds nobody up for long.
    pub async fn finish(self) {
        let Some(provider) = self.traces else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}

/// Starts logging alone. A second call changes nothing, so that tests may call it freely.
pub fn init_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    JSON.store(json, Ordering::Relaxed);
    let colours = terminal && !is_set(NO_COLOR);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // An error here means that logging was started already.
    let _ = if json {
        lines.json().event_format(Marked(Format::default().json())).try_init()
    } else {
        // A line that is marked is made in a buffer, which doesn't know what the terminal can.
        lines.event_format(Marked(Format::default().with_target(false).with_ansi(colours))).try_init()
    };
}

/// How a process ends. Where log lines are JSON, what made it fail is one of them; elsewhere people read it as `main` prints it.
///
/// # Errors
/// As `outcome`, where `main` is to print it.
pub fn ended(outcome: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if JSON.load(Ordering::Relaxed) => {
            tracing::error!(error = format!("{error:#}"), "the process failed");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error),
    }
}

/// None where nobody asked for them.
fn traces(service: &'static str) -> anyhow::Result<Option<SdkTracerProvider>> {
    let is_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if is_disabled || !ENDPOINTS.into_iter().any(is_set) {
        return Ok(None);
    }
    let mut exporter = SpanExporter::builder().with_tonic();
    if let Some(tls) = collector_tls::of(env::var)? {
        exporter = exporter.with_tls_config(tls);
    }
    let exporter = exporter.build()?;
    let mut resource = Resource::builder();
    if !is_set("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(service);
    }
    let resource = resource
        .with_attribute(opentelemetry::KeyValue::new("service.namespace", NAMESPACE))
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(Some(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
}

fn is_set(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !value.trim().is_empty())
}

/// A format whose lines name the trace that they belong to.
struct Marked<F>(F);

impl<S, N, F> FormatEvent<S, N> for Marked<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(id) = trace::log_id() else { return self.0.format_event(context, writer, event) };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&trace::mark(&line, id))
    }
}
