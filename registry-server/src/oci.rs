//! The distribution protocol, version 1.1: what every OCI tool speaks.
//!
//! Reading needs no token. Writing needs one that owns the namespace. Content is pushed in any order the protocol knows
//! (monolithic, chunked, mounted); a manifest is accepted when all it names is there and of the size it says. A tag that
//! reads as a version is put once and never moves: through the publish gate it becomes a release of a plugin, without it it is
//! a plain package, for other tools. What no version needs may be deleted by its owner.
//!
//! A repository's name is `namespace/name`, as a plugin's is.

mod blobs;
mod lists;
mod manifests;
mod uploads;

pub use lists::{MAX_REFERRERS, MAX_TAGS};
pub use uploads::MAX_BLOB;

use crate::{
    Registry,
    auth::{ANONYMOUS, Client},
    connections::at_most,
    error::OciError,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, Uri, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use serde_json::json;
use windlass_contract::{Digest, PluginName};
use windlass_package::oci::MAX_OCI_MANIFEST;

type Answer = Result<Response, OciError>;

/// The protocol's routes. Blobs and manifests count their own bytes.
pub(crate) fn router() -> Router<Registry> {
    Router::new()
        .route("/v2/", get(ping))
        .route("/v2", get(ping))
        .route("/v2/{namespace}/{name}/blobs/uploads/", post(uploads::begin))
        .route("/v2/{namespace}/{name}/blobs/uploads", post(uploads::begin))
        .route(
            "/v2/{namespace}/{name}/blobs/uploads/{id}",
            patch(uploads::append).put(uploads::finish).get(uploads::status).delete(uploads::cancel),
        )
        .route("/v2/{namespace}/{name}/blobs/{digest}", get(blobs::get).delete(blobs::delete))
        .route(
            "/v2/{namespace}/{name}/manifests/{reference}",
            get(manifests::get)
                .put(manifests::put)
                .delete(manifests::delete)
                .layer(from_fn(at_most::<MAX_OCI_MANIFEST>)),
        )
        .route("/v2/{namespace}/{name}/tags/list", get(lists::tags))
        .route("/v2/{namespace}/{name}/referrers/{digest}", get(lists::referrers))
        .layer(from_fn(at_most::<{ uploads::MAX_BLOB }>))
        .layer(DefaultBodyLimit::disable())
}

fn not_found(code: &'static str, what: impl Into<String>) -> OciError {
    OciError::new(StatusCode::NOT_FOUND, code, what)
}

fn withheld(what: impl std::fmt::Display) -> OciError {
    let message = format!("the registry does not hand out {what} at present; the plugin's index says why");
    OciError::new(StatusCode::FORBIDDEN, "DENIED", message)
}

pub(crate) fn plugin_name(namespace: &str, name: &str) -> Result<PluginName, OciError> {
    format!("{namespace}:{name}").parse().map_err(|error: windlass_contract::NameError| {
        OciError::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
    })
}

pub(crate) fn digest(text: &str) -> Result<Digest, OciError> {
    text.parse().map_err(|error: windlass_contract::NameError| {
        OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    })
}

/// Repositories whose names have another number of segments than two, and addresses that there are not.
pub(crate) async fn nowhere(uri: Uri) -> OciError {
    let path = uri.path();
    let is_repository = path.starts_with("/v2/")
        && ["/blobs/", "/manifests/", "/tags/list", "/referrers/"].iter().any(|part| path.contains(part));
    if is_repository {
        let message = "a repository of this registry is named <namespace>/<name>";
        return OciError::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message);
    }
    not_found("UNSUPPORTED", "this registry has nothing at this address")
}

/// `GET /v2/`. Without credentials a challenge: by it clients learn how to get a token before they push.
async fn ping(State(registry): State<Registry>, client: Client) -> Answer {
    let text = client.credentials.as_deref().ok_or_else(|| registry.challenge(None))?;
    if text != ANONYMOUS && registry.caller(&client).await?.is_none() {
        return Err(registry.challenge(None));
    }
    Ok(([("docker-distribution-api-version", "registry/2.0")], Json(json!({}))).into_response())
}

/// `GET /token`: the token of the credentials, or that of nobody.
pub(crate) async fn token(State(registry): State<Registry>, client: Client) -> Answer {
    let text = match &client.credentials {
        None => ANONYMOUS,
        Some(text) if registry.caller(&client).await?.is_some() => text,
        Some(_) => {
            let message = "the token is not one of this registry, or expired";
            return Err(OciError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message));
        }
    };
    let body = json!({"token": text, "access_token": text, "expires_in": 300});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}
