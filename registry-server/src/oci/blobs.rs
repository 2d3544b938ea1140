//! Blobs: reading them whole and in part, and deleting what nothing needs.

use super::{Answer, digest, not_found, plugin_name, withheld};
use crate::{
    Registry,
    accounts::{Action, Namespace},
    auth::Client,
    error::OciError,
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::IntoResponse,
};

type BlobPath = Path<(String, String, String)>;

/// `GET` and `HEAD /v2/…/blobs/<digest>`, with ranges.
pub(crate) async fn get(
    State(registry): State<Registry>,
    Path((namespace, name, text)): BlobPath,
    method: Method,
    client: Client,
    headers: HeaderMap,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let digest = digest(&text)?;
    if registry.0.index.is_withheld(&digest) {
        return Err(withheld(digest));
    }
    let unknown = || not_found("BLOB_UNKNOWN", format!("there is no blob {digest}"));
    let size = registry.0.blobs.size(&digest).await?.ok_or_else(unknown)?;
    let etag = format!("\"{digest}\"");
    let common = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES.as_str(), "bytes".to_owned()),
        (header::CACHE_CONTROL.as_str(), "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG.as_str(), etag.clone()),
        ("docker-content-digest", digest.to_string()),
    ];
    let text = |field: header::HeaderName| headers.get(field).and_then(|value| value.to_str().ok());
    if crate::api::is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    // A range of something else is not wanted.
    let if_range = text(header::IF_RANGE).is_none_or(|wanted| wanted == etag);
    let range = text(header::RANGE).filter(|_| if_range).and_then(|text| range(text, size));
    let (status, first, last) = match range {
        None => (StatusCode::OK, 0, size.saturating_sub(1)),
        Some(Ok((first, last))) => (StatusCode::PARTIAL_CONTENT, first, last),
        Some(Err(())) => {
            let length = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            let error =
                OciError::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "the range is outside the blob");
            return Ok((length, error.into_response()).into_response());
        }
    };
    let length = if size == 0 { 0 } else { last - first + 1 };
    let body = match length {
        0 => Body::empty(),
        _ if method == Method::HEAD => Body::empty(),
        _ => Body::from_stream(registry.0.blobs.open(&digest, first, last).await?.ok_or_else(unknown)?),
    };
    if method == Method::GET && first == 0 {
        registry.0.downloads.count(&name, digest, client.ip, jiff::Timestamp::now());
    }
    let length = [(header::CONTENT_LENGTH, length.to_string())];
    Ok(match status {
        StatusCode::PARTIAL_CONTENT => {
            let range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"))];
            (status, common, length, range, body).into_response()
        }
        _ => (status, common, length, body).into_response(),
    })
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

/// `DELETE /v2/…/blobs/<digest>`: what no manifest needs, and nobody else has just pushed.
pub(crate) async fn delete(
    State(registry): State<Registry>,
    Path((namespace, name, text)): BlobPath,
    client: Client,
) -> Answer {
    let (name, digest) = (plugin_name(&namespace, &name)?, digest(&text)?);
    let namespace = Namespace::of(&name);
    registry
        .permit(&client, Action::Delete, &namespace, Some(format!("repository:{}:delete", name.repository())))
        .await?;
    // Nobody puts a manifest meanwhile that needs it.
    let _nobody_puts = registry.0.collection.write().await;
    if registry.0.blobs.size(&digest).await?.is_none() {
        return Err(not_found("BLOB_UNKNOWN", format!("there is no blob {digest}")));
    }
    let denied = |message: &str| OciError::new(StatusCode::FORBIDDEN, "DENIED", message);
    if registry.0.database.is_needed(&digest).await? {
        return Err(denied(
            "a manifest needs this blob; delete that first, unless it is a version's, which never goes",
        ));
    }
    if registry.0.database.is_pushed_by_others(&digest, &namespace).await? {
        return Err(denied("another namespace has just pushed this blob too; it goes by itself when nobody needs it"));
    }
    registry.0.blobs.delete(&digest).await?;
    Ok(StatusCode::ACCEPTED.into_response())
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
