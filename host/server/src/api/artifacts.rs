//! What runs have made.

use super::events::run_id;
use crate::{
    App, Problem,
    access::Viewer,
    download::{self, PIECE_BYTES, Thing},
    extract::{Json, Path},
    problem::Kind,
};
use axum::{extract::State, http::HeaderMap, response::Response};
use bytes::Bytes;
use serde::Serialize;
use std::io::{self, Read as _};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use windlass_capabilities::artifacts::{PLAIN_TEXT, StoreError, Stored};
use windlass_contract::ArtifactKey;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(artifacts)).routes(routes!(artifact))
}

/// An artifact.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArtifactRow {
    /// Its key.
    pub key: String,
    /// How many bytes.
    pub size: u64,
    /// sha256 of them.
    pub checksum: String,
    /// Its media type.
    pub media_type: String,
    /// When it was made.
    pub created_at_ms: u64,
}

impl From<Stored> for ArtifactRow {
    fn from(kept: Stored) -> Self {
        ArtifactRow {
            key: kept.key.to_string(),
            size: kept.size,
            checksum: kept.digest.hex().to_string(),
            media_type: kept.media_type,
            created_at_ms: kept.created_at_ms,
        }
    }
}

fn told(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound { .. } => Problem::told(Kind::NotFound, &error),
        error => Problem::internal(error),
    }
}

/// The artifacts of a run, by their keys.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts", tag = "runs", params(("id" = String, Path)), responses((status = 200, body = Vec<ArtifactRow>)))]
async fn artifacts(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Vec<ArtifactRow>>, Problem> {
    let run = run_id(&id)?;
    app.host().store().run(&run).await?;
    let kept = app.host().toolbox().artifacts().list(&run).map_err(told)?;
    Ok(Json(kept.into_iter().map(ArtifactRow::from).collect()))
}

/// An artifact's bytes. Ranges are served, and `If-None-Match` with the digest. It is always a file to keep, whatever its type.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts/{key}", tag = "runs", params(("id" = String, Path), ("key" = String, Path, description = "The key; a slash in it is written %2F")), responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
async fn artifact(
    State(app): State<App>,
    _: Viewer,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = run_id(&id)?;
    let key: ArtifactKey = key.parse().map_err(|_| Problem::not_found("artifact of this key"))?;
    app.host().store().run(&run).await?;
    let store = app.host().toolbox().artifacts();
    let kept = store.find(&run, &key).map_err(told)?;
    let thing = Thing {
        size: kept.size,
        etag: Some(format!("\"{}\"", kept.digest)),
        text: kept.media_type == PLAIN_TEXT,
        inline: false,
        name: key.as_str().rsplit('/').next().unwrap_or_default(),
    };
    download::respond(&thing, &headers, |part| {
        let reader = store.read(kept.digest, kept.size).map_err(told)?;
        let reader = reader.starting_at(part.start).map_err(Problem::internal)?;
        Ok(download::blocking(reader, |reader| {
            let mut piece = vec![0; PIECE_BYTES];
            let read = loop {
                match reader.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            piece.truncate(read);
            Ok((read > 0).then(|| Bytes::from(piece)))
        }))
    })
}
