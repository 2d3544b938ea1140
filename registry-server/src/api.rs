//! Discovery, the index, search and publishing: what is ours beside the distribution protocol.

use crate::{Registry, error::OciError, gate, oci::plugin_name};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use windlass_package::release::{PublishRequest, Refusal, Refusals, SearchAnswer, WellKnown, WellKnownOci};

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
    let Some(document) = registry.0.index.get(&name) else {
        return Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("there is no plugin {name}")));
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let common = [(header::ETAG, document.etag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == document.etag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(header::CONTENT_TYPE, "application/x-ndjson")], document.body.clone()).into_response())
}

/// What is searched for.
#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /api/v1/search?q=`.
pub(crate) async fn search(State(registry): State<Registry>, Query(search): Query<Search>) -> Json<SearchAnswer> {
    let (plugins, total) = registry.0.index.search(&search.q);
    Json(SearchAnswer { plugins, total })
}

/// `POST /api/v1/publish`.
pub(crate) async fn publish(
    State(registry): State<Registry>,
    headers: HeaderMap,
    Json(request): Json<PublishRequest>,
) -> Response {
    match gate::publish(&registry, &headers, request).await {
        Ok((release, true)) => (StatusCode::CREATED, Json(release)).into_response(),
        Ok((release, false)) => Json(release).into_response(),
        Err(gate::Stop::Auth(error) | gate::Stop::Failed(error)) => error.into_response(),
        Err(gate::Stop::Refused(refused)) => {
            use windlass_contract::CodedError as _;
            tracing::info!(code = %refused.code(), reason = %refused, "a publication was refused");
            let refusal =
                Refusal { code: refused.code().to_string(), message: refused.to_string(), help: refused.help() };
            (refused.status(), Json(Refusals { errors: vec![refusal] })).into_response()
        }
    }
}
