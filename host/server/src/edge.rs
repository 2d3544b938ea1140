//! What is done around each request: a number for it, a line in the log, counting, bounds, and headers for browsers.
//!
//! **Invariants.**
//! - Every answer has an `x-request-id`, which is also in the log, in problems and in the audit. A client's own is not taken over: it could
//!   make two requests look like one.
//! - A page of ours runs our scripts only, is framed by nobody, and sends its address to nobody.
//! - A body is read to [`MAX_BODY`] at the most, and a handler has [`PATIENCE`] to begin its answer.

use crate::{App, Problem, problem::Kind};
use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use rand::RngCore as _;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tracing::Instrument as _;

/// The largest body of a request, in bytes: a pipeline of 1 MiB, written as JSON.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long a handler may take to begin its answer, in seconds, the reading of the body included. Streams go on for as long as they like.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The same for what fetches and compiles plugins, or asks a provider, in seconds.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// Connections at once: a thousand people who follow runs, each with some tabs.
pub(crate) const MAX_CONNECTIONS: usize = 8_192;
/// How long answers that were begun may take when the server ends, in seconds.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// The largest problem that is looked into again, in bytes.
const MAX_PROBLEM: usize = 256 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What no route has.
const NO_ROUTE: &str = "none";

/// Styles may be inline: the editor and the dialogs make their own. Scripts may not.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SECURITY: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Which request this is.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    /// Its id.
    pub(crate) id: String,
    /// The address that it came from.
    pub(crate) address: IpAddr,
}

tokio::task_local! {
    /// The request that the task answers.
    pub(crate) static REQUEST: RequestInfo;
}

/// The request that is being answered; none outside of one.
pub(crate) fn current() -> Option<RequestInfo> {
    REQUEST.try_with(Clone::clone).ok()
}

/// Puts all of it around the routes.
pub(crate) fn around(app: &App, router: axum::Router) -> axum::Router {
    router
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), observe))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_long = path.starts_with("/api/v1/plugins")
        || path.starts_with("/api/v1/admin/plugins")
        || path.starts_with("/api/v1/admin/environments");
    let patience = if is_long { LONG_PATIENCE } else { PATIENCE };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Timeout, format!("this took longer than {} seconds", patience.as_secs()))
            .help("send the request faster, or try again later")
            .into_response(),
    }
}

async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = format!("{:016x}", rand::thread_rng().next_u64());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let address = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let route: Arc<str> =
        request.extensions().get::<MatchedPath>().map_or_else(|| NO_ROUTE.into(), |path| path.as_str().into());
    let method = request.method().clone();
    let info = RequestInfo { id: id.clone(), address };
    request.extensions_mut().insert(info.clone());
    let span = tracing::info_span!("request", id, %method, route = &*route);
    let mut response = REQUEST.scope(info, next.run(request)).instrument(span.clone()).await;
    let (took, status) = (began.elapsed(), response.status());
    span.in_scope(|| {
        let ms = took.as_millis() as u64;
        match status.is_server_error() {
            true => tracing::warn!(status = status.as_u16(), ms, %address, "answered"),
            false => tracing::debug!(status = status.as_u16(), ms, %address, "answered"),
        }
    });
    app.metrics().request(route, &method, status.as_u16(), took);
    if status.is_client_error() || status.is_server_error() {
        response = as_problem(response, &id).await;
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        // A route may be stricter.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// An error as a problem with the request's id, also where a layer below made it.
async fn as_problem(response: Response, id: &str) -> Response {
    let status = response.status();
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if !is_problem {
        // Health checks tell their own.
        let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if is_json {
            return response;
        }
        let kind = match status {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::METHOD_NOT_ALLOWED => Kind::Method,
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMedia,
            StatusCode::RANGE_NOT_SATISFIABLE => return response,
            status if status.is_server_error() => Kind::Internal,
            _ => Kind::Invalid,
        };
        let problem = Problem::new(kind, status.canonical_reason().unwrap_or("the request was refused"));
        return Problem { request_id: Some(id.to_owned()), ..problem }.into_response();
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_PROBLEM).await else { return (parts.status, parts.headers).into_response() };
    let Ok(mut problem) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    problem["request_id"] = id.into();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(problem.to_string()))
}
