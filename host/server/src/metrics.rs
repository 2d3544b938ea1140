//! What the server counts of itself, as `GET /metrics` in the OpenMetrics text format.
//!
//! Names are `windlass_THING` in the plural for counts of things (`_total` follows by itself) and `windlass_THING_seconds` for times. Labels
//! are few and bounded: the route as it is written in the router, never the address that was asked for.

use axum::http::Method;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{sync::Arc, time::Duration};
use windlass_engine::Outcome;

/// The format that is served.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the times of requests, in seconds: from a lookup in memory to a plugin that is compiled.
const REQUEST_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];
/// The same of runs: from one of no work to one of a day.
const RUN_BUCKETS: [f64; 10] = [0.1, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Arc<str>,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: String,
}

/// What is counted when it is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    pub(crate) active_runs: u64,
    pub(crate) open_gates: u64,
    pub(crate) open_streams: u64,
}

/// See the module.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    runs: Family<OutcomeLabels, Counter>,
    run_seconds: Histogram,
    deliveries: Family<StatusLabels, Counter>,
    active_runs: Gauge,
    open_gates: Gauge,
    open_streams: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let requests: fn() -> Histogram = || Histogram::new(REQUEST_BUCKETS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("windlass"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(requests),
            runs: Family::default(),
            run_seconds: Histogram::new(RUN_BUCKETS),
            deliveries: Family::default(),
            active_runs: Gauge::default(),
            open_gates: Gauge::default(),
            open_streams: Gauge::default(),
        };
        let to = &mut metrics.registry;
        to.register("http_requests", "Requests by route, method and status", metrics.requests.clone());
        to.register(
            "http_request_seconds",
            "Time until the head of the answer, by route",
            metrics.request_seconds.clone(),
        );
        to.register("runs", "Runs that this server carried to their end, by outcome", metrics.runs.clone());
        to.register("run_seconds", "How long they took", metrics.run_seconds.clone());
        to.register("trigger_deliveries", "What came to triggers, by what became of it", metrics.deliveries.clone());
        to.register("active_runs", "Runs that go on or wait for a place", metrics.active_runs.clone());
        to.register("open_gates", "Gates that wait for people or a time", metrics.open_gates.clone());
        to.register("open_streams", "Streams of events and logs that somebody reads", metrics.open_streams.clone());
        metrics
    }

    pub(crate) fn request(&self, route: Arc<str>, method: &Method, status: u16, took: Duration) {
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];
        // A client may invent methods without end.
        let name = if known.contains(method) { method.as_str() } else { "OTHER" };
        let labels = RequestLabels { route: Arc::clone(&route), method: name.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn run_ended(&self, outcome: Outcome, took: Duration) {
        self.runs.get_or_create(&OutcomeLabels { outcome: outcome.name() }).inc();
        self.run_seconds.observe(took.as_secs_f64());
    }

    /// What became of something that came to a trigger: one of the closed list that deliveries have.
    pub(crate) fn delivery(&self, status: &str) {
        self.deliveries.get_or_create(&StatusLabels { status: status.to_owned() }).inc();
    }

    /// All of it as text, with what there is at this moment.
    pub(crate) fn render(&self, now: Now) -> String {
        let counted = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.active_runs.set(counted(now.active_runs));
        self.open_gates.set(counted(now.open_gates));
        self.open_streams.set(counted(now.open_streams));
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_scheme() {
        let metrics = Metrics::new();
        metrics.request("/api/v1/runs".into(), &Method::GET, 200, Duration::from_millis(3));
        metrics.request("/".into(), &Method::from_bytes(b"BREW").unwrap(), 405, Duration::from_millis(3));
        metrics.run_ended(Outcome::TimedOut, Duration::from_secs(3));
        metrics.delivery("started");
        let text = metrics.render(Now { active_runs: 2, open_gates: 1, open_streams: 3 });
        let (mut families, mut units) = (0, 0);
        for line in text.lines() {
            let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) else { continue };
            families += 1;
            let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(is_plain && name.starts_with("windlass_"), "{name}");
            let kind = line.rsplit(' ').next().unwrap();
            match kind {
                "histogram" => assert!(name.ends_with("_seconds"), "{name}: a histogram's name ends with its unit"),
                "counter" | "gauge" => assert!(name.ends_with('s'), "{name}: what is counted is in the plural"),
                other => panic!("{name}: {other}"),
            }
            units += usize::from(kind == "histogram");
        }
        assert_eq!((families, units), (8, 2), "{text}");
        assert!(text.contains(r#"windlass_http_requests_total{route="/",method="OTHER",status="405"} 1"#), "{text}");
    }
}
