//! Tags of a repository and referrers of a manifest, in pages.

use super::{Answer, digest, not_found, plugin_name};
use crate::Registry;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderValue, header},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::json;
use windlass_package::oci::{Content, IMAGE_INDEX, MAX_OCI_MANIFEST};

/// Most tags of one answer: a page.
pub const MAX_TAGS: usize = 1000;
/// Most referrers of one answer: a page.
pub const MAX_REFERRERS: usize = 1000;
/// Most annotations of one answer, in bytes: a client reads an index of at most this size.
const MAX_ANNOTATIONS: usize = MAX_OCI_MANIFEST as usize / 2;

/// How the list of tags is paged.
#[derive(Deserialize)]
pub(crate) struct TagPage {
    n: Option<usize>,
    last: Option<String>,
}

/// `GET /v2/…/tags/list`: versions and other tags, sorted as text, paged.
pub(crate) async fn tags(
    State(registry): State<Registry>,
    Path((namespace, name)): Path<(String, String)>,
    Query(page): Query<TagPage>,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let n = page.n.unwrap_or(MAX_TAGS).min(MAX_TAGS);
    let mut tags = registry.0.database.tags(&name, page.last.as_deref(), n + 1).await?;
    if tags.is_empty() && !registry.0.database.has_repository(&name).await? {
        return Err(not_found("NAME_UNKNOWN", format!("there is no repository {}", name.repository())));
    }
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

/// Which referrers are asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReferrerPage {
    artifact_type: Option<String>,
    last: Option<String>,
}

/// `GET /v2/…/referrers/<digest>`: what refers to a manifest; empty where nothing does.
pub(crate) async fn referrers(
    State(registry): State<Registry>,
    Path((namespace, name, text)): Path<(String, String, String)>,
    Query(page): Query<ReferrerPage>,
) -> Answer {
    let name = plugin_name(&namespace, &name)?;
    let subject = digest(&text)?;
    let last = page.last.as_deref().map(digest).transpose()?;
    let wanted = page.artifact_type.as_deref();
    let mut found = registry.0.database.referrers(&name, &subject, wanted, last.as_ref(), MAX_REFERRERS + 1).await?;
    let mut bytes = 0;
    let fitting = found
        .iter()
        .take(MAX_REFERRERS)
        .take_while(|referrer| {
            bytes += referrer.annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            bytes <= MAX_ANNOTATIONS
        })
        .count()
        // One at least, or there would be no next page.
        .max(1);
    let more = found.len() > fitting;
    found.truncate(fitting);
    let next = found.last().filter(|_| more).map(|last| last.digest);
    let manifests: Vec<Content> = found
        .into_iter()
        .map(|referrer| Content {
            media_type: referrer.media_type,
            digest: referrer.digest,
            size: referrer.size,
            artifact_type: referrer.artifact_type,
            annotations: referrer.annotations,
        })
        .collect();
    let body = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests});
    let mut answer = ([(header::CONTENT_TYPE, IMAGE_INDEX)], body.to_string()).into_response();
    if wanted.is_some() {
        answer.headers_mut().insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
    }
    if let Some(next) = next {
        let filter: String = wanted
            .map(|wanted| {
                format!(
                    "&{}",
                    url::form_urlencoded::Serializer::new(String::new()).append_pair("artifactType", wanted).finish()
                )
            })
            .unwrap_or_default();
        let link = format!("</v2/{}/referrers/{subject}?last={next}{filter}>; rel=\"next\"", name.repository());
        if let Ok(link) = link.parse() {
            answer.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(answer)
}
