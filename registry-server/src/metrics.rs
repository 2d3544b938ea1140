//! What the registry counts of itself, as `GET /metrics` in the text format of Prometheus.
//!
//! Labels are few and bounded: the route as it is written in the router, never the address that was asked for.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{sync::Arc, time::Duration};

/// Upper bounds of the times of requests, in seconds: from a lookup in memory to a component that is compiled.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: Arc<str>,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    code: String,
}

/// The counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    publications: Counter,
    refusals: Family<Refusal, Counter>,
    uploads: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("windlass_registry"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            publications: Counter::default(),
            refusals: Family::default(),
            uploads: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests by route, method and status", metrics.requests.clone());
        registry.register("request_seconds", "Time until the head of the answer, by route", metrics.seconds.clone());
        registry.register("publications", "Versions that came into being", metrics.publications.clone());
        registry.register("refusals", "Publications that were refused, by code", metrics.refusals.clone());
        registry.register("open_uploads", "Uploads that are not finished", metrics.uploads.clone());
        metrics
    }

    pub(crate) fn request(&self, route: Arc<str>, method: &axum::http::Method, status: u16, took: Duration) {
        // Whatever else somebody sends is one more, not a label of its own.
        let method = match method.as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => "other",
        };
        self.seconds.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { route, method, status }).inc();
    }

    pub(crate) fn published(&self) {
        self.publications.inc();
    }

    pub(crate) fn refused(&self, code: String) {
        self.refusals.get_or_create(&Refusal { code }).inc();
    }

    pub(crate) fn text(&self, open_uploads: usize) -> String {
        self.uploads.set(i64::try_from(open_uploads).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
