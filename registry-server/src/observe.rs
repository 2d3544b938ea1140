//! What is done around each request: a number for it, a line in the log, counting, limits on strangers, headers for browsers.

use crate::{
    Registry,
    auth::address,
    limits::{Limited, Who},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rand::RngCore as _;
use std::{sync::Arc, time::Instant};
use tracing::Instrument as _;

/// The header of an answer that names the request, as its line in the log does.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What no route has.
const NO_ROUTE: &str = "none";

/// Nothing of ours is a page: a browser that is led here runs nothing, frames nothing and guesses no types.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
];

/// Around each request.
pub(crate) async fn observe(State(registry): State<Registry>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = format!("{:016x}", rand::thread_rng().next_u64());
    let route: Arc<str> = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().into(),
        None => NO_ROUTE.into(),
    };
    let method = request.method().clone();
    let (parts, body) = request.into_parts();
    let ip = address(&parts, registry.0.behind_proxy);
    let is_read =
        (method == Method::GET || method == Method::HEAD) && !parts.headers.contains_key(header::AUTHORIZATION);
    let span = tracing::info_span!("request", id, %method, path = parts.uri.path());
    let limit = if is_read { registry.0.limits.check(Limited::Read, Who::of(ip)) } else { Ok(()) };
    let mut response = match limit {
        Ok(()) => next.run(Request::from_parts(parts, body)).instrument(span.clone()).await,
        Err(error) => error.into_response(),
    };
    let (took, status) = (began.elapsed(), response.status());
    span.in_scope(|| {
        let (ip, ms) = (ip.map(tracing::field::display), took.as_millis() as u64);
        match status.is_server_error() {
            true => tracing::warn!(status = status.as_u16(), ms, ip, "answered"),
            false => tracing::debug!(status = status.as_u16(), ms, ip, "answered"),
        }
    });
    registry.0.metrics.request(route, &method, status.as_u16(), took);
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
