//! Uploads: whole, in chunks, or none because the blob is here.

use super::{Answer, digest, not_found, plugin_name};
use crate::{
    Registry,
    accounts::Namespace,
    auth::Client,
    error::OciError,
    storage::{Appended, Finished, Upload},
};
use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use std::{collections::BTreeMap, io};
use windlass_contract::{Digest, PluginName};
use windlass_package::manifest::MAX_COMPONENT;

/// Largest blob, in bytes: a component at its limit.
pub const MAX_BLOB: u64 = MAX_COMPONENT;

fn upload(repository: &PluginName, id: &str) -> Result<Upload, OciError> {
    let id = id.parse().map_err(|()| unknown_upload())?;
    Ok(Upload { repository: repository.clone(), id })
}

fn unknown_upload() -> OciError {
    not_found("BLOB_UPLOAD_UNKNOWN", "there is no such upload; begin a new one")
}

fn busy_upload() -> OciError {
    let message = "another request is writing to this upload; wait until it has ended";
    OciError::new(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID", message)
}

/// What `POST …/uploads/` may say.
#[derive(Deserialize)]
pub(crate) struct Begin {
    mount: Option<String>,
    from: Option<String>,
    digest: Option<String>,
}

fn created(name: &PluginName, digest: &Digest) -> Response {
    let place = format!("/v2/{}/blobs/{digest}", name.repository());
    let headers = [(header::LOCATION.as_str(), place), ("docker-content-digest", digest.to_string())];
    (StatusCode::CREATED, headers).into_response()
}

fn pending(status: StatusCode, upload: &Upload, size: u64) -> Response {
    let Upload { repository, id } = upload;
    let headers = [
        (header::LOCATION.as_str(), format!("/v2/{}/blobs/uploads/{}", repository.repository(), id.as_str())),
        (header::RANGE.as_str(), format!("0-{}", size.saturating_sub(1))),
        ("docker-upload-uuid", id.as_str().to_owned()),
    ];
    (status, headers).into_response()
}

/// `POST /v2/…/blobs/uploads/`: begins an upload; whole with `?digest=`, none needed with `?mount=` of what is here.
pub(crate) async fn begin(
    State(registry): State<Registry>,
    Path((namespace, name)): Path<(String, String)>,
    Query(begin): Query<Begin>,
    headers: HeaderMap,
    client: Client,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    registry.writer(&client, &name).await?;
    if let Some(text) = &begin.mount {
        let mount = digest(text)?;
        if let Some((namespace, name)) = begin.from.as_deref().and_then(|from| from.split_once('/')) {
            plugin_name(namespace, name)?;
        }
        // Whatever is here may be read by everybody, so from where it is mounted does not matter.
        if !registry.0.index.is_withheld(&mount) && registry.0.blobs.touch(&mount).await? {
            registry.0.database.note_push(&mount, &Namespace::of(&name)).await?;
            return Ok(created(&name, &mount));
        }
    }
    let whole = begin.digest.as_deref().map(digest).transpose()?;
    let upload = registry.0.blobs.begin_upload(&name).await?.ok_or_else(|| {
        let message = format!("too many uploads are open in the namespace {}; try again later", name.namespace());
        OciError::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message)
    })?;
    match whole {
        None => Ok(pending(StatusCode::ACCEPTED, &upload, 0)),
        Some(digest) => {
            receive(&registry, &upload, &headers, body).await?;
            end(&registry, &upload, digest).await
        }
    }
}

/// Where a chunk says that it is: first and last byte. `None`: it does not say.
fn chunk(headers: &HeaderMap) -> Result<Option<(u64, u64)>, OciError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let parse = || {
        // The protocol writes no unit; HTTP itself would.
        let text = value.to_str().ok()?.trim_start_matches("bytes ");
        let (first, last) = text.split('/').next()?.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    parse().map(Some).ok_or_else(|| {
        let message = "Content-Range of a chunk is written <first>-<last>";
        OciError::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    })
}

/// Appends a body to an upload; gives its size.
async fn receive(registry: &Registry, upload: &Upload, headers: &HeaderMap, body: Body) -> Result<u64, OciError> {
    let said = chunk(headers)?;
    let body = body.into_data_stream().map_err(io::Error::other).boxed();
    let size = match registry.0.blobs.append(upload, said.map(|(first, _)| first), MAX_BLOB, body).await? {
        Appended::Size(size) => size,
        Appended::Unknown => return Err(unknown_upload()),
        Appended::Busy => return Err(busy_upload()),
        Appended::Gap(size) => {
            let message = format!("the upload has {size} bytes; go on from there");
            return Err(OciError::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message));
        }
        Appended::TooLarge => {
            let message = format!("a blob has at most {MAX_BLOB} bytes");
            return Err(OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message));
        }
        Appended::BrokeOff(why) => {
            // Where it stands now is what a chunk after it goes on from.
            let message = format!("the body broke off: {why}");
            return Err(OciError::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message));
        }
    };
    if said.is_some_and(|(_, last)| last + 1 != size) {
        registry.0.blobs.cancel_upload(upload).await?;
        let message = "the chunk is not as long as its Content-Range says; begin a new upload";
        return Err(OciError::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message));
    }
    Ok(size)
}

async fn end(registry: &Registry, upload: &Upload, digest: Digest) -> Answer {
    match registry.0.blobs.finish_upload(upload, &digest).await? {
        Finished::Kept => {
            registry.0.database.note_push(&digest, &Namespace::of(&upload.repository)).await?;
            Ok(created(&upload.repository, &digest))
        }
        Finished::Unknown => Err(unknown_upload()),
        Finished::Busy => Err(busy_upload()),
        Finished::Other(found) => {
            let message = format!("what was uploaded has the digest {found}, not {digest}");
            Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message))
        }
    }
}

type UploadPath = Path<(String, String, String)>;

/// `PATCH /v2/…/blobs/uploads/<id>`: a chunk.
pub(crate) async fn append(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    headers: HeaderMap,
    client: Client,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let upload = upload(&name, &id)?;
    registry.writer(&client, &name).await?;
    let size = receive(&registry, &upload, &headers, body).await?;
    Ok(pending(StatusCode::ACCEPTED, &upload, size))
}

/// `PUT /v2/…/blobs/uploads/<id>?digest=`: the last chunk, or all of it, or nothing more.
pub(crate) async fn finish(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    client: Client,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let upload = upload(&name, &id)?;
    registry.writer(&client, &name).await?;
    let digest = digest(query.get("digest").map_or("", String::as_str))?;
    receive(&registry, &upload, &headers, body).await?;
    end(&registry, &upload, digest).await
}

/// `GET /v2/…/blobs/uploads/<id>`: how far it is.
pub(crate) async fn status(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    client: Client,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let upload = upload(&name, &id)?;
    registry.writer(&client, &name).await?;
    let size = registry.0.blobs.upload_size(&upload).await?.ok_or_else(unknown_upload)?;
    Ok(pending(StatusCode::NO_CONTENT, &upload, size))
}

/// `DELETE /v2/…/blobs/uploads/<id>`.
pub(crate) async fn cancel(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    client: Client,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let upload = upload(&name, &id)?;
    registry.writer(&client, &name).await?;
    if !registry.0.blobs.cancel_upload(&upload).await? {
        return Err(unknown_upload());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
