//! The distribution protocol, version 1.1: what every OCI tool speaks.
//!
//! Reading needs no token. Writing needs one that owns the namespace. Content is pushed in any order the protocol knows
//! (monolithic, chunked, mounted); a manifest is accepted when all it names is there and of the size it says. Deleting is
//! not offered: a version never goes.

use crate::{
    Registry,
    error::{OciError, RegistryError},
    storage::{Tag, UploadId},
    tokens::Token,
};
use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, io::SeekFrom};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;
use windlass_contract::{Digest, PluginName};
use windlass_package::{
    manifest::MAX_COMPONENT,
    oci::{Content, IMAGE_INDEX, IMAGE_MANIFEST, ImageManifest, MAX_OCI_MANIFEST},
};

/// Largest blob, in bytes: a component at its limit.
pub const MAX_BLOB: u64 = MAX_COMPONENT;
/// Most tags of one answer: a page.
pub const MAX_TAGS: usize = 1000;
/// The bearer token of somebody without credentials; it may do what needs none.
const ANONYMOUS: &str = "anonymous";

type Answer = Result<Response, OciError>;

fn not_found(code: &'static str, what: impl Into<String>) -> OciError {
    OciError::new(StatusCode::NOT_FOUND, code, what)
}

pub(crate) fn plugin_name(namespace: &str, name: &str) -> Result<PluginName, OciError> {
    format!("{namespace}:{name}").parse().map_err(|error: windlass_contract::NameError| {
        OciError::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
    })
}

fn digest(text: &str) -> Result<Digest, OciError> {
    text.parse().map_err(|error: windlass_contract::NameError| {
        OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    })
}

fn upload_id(text: &str) -> Result<UploadId, OciError> {
    text.parse().map_err(|()| unknown_upload())
}

fn unknown_upload() -> OciError {
    not_found("BLOB_UPLOAD_UNKNOWN", "there is no such upload; begin a new one")
}

fn too_large() -> OciError {
    OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("a blob has at most {MAX_BLOB} bytes"))
}

/// Runs what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, OciError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            tracing::error!(%error, "a task died");
            Err(OciError::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry could not do this"))
        }
    }
}

/// The credentials of a request: a bearer token, or the password of basic credentials.
fn credentials(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

impl Registry {
    fn challenge(&self, scope: Option<String>) -> OciError {
        let realm = self.0.public.join("/token").map(String::from).unwrap_or_default();
        let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
        let mut error = OciError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "this needs a token of the registry");
        error.challenge = Some(format!("Bearer realm=\"{realm}\",service=\"{}\"{scope}", self.host()));
        error
    }

    /// The token of a request that wants to write to a repository.
    ///
    /// # Errors
    /// 401 with a challenge when there is none that works, 403 when it does not own the namespace.
    pub(crate) fn writer(&self, headers: &HeaderMap, name: &PluginName) -> Result<Token, OciError> {
        let challenge = || self.challenge(Some(format!("repository:{}:pull,push", name.repository())));
        let text = credentials(headers).ok_or_else(challenge)?;
        let token = self.0.tokens.check(&text, jiff::Timestamp::now())?.ok_or_else(challenge)?;
        if !token.namespaces.contains(name.namespace()) {
            let message = format!("this token does not own the namespace {}", name.namespace());
            return Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message));
        }
        Ok(token)
    }
}

/// `GET /v2/`. Without credentials a challenge: by it clients learn how to get a token before they push.
pub(crate) async fn ping(State(registry): State<Registry>, headers: HeaderMap) -> Answer {
    let text = credentials(&headers).ok_or_else(|| registry.challenge(None))?;
    if text != ANONYMOUS && registry.0.tokens.check(&text, jiff::Timestamp::now())?.is_none() {
        return Err(registry.challenge(None));
    }
    Ok(([("docker-distribution-api-version", "registry/2.0")], Json(json!({}))).into_response())
}

/// `GET /token`: the token of the credentials, or that of nobody.
pub(crate) async fn token(State(registry): State<Registry>, headers: HeaderMap) -> Answer {
    let text = match credentials(&headers) {
        None => ANONYMOUS.to_owned(),
        Some(text) => match registry.0.tokens.check(&text, jiff::Timestamp::now())? {
            Some(_) => text,
            None => {
                return Err(OciError::new(
                    StatusCode::UNAUTHORIZED,
                    "UNAUTHORIZED",
                    "the token is not one of this registry, or expired",
                ));
            }
        },
    };
    let body = json!({"token": text, "access_token": text, "expires_in": 300});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// `GET` and `HEAD /v2/…/blobs/<digest>`, with ranges.
pub(crate) async fn blob(
    State(registry): State<Registry>,
    Path((namespace, name, text)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    plugin_name(&namespace, &name)?;
    let digest = digest(&text)?;
    let unknown = || not_found("BLOB_UNKNOWN", format!("there is no blob {digest}"));
    let size = registry.0.storage.blob_size(&digest).ok_or_else(unknown)?;
    let path = registry.0.storage.blob_path(&digest);
    let mut file = tokio::fs::File::open(&path).await.map_err(|error| RegistryError::io("read", &path, error))?;
    let common = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES.as_str(), "bytes".to_owned()),
        (header::CACHE_CONTROL.as_str(), "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG.as_str(), format!("\"{digest}\"")),
        ("docker-content-digest", digest.to_string()),
    ];
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|text| range(text, size));
    match range {
        None => {
            let length = [(header::CONTENT_LENGTH, size.to_string())];
            Ok((common, length, Body::from_stream(ReaderStream::new(file))).into_response())
        }
        Some(Err(())) => {
            let length = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            let error =
                OciError::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "the range is outside the blob");
            Ok((length, error.into_response()).into_response())
        }
        Some(Ok((first, last))) => {
            file.seek(SeekFrom::Start(first)).await.map_err(|error| RegistryError::io("read", &path, error))?;
            let length = last - first + 1;
            let headers = [
                (header::CONTENT_LENGTH, length.to_string()),
                (header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}")),
            ];
            let body = Body::from_stream(ReaderStream::new(file.take(length)));
            Ok((StatusCode::PARTIAL_CONTENT, common, headers, body).into_response())
        }
    }
}

/// One range of bytes, first and last. `None`: not a single range, to be ignored as the protocol says; `Err`: outside.
fn range(text: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first, last) {
        ("", suffix) => {
            let suffix: u64 = suffix.parse().ok()?;
            (size.saturating_sub(suffix), if suffix == 0 { return Some(Err(())) } else { size.saturating_sub(1) })
        }
        (first, "") => (first.parse().ok()?, size.saturating_sub(1)),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(size.saturating_sub(1))),
    };
    Some(if first < size && first <= last { Ok((first, last)) } else { Err(()) })
}

/// What `POST …/uploads/` may say.
#[derive(Deserialize)]
pub(crate) struct Begin {
    mount: Option<String>,
    digest: Option<String>,
}

fn created(name: &PluginName, digest: &Digest) -> Response {
    let place = format!("/v2/{}/blobs/{digest}", name.repository());
    let headers = [(header::LOCATION.as_str(), place), ("docker-content-digest", digest.to_string())];
    (StatusCode::CREATED, headers).into_response()
}

fn pending(status: StatusCode, name: &PluginName, id: &UploadId, size: u64) -> Response {
    let headers = [
        (header::LOCATION.as_str(), format!("/v2/{}/blobs/uploads/{}", name.repository(), id.as_str())),
        (header::RANGE.as_str(), format!("0-{}", size.saturating_sub(1))),
        ("docker-upload-uuid", id.as_str().to_owned()),
    ];
    (status, headers).into_response()
}

/// `POST /v2/…/blobs/uploads/`: begins an upload; whole with `?digest=`, none needed with `?mount=` of what is here.
pub(crate) async fn upload_begin(
    State(registry): State<Registry>,
    Path((namespace, name)): Path<(String, String)>,
    Query(begin): Query<Begin>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    registry.writer(&headers, &name)?;
    if let Some(text) = &begin.mount {
        let mount = digest(text)?;
        // Whatever is here may be read by everybody, so from where it is mounted does not matter.
        if registry.0.storage.blob_size(&mount).is_some() {
            return Ok(created(&name, &mount));
        }
    }
    let whole = begin.digest.as_deref().map(digest).transpose()?;
    let shared = registry.clone();
    let id = blocking(move || shared.0.storage.begin_upload()).await?.ok_or_else(|| {
        OciError::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many uploads are open; try again later")
    })?;
    match whole {
        None => Ok(pending(StatusCode::ACCEPTED, &name, &id, 0)),
        Some(digest) => {
            append(&registry, &id, None, body).await?;
            finish(&registry, &name, &id, digest).await
        }
    }
}

/// Appends a body to an upload; gives its size.
async fn append(registry: &Registry, id: &UploadId, from: Option<u64>, body: Body) -> Result<u64, OciError> {
    let path = registry.0.storage.upload_path(id);
    let io = |error| OciError::from(RegistryError::io("write", &path, error));
    let mut file = match tokio::fs::File::options().append(true).open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(unknown_upload()),
        Err(error) => return Err(io(error)),
    };
    let mut size = file.metadata().await.map_err(io)?.len();
    if from.is_some_and(|from| from != size) {
        let message = format!("the upload has {size} bytes; go on from there");
        return Err(OciError::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message));
    }
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        // A body that is shorter than it said ends here too; its digest will not fit.
        let chunk = chunk.map_err(|error| {
            OciError::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", format!("the body broke off: {error}"))
        })?;
        size += chunk.len() as u64;
        if size > MAX_BLOB {
            registry.0.storage.cancel_upload(id);
            return Err(too_large());
        }
        file.write_all(&chunk).await.map_err(io)?;
    }
    file.flush().await.map_err(io)?;
    Ok(size)
}

async fn finish(registry: &Registry, name: &PluginName, id: &UploadId, digest: Digest) -> Answer {
    let (shared, upload) = (registry.clone(), id.clone());
    match blocking(move || shared.0.storage.finish_upload(&upload, &digest)).await? {
        Ok(()) => Ok(created(name, &digest)),
        Err(found) => Err(OciError::new(
            StatusCode::BAD_REQUEST,
            "DIGEST_INVALID",
            format!("what was uploaded has the digest {found}, not {digest}"),
        )),
    }
}

type UploadPath = Path<(String, String, String)>;

/// `PATCH /v2/…/blobs/uploads/<id>`: a chunk.
pub(crate) async fn upload_append(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (name, id) = (plugin_name(&namespace, &name)?, upload_id(&id)?);
    registry.writer(&headers, &name)?;
    let from = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim_start_matches("bytes ").split_once('-'))
        .and_then(|(first, _)| first.parse().ok());
    let size = append(&registry, &id, from, body).await?;
    Ok(pending(StatusCode::ACCEPTED, &name, &id, size))
}

/// `PUT /v2/…/blobs/uploads/<id>?digest=`: the last chunk, or all of it, or nothing more.
pub(crate) async fn upload_finish(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (name, id) = (plugin_name(&namespace, &name)?, upload_id(&id)?);
    registry.writer(&headers, &name)?;
    let digest = digest(query.get("digest").map_or("", String::as_str))?;
    append(&registry, &id, None, body).await?;
    finish(&registry, &name, &id, digest).await
}

/// `GET /v2/…/blobs/uploads/<id>`: how far it is.
pub(crate) async fn upload_status(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    headers: HeaderMap,
) -> Answer {
    let (name, id) = (plugin_name(&namespace, &name)?, upload_id(&id)?);
    registry.writer(&headers, &name)?;
    let file = tokio::fs::metadata(registry.0.storage.upload_path(&id)).await.map_err(|_| unknown_upload())?;
    Ok(pending(StatusCode::NO_CONTENT, &name, &id, file.len()))
}

/// `DELETE /v2/…/blobs/uploads/<id>`.
pub(crate) async fn upload_cancel(
    State(registry): State<Registry>,
    Path((namespace, name, id)): UploadPath,
    headers: HeaderMap,
) -> Answer {
    let (name, id) = (plugin_name(&namespace, &name)?, upload_id(&id)?);
    registry.writer(&headers, &name)?;
    registry.0.storage.cancel_upload(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a manifest is asked by.
enum Reference {
    Digest(Digest),
    Version(semver::Version),
    Tag(Tag),
}

fn reference(text: &str) -> Result<Reference, OciError> {
    if text.contains(':') {
        return Ok(Reference::Digest(digest(text)?));
    }
    if let Ok(version) = text.parse() {
        return Ok(Reference::Version(version));
    }
    text.parse().map(Reference::Tag).map_err(|()| {
        OciError::new(StatusCode::BAD_REQUEST, "TAG_INVALID", "a tag has 1 to 128 letters, digits, '.', '_' and '-'")
    })
}

/// `GET` and `HEAD /v2/…/manifests/<tag or digest>`.
pub(crate) async fn manifest(
    State(registry): State<Registry>,
    Path((namespace, name, text)): Path<(String, String, String)>,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let unknown = || not_found("MANIFEST_UNKNOWN", format!("{name} has no manifest {text}"));
    let storage = &registry.0.storage;
    let digest = match reference(&text)? {
        Reference::Digest(digest) => digest,
        Reference::Version(version) => registry.0.index.release(&name, &version).ok_or_else(unknown)?.manifest,
        Reference::Tag(tag) => storage.tag(&name, &tag)?.ok_or_else(unknown)?,
    };
    let bytes = storage.manifest(&name, &digest)?.ok_or_else(unknown)?;
    let headers = [
        (header::CONTENT_TYPE.as_str(), media_type(&bytes)),
        (header::ETAG.as_str(), format!("\"{digest}\"")),
        ("docker-content-digest", digest.to_string()),
    ];
    Ok((headers, bytes).into_response())
}

/// A stored manifest's own media type.
fn media_type(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    match serde_json::from_slice::<Typed>(bytes) {
        Ok(Typed { media_type: Some(media_type) }) if media_type == IMAGE_INDEX => media_type,
        _ => IMAGE_MANIFEST.to_owned(),
    }
}

/// `PUT /v2/…/manifests/<tag or digest>`.
pub(crate) async fn manifest_put(
    State(registry): State<Registry>,
    Path((namespace, name, text)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    registry.writer(&headers, &name)?;
    let reference = reference(&text)?;
    let bytes = axum::body::to_bytes(body, MAX_OCI_MANIFEST as usize).await.map_err(|_| {
        let message = format!("a manifest has at most {MAX_OCI_MANIFEST} bytes, and as many as it says");
        OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    })?;
    let found = Digest::of(&bytes);
    let subject = check_manifest(&registry, &name, &bytes)?;
    match &reference {
        Reference::Digest(digest) if *digest != found => {
            let message = format!("the manifest has the digest {found}, not {digest}");
            return Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
        }
        Reference::Version(version) => match registry.0.index.release(&name, version) {
            Some(release) if release.manifest == found => {}
            Some(_) => {
                let message = format!("{name}@{version} is published with other content, and a version never changes");
                return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
            }
            None => {
                let message = "a version comes into being through the gate: push by digest, then POST /api/v1/publish, as `windlass plugin publish` does";
                return Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message));
            }
        },
        _ => {}
    }
    let (shared, owner) = (registry.clone(), name.clone());
    blocking(move || {
        shared.0.storage.put_manifest(&owner, &bytes, subject.as_ref())?;
        match &reference {
            Reference::Tag(tag) => shared.0.storage.put_tag(&owner, tag, &found),
            _ => Ok(()),
        }
    })
    .await?;
    let mut answer = (
        StatusCode::CREATED,
        [
            (header::LOCATION.as_str(), format!("/v2/{}/manifests/{found}", name.repository())),
            ("docker-content-digest", found.to_string()),
        ],
    )
        .into_response();
    if let Some(subject) = subject.and_then(|subject| subject.to_string().parse().ok()) {
        answer.headers_mut().insert("oci-subject", subject);
    }
    Ok(answer)
}

/// Whether all that a manifest names is here, and as large as it says. Gives its subject, which need not be here.
fn check_manifest(registry: &Registry, name: &PluginName, bytes: &[u8]) -> Result<Option<Digest>, OciError> {
    let invalid = |message: String| OciError::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    if media_type(bytes) == IMAGE_INDEX {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Content>,
            subject: Option<Content>,
        }
        let index: Index = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        for content in &index.manifests {
            if registry.0.storage.manifest(name, &content.digest)?.is_none() {
                return Err(not_found(
                    "MANIFEST_BLOB_UNKNOWN",
                    format!("the manifest {} was not pushed", content.digest),
                ));
            }
        }
        return Ok(index.subject.map(|subject| subject.digest));
    }
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    if manifest.schema_version != 2 || manifest.media_type.as_deref().is_some_and(|media| media != IMAGE_MANIFEST) {
        return Err(invalid("it is neither an image manifest nor an image index of the OCI".to_owned()));
    }
    for content in std::iter::once(&manifest.config).chain(&manifest.layers) {
        match registry.0.storage.blob_size(&content.digest) {
            None => {
                return Err(not_found("MANIFEST_BLOB_UNKNOWN", format!("the blob {} was not pushed", content.digest)));
            }
            Some(size) if size != content.size => {
                return Err(invalid(format!("the blob {} has {size} bytes, not {}", content.digest, content.size)));
            }
            Some(_) => {}
        }
    }
    Ok(manifest.subject.map(|subject| subject.digest))
}

/// How a list is paged.
#[derive(Deserialize)]
pub(crate) struct Page {
    n: Option<usize>,
    last: Option<String>,
}

/// `GET /v2/…/tags/list`: versions and other tags, sorted as text, paged.
pub(crate) async fn tags(
    State(registry): State<Registry>,
    Path((namespace, name)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let document = registry.0.index.get(&name);
    if document.is_none() && !registry.0.storage.has_repository(&name) {
        return Err(not_found("NAME_UNKNOWN", format!("there is no repository {}", name.repository())));
    }
    let mut tags: Vec<String> = registry.0.storage.tags(&name)?.iter().map(|tag| tag.as_str().to_owned()).collect();
    tags.extend(document.iter().flat_map(|document| &document.releases).map(|release| release.version.to_string()));
    tags.sort();
    if let Some(last) = &page.last {
        tags.retain(|tag| tag > last);
    }
    let n = page.n.unwrap_or(MAX_TAGS).min(MAX_TAGS);
    let more = tags.len() > n;
    tags.truncate(n);
    let link = match tags.last() {
        Some(last) if more => Some(format!("</v2/{}/tags/list?n={n}&last={last}>; rel=\"next\"", name.repository())),
        _ => None,
    };
    let body = Json(json!({"name": name.repository(), "tags": tags}));
    Ok(match link {
        Some(link) => ([(header::LINK, link)], body).into_response(),
        None => body.into_response(),
    })
}

/// `GET /v2/…/referrers/<digest>`: what refers to a manifest; empty where nothing does.
pub(crate) async fn referrers(
    State(registry): State<Registry>,
    Path((namespace, name, text)): Path<(String, String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let subject = digest(&text)?;
    let wanted = query.get("artifactType");
    let mut manifests = Vec::new();
    for digest in registry.0.storage.referrers(&name, &subject)? {
        let Some(bytes) = registry.0.storage.manifest(&name, &digest)? else { continue };
        let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&bytes) else { continue };
        if wanted.is_some_and(|wanted| wanted != manifest.kind()) {
            continue;
        }
        let mut content = Content::of(IMAGE_MANIFEST, &bytes);
        content.artifact_type = Some(manifest.kind().to_owned());
        content.annotations = manifest.annotations;
        manifests.push(content);
    }
    let body = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests});
    let mut answer = ([(header::CONTENT_TYPE, IMAGE_INDEX)], body.to_string()).into_response();
    if wanted.is_some() {
        answer.headers_mut().insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |text: &str, expect: Option<Result<(u64, u64), ()>>| assert_eq!(range(text, 10), expect, "{text}");
        check("bytes=0-3", Some(Ok((0, 3))));
        check("bytes=8-99", Some(Ok((8, 9))));
        check("bytes=4-", Some(Ok((4, 9))));
        check("bytes=-3", Some(Ok((7, 9))));
        check("bytes=-99", Some(Ok((0, 9))));
        check("bytes=-0", Some(Err(())));
        check("bytes=10-", Some(Err(())));
        check("bytes=5-2", Some(Err(())));
        check("bytes=0-1,3-4", None);
        check("items=0-1", None);
        check("bytes=99999999999999999999-", None);
    }
}
