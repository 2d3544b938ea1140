//! What this program tells of its own work: lines on standard error, and traces for whoever collects them.
//!
//! Traces are sent by OTLP over HTTP where `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) says where to; nothing of it runs otherwise.
//! Spans are `request`, `run` and `step`, with run, step, attempt and plugin as attributes. A collector that does not answer costs spans and
//! holds nobody up.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _};

/// Where traces are sent to, as OpenTelemetry names it.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// Who says so in traces, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "windlass";
/// What traces are made of.
const TRACED: &str = "windlass_driver=info,windlass_server=info";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
}

/// What must be told to end, so that the last spans are sent.
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what is not sent yet. Must not be called from within the asynchronous runtime.
    pub(crate) fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown()) {
            tracing::debug!("the last spans were not sent: {error}");
        }
    }
}

/// Begins to tell. Must not be called from within the asynchronous runtime: the exporter has a thread of its own.
pub(crate) fn start(default: &str, format: LogFormat, with_time: bool) -> Telemetry {
    let filter = EnvFilter::try_from_env("WINDLASS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match (format, with_time) {
        (LogFormat::Json, _) => lines.json().flatten_event(true).boxed(),
        (LogFormat::Text, true) => lines.boxed(),
        (LogFormat::Text, false) => lines.without_time().boxed(),
    };
    let provider = provider();
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_filter(EnvFilter::new(TRACED))
    });
    registry().with(lines.with_filter(filter)).with(traces).init();
    Telemetry(provider)
}

fn provider() -> Option<SdkTracerProvider> {
    let is_wanted = ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let exporter = is_wanted.then(|| SpanExporter::builder().with_http().build())?;
    match exporter {
        Ok(exporter) => {
            let mut resource = Resource::builder();
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name(SERVICE);
            }
            Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
        }
        Err(error) => {
            eprintln!("traces are not sent: {error}");
            None
        }
    }
}
