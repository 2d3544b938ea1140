//! What `/api/v1` says of itself. Its routes are made of what is described, so none is missing.
//!
//! The document is kept in `registry-server/openapi.json`, where a change of the API is seen in review.

use super::{answer, handlers};
use crate::{Registry, api};
use axum::{Router, http::HeaderMap, response::Response, routing::get};
use std::sync::LazyLock;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Windlass registry",
        description = "What a registry of Windlass plugins offers beside the OCI distribution protocol (/v2) and the sparse index (/index). Reading needs no token."
    ),
    tags(
        (name = "market", description = "Searching and looking: for everybody, without a token"),
        (name = "publishing", description = "The gate by which a version comes into being")
    ),
)]
struct Api;

/// The routes of `/api/v1`.
pub(crate) struct Described {
    /// All but one.
    pub(crate) api: Router<Registry>,
    /// The gate, which takes long.
    pub(crate) gate: Router<Registry>,
}

fn market() -> OpenApiRouter<Registry> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(handlers::search))
        .routes(routes!(handlers::plugin))
        .routes(routes!(handlers::versions))
        .routes(routes!(handlers::version))
        .routes(routes!(handlers::permissions))
        .routes(routes!(handlers::dependents))
        .routes(routes!(handlers::downloads))
        .routes(routes!(handlers::feed))
        .routes(routes!(handlers::namespace))
        .routes(routes!(handlers::step_type))
        .routes(routes!(handlers::conflicts))
        .routes(routes!(handlers::native))
}

/// The routes, each of which is in the [`document`].
pub(crate) fn described() -> Described {
    let (router, _) = market().merge(api::router()).split_for_parts();
    let (gate, _) = api::gate_router().split_for_parts();
    Described { api: router.route("/api/v1/openapi.json", get(serve)), gate }
}

/// The document, with a newline at its end.
pub fn document() -> String {
    let (_, document) = market().merge(api::router()).merge(api::gate_router()).split_for_parts();
    // Texts and maps with text keys: cannot fail.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// `GET /api/v1/openapi.json`.
async fn serve(headers: HeaderMap) -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(document);
    answer::text(&headers, "application/json", DOCUMENT.clone())
}
