//! Where other systems send what has happened. Nobody signs in here: the request itself is signed.

use super::{triggers::DeliveryRow, unfinished};
use crate::{
    App, Problem,
    extract::{Json, Path},
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(hook))
}

/// A signed event. `X-Hub-Signature-256: sha256=HMAC` over the body for GitHub's; for others `X-Windlass-Signature: t=SECONDS,v1=HMAC` over `SECONDS.BODY`,
/// at most five minutes old. A delivery that was seen before (`X-GitHub-Delivery`, `X-Windlass-Delivery`) is answered as then. At most 1 MiB.
#[utoipa::path(post, path = "/hooks/{id}", tag = "triggers", security(()), params(("id" = String, Path)), request_body(content = String, content_type = "application/json"), responses((status = 202, body = DeliveryRow)))]
async fn hook(
    State(_app): State<App>,
    Path(_id): Path<String>,
    _headers: HeaderMap,
    _body: Bytes,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    unfinished()
}
