//! Manifests: images, indexes, and what they may name.

use super::{Answer, digest, not_found, plugin_name, withheld};
use crate::{
    Registry,
    accounts::{Action, Namespace},
    auth::{Caller, Client},
    database::{Deleted, Put, StoredManifest},
    error::OciError,
    limits::Limited,
    names,
    storage::Tag,
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{Digest, PluginName};
use windlass_package::oci::{Content, IMAGE_INDEX, IMAGE_MANIFEST, ImageManifest, MAX_OCI_MANIFEST};

type ManifestPath = Path<(String, String, String)>;

/// What a manifest is asked by.
enum Reference {
    Digest(Digest),
    Tag(Tag),
}

fn reference(text: &str) -> Result<Reference, OciError> {
    if text.contains(':') {
        return Ok(Reference::Digest(digest(text)?));
    }
    text.parse().map(Reference::Tag).map_err(|()| {
        OciError::new(StatusCode::BAD_REQUEST, "TAG_INVALID", "a tag has 1 to 128 letters, digits, '.', '_' and '-'")
    })
}

/// `GET` and `HEAD /v2/…/manifests/<tag or digest>`.
pub(crate) async fn get(
    State(registry): State<Registry>,
    Path((namespace, name, text)): ManifestPath,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let unknown = || not_found("MANIFEST_UNKNOWN", format!("{name} has no manifest {text}"));
    let digest = match reference(&text)? {
        Reference::Digest(digest) => digest,
        Reference::Tag(tag) => registry.0.database.tag(&name, &tag).await?.ok_or_else(unknown)?,
    };
    if registry.0.index.is_withheld(&digest) {
        return Err(withheld(format_args!("{name}@{text}")));
    }
    let (media_type, body) = registry.0.database.manifest(&name, &digest).await?.ok_or_else(unknown)?;
    let etag = format!("\"{digest}\"");
    let known = crate::api::is_known(&headers, &etag);
    let common = [
        (header::CONTENT_TYPE.as_str(), media_type),
        (header::ETAG.as_str(), etag),
        ("docker-content-digest", digest.to_string()),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, body).into_response())
}

/// `PUT /v2/…/manifests/<tag or digest>`.
pub(crate) async fn put(
    State(registry): State<Registry>,
    Path((namespace, name, text)): ManifestPath,
    headers: HeaderMap,
    client: Client,
    body: Body,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let caller = registry.writer(&client, &name).await?;
    let reference = reference(&text)?;
    let bytes = axum::body::to_bytes(body, MAX_OCI_MANIFEST as usize).await.map_err(|_| {
        let message = format!("a manifest has at most {MAX_OCI_MANIFEST} bytes, and as many as it says");
        OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    })?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Nothing that it needs is collected between the check and the row.
    let _nothing_goes = registry.0.collection.read().await;
    let manifest = check(&registry, &name, bytes, content_type).await?;
    let found = manifest.digest;
    let tag = match &reference {
        Reference::Digest(digest) if *digest != found => {
            let message = format!("the manifest has the digest {found}, not {digest}");
            return Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
        }
        Reference::Digest(_) => None,
        Reference::Tag(tag) => Some(tag),
    };
    match keep(&registry, &name, &manifest, tag, &caller).await? {
        Put::Done => {}
        Put::VersionIsOther => {
            let message = format!("{name}@{text} is there with other content, and a version never changes");
            return Err(OciError::new(StatusCode::CONFLICT, "DENIED", message));
        }
    }
    let mut answer = (
        StatusCode::CREATED,
        [
            (header::LOCATION.as_str(), format!("/v2/{}/manifests/{found}", name.repository())),
            ("docker-content-digest", found.to_string()),
        ],
    )
        .into_response();
    if let Some(subject) = manifest.subject.and_then(|subject| subject.to_string().parse().ok()) {
        answer.headers_mut().insert("oci-subject", subject);
    }
    Ok(answer)
}

/// Keeps a manifest. The first one makes the repository, and with it a name that must not be too like another.
async fn keep(
    registry: &Registry,
    name: &PluginName,
    manifest: &StoredManifest,
    tag: Option<&Tag>,
    caller: &Caller,
) -> Result<Put, OciError> {
    let is_version = tag.is_some_and(|tag| tag.as_str().parse::<semver::Version>().is_ok());
    if is_version {
        registry.count(Limited::NewVersion, caller)?;
    }
    if registry.0.database.has_repository(name).await? {
        return Ok(registry.0.database.put_manifest(name, manifest, tag, &caller.by).await?);
    }
    // One at a time, so that two new names see each other.
    let _door = registry.0.door.lock().await;
    if let Some(other) = names::too_like(name, &registry.0.database.names().await?) {
        let message = format!(
            "the name {name} is too like {other}, which is there already: choose a name that nobody takes for the other"
        );
        return Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message));
    }
    registry.count(Limited::NewPackage, caller)?;
    Ok(registry.0.database.put_manifest(name, manifest, tag, &caller.by).await?)
}

/// What an index of images must say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex {
    schema_version: u32,
    artifact_type: Option<String>,
    manifests: Vec<Content>,
    subject: Option<Content>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Parses a manifest, and looks whether all that it names is here, and as large as it says. Its subject need not be here.
async fn check(
    registry: &Registry,
    name: &PluginName,
    body: Bytes,
    content_type: Option<&str>,
) -> Result<StoredManifest, OciError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    let invalid = |message: String| OciError::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    let typed: Typed = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    let known = |text: &str| [IMAGE_MANIFEST, IMAGE_INDEX].into_iter().find(|known| *known == text);
    let sent = content_type.and_then(known);
    let media_type = match typed.media_type.as_deref() {
        None => sent.unwrap_or(IMAGE_MANIFEST),
        Some(text) => known(text)
            .ok_or_else(|| invalid("it is neither an image manifest nor an image index of the OCI".to_owned()))?,
    };
    if sent.is_some_and(|sent| sent != media_type) {
        return Err(invalid(format!(
            "it was sent as {} and says that it is {media_type}",
            content_type.unwrap_or_default()
        )));
    }
    let digest = Digest::of(&body);
    let of_version_2 = |version: u32| match version {
        2 => Ok(()),
        _ => Err(invalid(format!("its schemaVersion is {version}, not 2"))),
    };
    if media_type == IMAGE_INDEX {
        let index: ImageIndex = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
        of_version_2(index.schema_version)?;
        for content in &index.manifests {
            if registry.0.database.manifest(name, &content.digest).await?.is_none() {
                let message = format!("the manifest {} was not pushed", content.digest);
                return Err(not_found("MANIFEST_BLOB_UNKNOWN", message));
            }
        }
        return Ok(StoredManifest {
            digest,
            media_type: media_type.to_owned(),
            artifact_type: index.artifact_type,
            subject: index.subject.map(|subject| subject.digest),
            annotations: index.annotations,
            parts: index.manifests.iter().map(|content| content.digest).collect(),
            body,
        });
    }
    let image: ImageManifest = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    of_version_2(image.schema_version)?;
    let mut parts = BTreeSet::new();
    for content in std::iter::once(&image.config).chain(&image.layers) {
        registry.0.blobs.touch(&content.digest).await?;
        match registry.0.blobs.size(&content.digest).await? {
            None => {
                return Err(not_found("MANIFEST_BLOB_UNKNOWN", format!("the blob {} was not pushed", content.digest)));
            }
            Some(size) if size != content.size => {
                return Err(invalid(format!("the blob {} has {size} bytes, not {}", content.digest, content.size)));
            }
            Some(_) => parts.insert(content.digest),
        };
    }
    Ok(StoredManifest {
        digest,
        media_type: media_type.to_owned(),
        artifact_type: Some(image.kind().to_owned()),
        subject: image.subject.map(|subject| subject.digest),
        annotations: image.annotations,
        parts,
        body,
    })
}

/// `DELETE /v2/…/manifests/<tag or digest>`: what no version needs.
pub(crate) async fn delete(
    State(registry): State<Registry>,
    Path((namespace, name, text)): ManifestPath,
    client: Client,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let reference = reference(&text)?;
    let scope = format!("repository:{}:delete", name.repository());
    let caller = registry.permit(&client, Action::Delete, &Namespace::of(&name), Some(scope)).await?;
    let deleted = match &reference {
        Reference::Digest(digest) => registry.0.database.delete_manifest(&name, digest, &caller.by).await?,
        Reference::Tag(tag) => registry.0.database.delete_tag(&name, tag, &caller.by).await?,
    };
    match deleted {
        Deleted::Gone => Ok(StatusCode::ACCEPTED.into_response()),
        Deleted::Unknown => Err(not_found("MANIFEST_UNKNOWN", format!("{name} has no manifest {text}"))),
        Deleted::OfVersion => {
            let message =
                "it belongs to a version, and a version never goes: yank it, so that nobody chooses it any more";
            Err(OciError::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message))
        }
        Deleted::Needed => {
            let message = "an image index needs this manifest; delete that first";
            Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message))
        }
    }
}
