//! Discovery, the index and publishing: what is ours beside the distribution protocol.

mod accounts;
mod journal;
mod releases;

use crate::{
    Registry,
    auth::Client,
    error::{ApiError, OciError, RegistryError},
    gate,
    oci::plugin_name,
};
use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::str::FromStr;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_contract::CodedError as _;
use windlass_package::release::{PublishRequest, Refusals, WellKnown, WellKnownOci};

/// How long a snapshot may be kept by whoever stands between: a minute after a publication everybody sees it.
const SNAPSHOT_CACHE: &str = "public, max-age=60";

/// What Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether who asks has this already.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
    })
}

/// `GET /.well-known/wasm-pkg/registry.json`.
pub(crate) async fn well_known(State(registry): State<Registry>) -> Json<WellKnown> {
    Json(WellKnown {
        preferred_protocol: "oci".to_owned(),
        oci: WellKnownOci { registry: registry.host(), namespace_prefix: String::new() },
    })
}

/// `GET /index/<namespace>/<name>`.
pub(crate) async fn index(
    State(registry): State<Registry>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, OciError> {
    let name = plugin_name(&namespace, &name)?;
    let Some(document) = registry.0.index.get(&name).await? else {
        return Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("there is no plugin {name}")));
    };
    let common = [(header::ETAG, document.etag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if is_known(&headers, &document.etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(header::CONTENT_TYPE, "application/x-ndjson")], document.body.clone()).into_response())
}

/// `GET /snapshot.json`.
pub(crate) async fn snapshot(State(registry): State<Registry>, headers: HeaderMap) -> Result<Response, OciError> {
    let served = registry.0.index.snapshot().await?;
    let common = [(header::ETAG, served.etag.clone()), (header::CACHE_CONTROL, SNAPSHOT_CACHE.to_owned())];
    if is_known(&headers, &served.etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(header::CONTENT_TYPE, "application/json")], served.body.clone()).into_response())
}

/// `GET /snapshot/bins/<digest>`.
pub(crate) async fn bin(State(registry): State<Registry>, Path(text): Path<String>) -> Result<Response, OciError> {
    let digest = crate::oci::digest(&text)?;
    let body = registry.0.database.bin(&digest).await?;
    let body = body.ok_or_else(|| RegistryError::Unknown(format!("there is no bin {digest}")))?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::ETAG, format!("\"{digest}\"")),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// Publish a version
///
/// Its blobs and its OCI manifest were pushed before. The same content again is answered like the first time.
#[utoipa::path(post, path = "/api/v1/publish", tag = "publishing", request_body = PublishRequest, responses(
    (status = 201, description = "It is a version now: its line of the index", body = Object),
    (status = 200, description = "It was one already, with the same content", body = Object),
    (status = 401, description = "This needs a token"),
    (status = 403, description = "The token is not for that", body = Refusals),
    (status = 409, description = "The version exists with other content", body = Refusals),
    (status = 422, description = "The gate refuses it", body = Refusals),
))]
pub(crate) async fn publish(
    State(registry): State<Registry>,
    client: Client,
    Body(request): Body<PublishRequest>,
) -> Answer {
    match gate::publish(&registry, &client, request).await {
        Ok((release, true)) => {
            registry.0.metrics.published();
            Ok((StatusCode::CREATED, Json(release)).into_response())
        }
        Ok((release, false)) => Ok(Json(release).into_response()),
        Err(gate::Stop::Failed(error)) => Err(error),
        Err(gate::Stop::Refused(refused)) => {
            tracing::info!(code = %refused.code(), reason = %refused, "a publication was refused");
            registry.0.metrics.refused(refused.code().to_string());
            Err(ApiError::new(refused.status(), &refused))
        }
    }
}

/// `GET /readyz`: whether it can do its work.
pub(crate) async fn ready(State(registry): State<Registry>) -> Response {
    match registry.0.database.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(registry): State<Registry>) -> Result<Response, ApiError> {
    let text = registry.0.metrics.text(registry.0.blobs.clear_uploads().await?);
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// A body of JSON. What is wrong with it is told as every other error.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", rejection.body_text()).into())
            }
            Err(rejection) => {
                let text = rejection.body_text();
                // What stands before the first colon says how the library is built.
                let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
                Err(RegistryError::BadRequest(format!("the request's body cannot be used: {why}")).into())
            }
        }
    }
}

/// An answer of our own API.
type Answer = Result<Response, ApiError>;

/// Reads a text that is a type of ours.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// The routes of accounts, releases and the journal, with their descriptions.
pub(crate) fn router() -> OpenApiRouter<Registry> {
    OpenApiRouter::new()
        .routes(routes!(accounts::tokens, accounts::token_create))
        .routes(routes!(accounts::token_revoke))
        .routes(routes!(accounts::claim))
        .routes(routes!(accounts::owner_add, accounts::owner_remove))
        .routes(routes!(accounts::keys, accounts::key_add))
        .routes(routes!(accounts::key_revoke))
        .routes(routes!(accounts::publishers, accounts::publisher_add))
        .routes(routes!(accounts::publisher_remove))
        .routes(routes!(accounts::exchange))
        .routes(routes!(releases::remove))
        .routes(routes!(releases::yank, releases::unyank))
        .routes(routes!(releases::quarantine, releases::let_out))
        .routes(routes!(journal::notices))
        .routes(routes!(journal::audit))
}

/// The gate's route, which may take longer than all others.
pub(crate) fn gate_router() -> OpenApiRouter<Registry> {
    OpenApiRouter::new().routes(routes!(publish))
}
