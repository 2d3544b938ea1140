//! The distribution protocol of OCI, as a client speaks it: blobs, manifests, tags, referrers, and logging in.
//!
//! Plain HTTP calls of the specification, so that any OCI registry can hold the bytes. **Invariants.** What is asked for by
//! digest has that digest when it is returned. Credentials are those of this registry's host, and are sent to its origin
//! and to the realm that the user's configuration names, and to no other: not by a redirect, not to the realm of a
//! challenge.

use crate::{
    PackageError,
    credentials::Login,
    home::is_loopback,
    http::{Http, MAX_DOCUMENT, Progress},
    oci::{self, Content, ImageManifest},
};
use reqwest::{Method, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use url::Url;
use windlass_contract::Digest;

/// Most tags of one repository: some ten thousand versions.
pub(crate) const MAX_TAGS: usize = 10_000;
/// How often a download whose connection broke is taken up where it broke.
pub(crate) const MAX_RESUMES: usize = 3;
/// Most manifests that refer to one, that are looked at: a plugin has four.
pub(crate) const MAX_REFERRERS: usize = 200;

/// One OCI registry.
pub(crate) struct Distribution {
    http: Http,
    base: Url,
    login: Login,
    /// An origin that may see the login beside the registry's own.
    realm: Option<Url>,
    /// What the last challenge of the registry came to. A big body must not be sent without it: the refusal would come,
    /// and the connection be closed, before the body is read.
    authorisation: Mutex<Option<String>>,
}

/// An OCI index: a list of manifests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageIndex {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<Content>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Distribution {
    pub(crate) fn new(http: Http, base: Url, login: Login, realm: Option<Url>) -> Self {
        Distribution { http, base, login, realm, authorisation: Mutex::default() }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// A blob, of at most `limit` bytes. A connection that breaks is taken up where it broke.
    pub(crate) async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        what: &str,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, PackageError> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let mut bytes = Vec::new();
        for resumed in 0.. {
            let range = (!bytes.is_empty()).then(|| format!("bytes={}-", bytes.len()));
            let headers: Vec<_> = range.iter().map(|range| (header::RANGE, range.as_str())).collect();
            let response = self.call(Method::GET, self.url(&path), &headers, None).await?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(bytes.len()) && !bytes.is_empty() => {}
                StatusCode::OK => bytes.clear(),
                StatusCode::NOT_FOUND => return Err(self.missing(what)),
                _ => return Err(self.http.refused(response, format!("GET {path}")).await),
            }
            match self.http.body_into(&mut bytes, response, what, limit, progress).await {
                Ok(()) => break,
                Err(PackageError::Unreachable { .. }) if resumed < MAX_RESUMES => {}
                Err(error) => return Err(error),
            }
        }
        let found = Digest::of(&bytes);
        if found == *digest {
            return Ok(bytes);
        }
        Err(PackageError::DigestMismatch { name: what.to_owned(), what: "what was sent", expected: *digest, found })
    }

    fn missing(&self, what: &str) -> PackageError {
        PackageError::Answer {
            registry: self.http.registry().to_owned(),
            status: 404,
            request: format!("the request for {what}"),
            message: "it does not have it".to_owned(),
        }
    }

    /// A manifest by tag or digest, with its digest; `None` where there is none.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<(Vec<u8>, Digest)>, PackageError> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let accept = format!("{}, {}", oci::IMAGE_MANIFEST, oci::IMAGE_INDEX);
        let response = self.call(Method::GET, self.url(&path), &[(header::ACCEPT, &accept)], None).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.http.refused(response, format!("GET {path}")).await),
        }
        let bytes = self.http.body(response, &path, oci::MAX_OCI_MANIFEST).await?;
        let found = Digest::of(&bytes);
        match reference.parse::<Digest>() {
            Ok(expected) if expected != found => {
                Err(PackageError::DigestMismatch { name: path, what: "the manifest that was sent", expected, found })
            }
            _ => Ok(Some((bytes, found))),
        }
    }

    /// The tags of a repository; `None` where there is no such repository.
    pub(crate) async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>, PackageError> {
        #[derive(Deserialize)]
        struct Tags {
            /// Null where there are none, with some.
            tags: Option<Vec<String>>,
        }
        let path = format!("/v2/{repository}/tags/list");
        let mut url = self.url(&path);
        url.set_query(Some("n=1000"));
        let mut all = Vec::new();
        loop {
            let response = self.call(Method::GET, url.clone(), &[], None).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                _ => return Err(self.http.refused(response, format!("GET {path}")).await),
            }
            let next = next_page(&response).and_then(|next| url.join(&next).ok());
            let body = self.http.body(response, &path, MAX_DOCUMENT).await?;
            let page: Tags = serde_json::from_slice(&body).map_err(|error| self.http.bad(&path, error.to_string()))?;
            let page = page.tags.unwrap_or_default();
            let is_last = page.is_empty();
            all.extend(page);
            if all.len() > MAX_TAGS {
                return Err(self.http.bad(&path, format!("there are more than {MAX_TAGS} tags")));
            }
            match next {
                Some(next) if !is_last && next.origin() == self.base.origin() => url = next,
                _ => return Ok(Some(all)),
            }
        }
    }

    /// What refers to a manifest and is of a kind: by the referrers API, or by the tag that stands for it where the registry
    /// has no such API.
    pub(crate) async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
        kind: &str,
    ) -> Result<Vec<Content>, PackageError> {
        let path = format!("/v2/{repository}/referrers/{subject}");
        let response = self.call(Method::GET, self.url(&path), &[(header::ACCEPT, oci::IMAGE_INDEX)], None).await?;
        let list = match response.status() {
            StatusCode::OK => {
                let body = self.http.body(response, &path, oci::MAX_OCI_MANIFEST).await?;
                serde_json::from_slice(&body).map_err(|error| self.http.bad(&path, error.to_string()))?
            }
            StatusCode::NOT_FOUND => match self.fallback(repository, subject).await? {
                Some(index) => index,
                None => return Ok(Vec::new()),
            },
            _ => return Err(self.http.refused(response, format!("GET {path}")).await),
        };
        let found = list.manifests.into_iter().take(MAX_REFERRERS);
        Ok(found.filter(|each| each.artifact_type.as_deref() == Some(kind)).collect())
    }

    async fn fallback(&self, repository: &str, subject: &Digest) -> Result<Option<ImageIndex>, PackageError> {
        let tag = fallback_tag(subject);
        let Some((bytes, _)) = self.manifest(repository, &tag).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.http.bad(&tag, error.to_string()))
    }

    /// The contents of what refers to a manifest and is of a kind: each the only layer of its manifest, at most `limit` bytes.
    pub(crate) async fn attached(
        &self,
        repository: &str,
        subject: &Digest,
        kind: &str,
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, PackageError> {
        let mut contents = Vec::new();
        for each in self.referrers(repository, subject, kind).await? {
            let what = format!("what refers to {subject}");
            let Some((bytes, _)) = self.manifest(repository, &each.digest.to_string()).await? else { continue };
            let manifest: ImageManifest =
                serde_json::from_slice(&bytes).map_err(|error| self.http.bad(&what, error.to_string()))?;
            // A list says what it likes; what the manifest itself says of its subject is what counts.
            let is_about = manifest.subject.as_ref().is_some_and(|about| about.digest == *subject);
            if let ([layer], true) = (manifest.layers.as_slice(), is_about) {
                contents.push(self.blob(repository, &layer.digest, &what, limit, &crate::http::Silent).await?);
            }
        }
        Ok(contents)
    }

    /// Sends a blob, unless it is there.
    pub(crate) async fn push_blob(&self, repository: &str, blob: &[u8]) -> Result<(), PackageError> {
        let digest = Digest::of(blob);
        let url = self.url(&format!("/v2/{repository}/blobs/{digest}"));
        if self.call(Method::HEAD, url, &[], None).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.call(Method::POST, self.url(&path), &[], None).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.http.refused(response, format!("POST {path}")).await);
        }
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| self.base.join(location).ok())
            .filter(|location| location.origin() == self.base.origin());
        let Some(mut location) = location else {
            return Err(self.http.bad("an upload", "it names no place of its own"));
        };
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
        let response = self.call(Method::PUT, location, &kind, Some(blob)).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.http.refused(response, format!("PUT {path}")).await);
        }
        Ok(())
    }

    /// Sends a manifest under a tag or its digest. `true` when the registry keeps the list of what refers to its subject.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: &[u8],
    ) -> Result<bool, PackageError> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let kind = [(header::CONTENT_TYPE, media_type)];
        let response = self.call(Method::PUT, self.url(&path), &kind, Some(manifest)).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.http.refused(response, format!("PUT {path}")).await);
        }
        Ok(response.headers().contains_key("oci-subject"))
    }

    /// Sends manifests that refer to `subject`, and keeps the list of them by tag where the registry does not keep it.
    pub(crate) async fn push_referrers(
        &self,
        repository: &str,
        subject: &Digest,
        referrers: &[Vec<u8>],
    ) -> Result<(), PackageError> {
        let mut unlisted = Vec::new();
        for bytes in referrers {
            let digest = Digest::of(bytes);
            if !self.push_manifest(repository, &digest.to_string(), oci::IMAGE_MANIFEST, bytes).await? {
                let mut content = Content::of(oci::IMAGE_MANIFEST, bytes);
                content.artifact_type =
                    serde_json::from_slice::<ImageManifest>(bytes).ok().map(|manifest| manifest.kind().to_owned());
                unlisted.push(content);
            }
        }
        if unlisted.is_empty() {
            return Ok(());
        }
        let mut index = self.fallback(repository, subject).await?.unwrap_or(ImageIndex {
            schema_version: 2,
            media_type: Some(oci::IMAGE_INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
        });
        unlisted.retain(|new| !index.manifests.iter().any(|known| known.digest == new.digest));
        index.manifests.extend(unlisted);
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        self.push_manifest(repository, &fallback_tag(subject), oci::IMAGE_INDEX, &bytes).await.map(|_| ())
    }

    /// Sends a request with what the challenge before came to, if there was one; answers a new challenge once.
    async fn call(
        &self,
        method: Method,
        url: Url,
        headers: &[(header::HeaderName, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response, PackageError> {
        let known = || self.authorisation.lock().unwrap_or_else(PoisonError::into_inner);
        let mut authorisation = known().clone();
        let mut challenged = false;
        loop {
            let make = |client: &reqwest::Client| {
                let mut request = client.request(method.clone(), url.clone());
                for (name, value) in headers {
                    request = request.header(name, *value);
                }
                if let Some(bytes) = body {
                    request = request.body(bytes.to_vec());
                }
                match &authorisation {
                    Some(value) => request.header(header::AUTHORIZATION, value),
                    None => request,
                }
            };
            let response = match method {
                Method::GET | Method::HEAD => self.http.ask(make).await?,
                _ => self.http.tell(make).await?,
            };
            if response.status() != StatusCode::UNAUTHORIZED || challenged {
                return Ok(response);
            }
            challenged = true;
            let offered = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let offered: Vec<_> = offered.filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
            let Some(answer) = self.answer(&offered).await? else { return Ok(response) };
            *known() = Some(answer.clone());
            authorisation = Some(answer);
        }
    }

    /// The header that answers one of these challenges.
    async fn answer(&self, offered: &[Challenge]) -> Result<Option<String>, PackageError> {
        if let Some(challenge) = offered.iter().find(|each| each.scheme == Scheme::Bearer) {
            return self.bearer(challenge).await.map(|token| Some(format!("Bearer {token}")));
        }
        match offered.iter().find(|each| each.scheme == Scheme::Basic) {
            Some(_) => Ok(self.login.given().await?.basic()),
            None => Ok(None),
        }
    }

    /// Exchanges the login, or nothing, for a bearer token at the challenge's realm.
    async fn bearer(&self, challenge: &Challenge) -> Result<String, PackageError> {
        const WHAT: &str = "a token";
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            /// What registries that follow OAuth call it; some send both.
            access_token: Option<String>,
        }
        let mut realm = Url::parse(&challenge.realm).map_err(|_| self.http.bad(WHAT, "its realm is not a URL"))?;
        if realm.scheme() != "https" && !(realm.scheme() == "http" && is_loopback(&realm) && is_loopback(&self.base)) {
            return Err(self.http.bad(WHAT, "its realm is neither https nor on this machine"));
        }
        let may_see = realm.origin() == self.base.origin()
            || self.realm.as_ref().is_some_and(|named| named.origin() == realm.origin());
        let given = if may_see { self.login.given().await? } else { &crate::credentials::Given::Nothing };
        let asked = [("service", &challenge.service), ("scope", &challenge.scope)];
        let asked = asked.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let response = match given.refresh() {
            Some(refresh) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token").append_pair("client_id", "windlass");
                form.extend_pairs(asked).append_pair("refresh_token", &refresh);
                let (form, kind) = (form.finish(), "application/x-www-form-urlencoded");
                let make = |client: &reqwest::Client| {
                    client.post(realm.clone()).header(header::CONTENT_TYPE, kind).body(form.clone())
                };
                self.http.ask(make).await?
            }
            None => {
                realm.query_pairs_mut().extend_pairs(asked);
                let basic = given.basic();
                let make = |client: &reqwest::Client| match &basic {
                    Some(basic) => client.get(realm.clone()).header(header::AUTHORIZATION, basic),
                    None => client.get(realm.clone()),
                };
                self.http.ask(make).await?
            }
        };
        if response.status() != StatusCode::OK {
            return Err(self.http.refused(response, format!("GET {}", realm.path())).await);
        }
        let body = self.http.body(response, WHAT, MAX_DOCUMENT).await?;
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        answer
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| self.http.bad(WHAT, "it holds no token"))
    }
}

/// The tag that lists what refers to a manifest, where a registry has no referrers API.
fn fallback_tag(subject: &Digest) -> String {
    subject.to_string().replace(':', "-")
}

/// Where a partial answer says that it begins.
fn begins_at(response: &Response) -> Option<usize> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The address of the next page: `Link: </v2/…>; rel="next"`.
fn next_page(response: &Response) -> Option<String> {
    let link = response.headers().get(header::LINK)?.to_str().ok()?;
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| address.to_owned())
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Scheme {
    #[default]
    Bearer,
    Basic,
}

/// `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`, or `Basic realm="…"`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    scheme: Scheme,
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge { scheme: Scheme::Basic, ..Challenge::default() });
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut challenge = Challenge::default();
        while let Some((key, after)) = rest.trim_start_matches([' ', ',']).split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value.to_owned(),
                "service" => challenge.service = Some(value.to_owned()),
                "scope" => challenge.scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge {
                scheme: Scheme::Bearer,
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        let check = |header: &str, expect: Option<Challenge>| {
            assert_eq!(Challenge::parse(header), expect, "{header}");
        };
        check(
            "Bearer realm=\"https://a/token\",service=\"a\",scope=\"repository:x/y:pull,push\"",
            bearer("https://a/token", Some("a"), Some("repository:x/y:pull,push")),
        );
        check("bearer realm=https://a/token, service=a", bearer("https://a/token", Some("a"), None));
        check("Basic realm=\"x\"", Some(Challenge { scheme: Scheme::Basic, ..Challenge::default() }));
        check("Bearer service=\"a\"", None);
        check("Bearer realm=\"unclosed", None);
        check("Bearer", None);
        check("Negotiate", None);
        check("", None);
    }

    proptest::proptest! {
        #[test]
        fn challenges_never_panic(header in ".{0,200}") {
            let _ = Challenge::parse(&header);
        }
    }
}
