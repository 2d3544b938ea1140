//! Requests that may be sent again: a POST with an `Idempotency-Key` has its effect once.
//!
//! **Invariants.**
//! - The request is noted before it has any effect, and its answer before it is given. The same request gets the same answer for
//!   [`KEPT_MS`], over restarts too; another request with the same key is refused.
//! - A request that was begun is carried to its end, whether or not the client is still there.
//! - Where a server ended between effect and answer, nobody guesses: the answer says that it is not known.
//! - No secret is kept: where an answer has one, a key has no effect ([`WITHOUT`]).
//!
//! **Not here.** What is refused because there is no room ([`Problem`]s 429 and 503): that had no effect, and may be sent again with its key.

use crate::{App, Problem, access, access::Caller, aside::detached, clock::now_ms, edge::MAX_BODY, problem::Kind};
use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};
use windlass_store::records::idempotency::{Answer, Begun};

/// The header.
const HEADER: &str = "idempotency-key";
/// What an answer has that was given before.
const REPLAYED: &str = "idempotency-replayed";
/// How long answers are kept, in milliseconds: 24 hours.
pub(crate) const KEPT_MS: u64 = 24 * 3_600_000;
/// The longest key, in characters: 255.
pub(crate) const MAX_KEY: usize = 255;
/// The largest answer that is kept, in bytes: 64 KiB. They are a line or two. Of a larger one, that it was given is kept.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// Where a key has no effect: what answers with a secret that is seen once, or signs in; and what changes nothing.
const WITHOUT: [&str; 6] = [
    "/api/v1/session",
    "/api/v1/tokens",
    "/api/v1/workflows/{name}/triggers",
    "/api/v1/triggers/{id}/rotate",
    "/api/v1/lint",
    "/api/v1/plugins/plan",
];

/// The requests that this process is carrying out.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashSet<(String, String)>>);

impl UnderWay {
    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a request out of those under way, however it ends.
struct Mark {
    app: App,
    id: (String, String),
}

impl Mark {
    /// None when the same is under way already.
    fn new(app: &App, id: (String, String)) -> Option<Mark> {
        app.under_way().set().insert(id.clone()).then(|| Mark { app: app.clone(), id })
    }

    fn id(&self) -> (&str, &str) {
        (&self.id.0, &self.id.1)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.app.under_way().set().remove(&self.id);
    }
}

/// The key of a request, if it has one that counts.
fn key(parts: &Parts) -> Result<Option<String>, Problem> {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(key) = parts.headers.get(HEADER) else { return Ok(None) };
    if parts.method != Method::POST || WITHOUT.contains(&route) {
        return Ok(None);
    }
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(Kind::Invalid, format!("an `{HEADER}` has 1 to {MAX_KEY} visible ASCII characters"))),
    }
}

/// What tells one request from another.
fn digest(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [parts.method.as_str(), &parts.uri.to_string()] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.update(body);
    digest.finalize().into()
}

/// The layer.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let key = match key(&parts) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(Request::from_parts(parts, body)).await,
        Err(problem) => return problem.into_response(),
    };
    // Whoever is nobody is told so by the handler, or is asked for nothing by it.
    let Ok(caller) = access::caller(&app, &mut parts).await else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    noted(&app, &caller, key, parts, body, next).await.unwrap_or_else(Problem::into_response)
}

async fn noted(
    app: &App,
    caller: &Caller,
    key: String,
    parts: Parts,
    body: Body,
    next: Next,
) -> Result<Response, Problem> {
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        Problem::new(Kind::TooLarge, format!("the body cannot be read, or has more than {MAX_BODY} bytes"))
    })?;
    let request = digest(&parts, &body);
    let Some(mark) = Mark::new(app, (caller.name.clone(), key)) else {
        let problem = Problem::new(Kind::UnderWay, "a request with this key is being carried out");
        return Err(Problem { retry_after_s: Some(1), ..problem });
    };
    let now = now_ms();
    match app.records().begin_request(mark.id(), &request, now, now.saturating_sub(KEPT_MS)).await? {
        Begun::New => {}
        Begun::Answered(answer) => return again(answer),
        Begun::Other => {
            return Err(Problem::new(Kind::KeyReused, "another request was sent with this idempotency key")
                .help("make a new key for each new request"));
        }
        Begun::Unanswered => {
            return Err(Problem::new(
                Kind::OutcomeUnknown,
                "this request was begun and ended without an answer, and what came of it is not known",
            )
            .help("look whether it has had its effect; if not, send it with a new key"));
        }
    }
    let app = app.clone();
    let carried_out = async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        keep(&app, &mark, response).await
    };
    // The end of the connection would end it half way.
    detached(carried_out).await.map_err(Problem::internal)?
}

/// Keeps an answer, and gives it.
async fn keep(app: &App, mark: &Mark, response: Response) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        app.records().forget_request(mark.id()).await?;
        return Ok(Response::from_parts(parts, body));
    }
    let content_type = content_type(&parts.headers);
    let status = parts.status.as_u16();
    let size = axum::body::HttpBody::size_hint(&body).exact();
    if size.is_none_or(|size| usize::try_from(size).map_or(true, |size| size > MAX_ANSWER)) {
        app.records().answer_request(mark.id(), &Answer { status, content_type, body: None }).await?;
        return Ok(Response::from_parts(parts, body));
    }
    let body = to_bytes(body, MAX_ANSWER).await.map_err(Problem::internal)?;
    let answer = Answer { status, content_type, body: Some(body.to_vec()) };
    app.records().answer_request(mark.id(), &answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_owned())
}

/// The answer of before.
fn again(answer: Answer) -> Result<Response, Problem> {
    let Answer { status, content_type, body } = answer;
    let Some(body) = body else {
        let words =
            format!("this request was carried out and answered with {status}; the answer was too large to be kept");
        return Err(Problem::new(Kind::OutcomeUnknown, words).help("read what it has made"));
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).map_err(Problem::internal)?;
    let headers = response.headers_mut();
    if let Some(value) = content_type.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
