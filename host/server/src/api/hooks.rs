//! Where other systems send what has happened. Nobody signs in here: the request itself is signed.

use super::triggers::DeliveryRow;
use crate::{
    App, Problem,
    extract::{Json, Path},
    problem::Kind,
    triggers::MAX_BODY,
};
use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(hook)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// A signed event. `X-Hub-Signature-256: sha256=HMAC` over the body for GitHub's; for others `X-Windlass-Signature: t=SECONDS,v1=HMAC` over `SECONDS.BODY`,
/// at most five minutes old. A delivery that was seen before (`X-GitHub-Delivery`, `X-Windlass-Delivery`) is answered as then. At most 1 MiB.
#[utoipa::path(post, path = "/hooks/{id}", tag = "triggers", security(()), params(("id" = String, Path)), request_body(content = String, content_type = "application/json"), responses((status = 202, body = DeliveryRow)))]
async fn hook(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Kind::TooLarge, format!("a request has at most {MAX_BODY} bytes"))
        }
        _ => Problem::new(Kind::Invalid, rejection.body_text()),
    })?;
    Ok((StatusCode::ACCEPTED, Json(app.take_hook(&id, &headers, &body).await?.into())))
}
