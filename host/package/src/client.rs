//! The HTTP client of one registry: index, search, blobs, pushing.
//!
//! Plain HTTP calls of the distribution specification, so that any OCI registry can hold the bytes; what the registry of a
//! namespace must have of its own is the index and the well-known document, both of which are static files.
//!
//! A token is sent to the registry it was given for, and to no other origin: not by a redirect, not to the realm of a
//! challenge, not to the OCI host that the well-known document names.

use crate::{
    Home, PackageError,
    files::{Mode, read_text, write_atomic},
    home::{RegistryUrl, is_loopback},
    manifest::MAX_COMPONENT,
    oci,
    release::{PublishRequest, Refusals, Release, SearchAnswer, WellKnown, only_grew, parse_index},
};
use reqwest::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use url::Url;
use windlass_contract::{Digest, PluginName, SecretValue};

/// How long to wait for a connection, in seconds: a registry that is there answers in less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent, in seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request may take in all, in seconds: the largest component at 256 KiB a second, so that a slow drip ends.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(260);
/// How long a registry may think about a publication in silence, in seconds: its gate compiles the component, which may
/// take 300, and two wait for each other.
const GATE_TIMEOUT: Duration = Duration::from_secs(660);
/// How many redirects are followed: a registry and its content network need two.
const MAX_REDIRECTS: usize = 5;
/// Largest index document of one plugin, in bytes: some ten thousand versions.
const MAX_INDEX: u64 = 8 * 1024 * 1024;
/// Largest other document, in bytes.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// A registry, as a client sees it.
pub struct Registry {
    url: RegistryUrl,
    http: reqwest::Client,
    token: Option<SecretValue>,
    cache: PathBuf,
    /// The bearer token of the last challenge of the registry itself. A big body must not be sent without it: the refusal
    /// would come, and the connection be closed, before the body is read.
    bearer: Mutex<Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    etag: String,
    body: String,
}

/// `silence`: how long the registry may say nothing.
fn client(url: &RegistryUrl, silence: Duration) -> Result<reqwest::Client, PackageError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(silence)
        .timeout(TOTAL_TIMEOUT.max(silence))
        .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS));
    if url.is_local() {
        // A proxy cannot reach this machine's loopback.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| PackageError::Unreachable { registry: url.to_string(), why: error.to_string() })
}

impl Registry {
    /// A client for the registry at `url`. `token` is needed to push only.
    ///
    /// # Errors
    /// When no TLS configuration can be made.
    pub fn new(home: &Home, url: RegistryUrl, token: Option<SecretValue>) -> Result<Self, PackageError> {
        // Fails when a provider is there already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = client(&url, READ_TIMEOUT)?;
        let cache = home.index_cache().join(&hex::encode(Sha256::digest(url.to_string()))[..16]);
        Ok(Registry { url, http, token, cache, bearer: Mutex::default() })
    }

    /// The registry of a plugin's namespace.
    ///
    /// # Errors
    /// When none is configured.
    pub fn of(home: &Home, name: &PluginName) -> Result<Self, PackageError> {
        Registry::new(home, home.registry_of(name.namespace())?, None)
    }

    /// Its address.
    pub fn url(&self) -> &RegistryUrl {
        &self.url
    }

    fn unreachable(&self, error: &reqwest::Error) -> PackageError {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            why = inner.to_string();
            source = inner.source();
        }
        PackageError::Unreachable { registry: self.url.to_string(), why }
    }

    fn bad(&self, what: &str, why: impl Into<String>) -> PackageError {
        PackageError::BadAnswer { registry: self.url.to_string(), what: what.to_owned(), why: why.into() }
    }

    /// The body of an answer, at most `limit` bytes of it whatever its headers say.
    async fn body(&self, mut response: reqwest::Response, what: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(self.bad(what, format!("it is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The error that an answer of an unexpected status is.
    async fn refused(&self, response: reqwest::Response, request: String) -> PackageError {
        let status = response.status().as_u16();
        let body = self.body(response, &request, MAX_DOCUMENT).await.unwrap_or_default();
        let message = match serde_json::from_slice::<Refusals>(&body) {
            Ok(refusals) => refusals.errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        PackageError::Answer { registry: self.url.to_string(), status, request, message: presentable(&message) }
    }

    async fn get_json<T: serde::de::DeserializeOwned>(&self, url: Url, what: &str) -> Result<T, PackageError> {
        let request = format!("GET {}", url.path());
        let response = self.http.get(url).send().await.map_err(|error| self.unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, request).await);
        }
        let body = self.body(response, what, MAX_INDEX).await?;
        serde_json::from_slice(&body).map_err(|error| self.bad(what, error.to_string()))
    }

    /// Searches. An empty query lists all.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn search(&self, query: &str) -> Result<SearchAnswer, PackageError> {
        let mut url = self.url.join("/api/v1/search");
        url.query_pairs_mut().append_pair("q", query);
        let mut answer: SearchAnswer = self.get_json(url, "a search").await?;
        // Shown on a terminal; what the registry sends is not trusted to be clean.
        for plugin in &mut answer.plugins {
            plugin.summary = presentable(&plugin.summary);
        }
        Ok(answer)
    }

    /// Every release of a plugin, oldest first. Asks the registry, which answers "not modified" for what is known.
    ///
    /// # Errors
    /// When the registry does not answer, does not know the plugin, or went back on what it had published.
    pub async fn releases(&self, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        let what = format!("the index of {name}");
        let file = self.cache.join(name.namespace()).join(format!("{}.json", name.name()));
        // A cache that cannot be read is no cache.
        let cached = read_text(&file)?.and_then(|text| serde_json::from_str::<Cached>(&text).ok());
        let known = cached.as_ref().and_then(|cached| parse_index(name, &cached.body).ok());
        let mut request = self.http.get(self.url.join(&format!("/index/{}", name.repository())));
        if let (Some(cached), Some(_)) = (&cached, &known) {
            request = request.header(header::IF_NONE_MATCH, &cached.etag);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match (response.status(), known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => Ok(known),
            (StatusCode::NOT_FOUND, None) => {
                Err(PackageError::UnknownPlugin { registry: self.url.to_string(), name: name.clone() })
            }
            (StatusCode::NOT_FOUND, Some(_)) => Err(PackageError::Rollback {
                registry: self.url.to_string(),
                name: name.clone(),
                why: "the plugin is gone".to_owned(),
            }),
            (StatusCode::OK, known) => {
                let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
                let body = self.body(response, &what, MAX_INDEX).await?;
                let body = String::from_utf8(body).map_err(|_| self.bad(&what, "it is not UTF-8"))?;
                let releases = parse_index(name, &body).map_err(|why| self.bad(&what, why))?;
                only_grew(known.as_deref().unwrap_or_default(), &releases).map_err(|why| PackageError::Rollback {
                    registry: self.url.to_string(),
                    name: name.clone(),
                    why,
                })?;
                let text = serde_json::to_vec(&Cached { etag, body }).unwrap_or_default();
                write_atomic(&file, &text, Mode::Shared)?;
                Ok(releases)
            }
            _ => Err(self.refused(response, format!("GET /index/{}", name.repository())).await),
        }
    }

    /// Where the bytes are: the OCI registry's base URL and the prefix of its repositories.
    async fn oci(&self) -> Result<(Url, String), PackageError> {
        const WHAT: &str = "/.well-known/wasm-pkg/registry.json";
        let known: WellKnown = self.get_json(self.url.join(WHAT), WHAT).await?;
        let host = &known.oci.registry;
        // The registry itself is reached as it was configured; another host by https, or by http on this machine.
        let same = self.url.url().host_str().is_some_and(|own| match self.url.url().port() {
            Some(port) => *host == format!("{own}:{port}"),
            None => host == own,
        });
        let url = if same {
            self.url.url().clone()
        } else {
            let local = Url::parse(&format!("http://{host}")).ok().filter(is_loopback).is_some() && self.url.is_local();
            let address = format!("{}://{host}", if local { "http" } else { "https" });
            let url: RegistryUrl = address.parse().map_err(|_| self.bad(WHAT, format!("{host:?} is not a host")))?;
            url.url().clone()
        };
        let prefix = known.oci.namespace_prefix;
        let sound = prefix.is_empty()
            || prefix.strip_suffix('/').is_some_and(|p| p.parse::<windlass_contract::ArtifactKey>().is_ok());
        if sound {
            Ok((url, prefix))
        } else {
            Err(self.bad(WHAT, format!("{prefix:?} is not a prefix of repositories")))
        }
    }

    /// The bytes of a release's component: fetched by digest, and only ever returned when they have it.
    ///
    /// # Errors
    /// When they cannot be had, or are not what the index says.
    pub async fn component(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        let what = format!("the component of {}@{}", release.name, release.version);
        if release.size > MAX_COMPONENT {
            return Err(PackageError::TooLarge { what, size: release.size, limit: MAX_COMPONENT });
        }
        let (base, prefix) = self.oci().await?;
        let path = format!("/v2/{prefix}{}/blobs/{}", release.name.repository(), release.digest);
        let mut url = base;
        url.set_path(&path);
        let response = self.authorised(Method::GET, url, None).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, format!("GET {path}")).await);
        }
        let bytes = self.body(response, &what, release.size).await?;
        let found = Digest::of(&bytes);
        if found != release.digest {
            return Err(PackageError::DigestMismatch {
                name: format!("{}@{}", release.name, release.version),
                what: "the component that the registry sent",
                expected: release.digest,
                found,
            });
        }
        Ok(bytes)
    }

    /// Sends a request with the token of the challenge before, if there was one; answers a new challenge once. `body` is a
    /// media type and the bytes.
    async fn authorised(
        &self,
        method: Method,
        url: Url,
        body: Option<(&str, &[u8])>,
    ) -> Result<reqwest::Response, PackageError> {
        let is_own = url.origin() == self.url.url().origin();
        let known = || self.bearer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bearer = if is_own { known().clone() } else { None };
        let mut challenged = false;
        loop {
            let mut request = self.http.request(method.clone(), url.clone());
            if let Some((media_type, bytes)) = body {
                request = request.header(header::CONTENT_TYPE, media_type).body(bytes.to_vec());
            }
            if let Some(bearer) = &bearer {
                request = request.bearer_auth(bearer);
            }
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            if response.status() != StatusCode::UNAUTHORIZED || challenged {
                return Ok(response);
            }
            challenged = true;
            let challenge = response
                .headers()
                .get(header::WWW_AUTHENTICATE)
                .and_then(|v| v.to_str().ok())
                .and_then(Challenge::parse);
            match challenge {
                Some(challenge) => {
                    let given = self.bearer(&url, &challenge).await?;
                    if is_own {
                        *known() = Some(given.clone());
                    }
                    bearer = Some(given);
                }
                None => return Ok(response),
            }
        }
    }

    /// Exchanges the token, or nothing, for a bearer token at the challenge's realm.
    async fn bearer(&self, asked: &Url, challenge: &Challenge) -> Result<String, PackageError> {
        const WHAT: &str = "a token";
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            /// What registries that follow OAuth call it; some send both.
            access_token: Option<String>,
        }
        let mut realm = Url::parse(&challenge.realm).map_err(|_| self.bad(WHAT, "its realm is not a URL"))?;
        if realm.scheme() != "https" && !(realm.scheme() == "http" && is_loopback(&realm) && is_loopback(asked)) {
            return Err(self.bad(WHAT, "its realm is neither https nor on this machine"));
        }
        for (key, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                realm.query_pairs_mut().append_pair(key, value);
            }
        }
        let mut request = self.http.get(realm.clone());
        let own = self.url.url().origin();
        if let (Some(token), true) = (&self.token, realm.origin() == own && asked.origin() == own) {
            request = request.basic_auth("token", Some(String::from_utf8_lossy(token.expose())));
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, format!("GET {}", realm.path())).await);
        }
        let body = self.body(response, WHAT, MAX_DOCUMENT).await?;
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        answer
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| self.bad(WHAT, "it holds no token"))
    }

    /// Pushes a package and asks the gate to make it a version. Answers with the line that is now in the index.
    ///
    /// # Errors
    /// [`PackageError::Refused`] with the gate's reasons, or when the registry does not answer.
    pub async fn publish(
        &self,
        name: &PluginName,
        package: &oci::Package,
        request: &PublishRequest,
    ) -> Result<Release, PackageError> {
        let Some(token) = &self.token else { return Err(PackageError::NoToken { registry: self.url.to_string() }) };
        let repository = name.repository();
        for blob in &package.blobs {
            self.push_blob(&repository, blob).await?;
        }
        for manifest in std::iter::once(&package.manifest).chain(&package.referrers) {
            let path = format!("/v2/{repository}/manifests/{}", Digest::of(manifest));
            let body = Some((oci::IMAGE_MANIFEST, manifest.as_slice()));
            let response = self.authorised(Method::PUT, self.url.join(&path), body).await?;
            if response.status() != StatusCode::CREATED {
                return Err(self.refused(response, format!("PUT {path}")).await);
            }
        }
        let response = client(&self.url, GATE_TIMEOUT)?
            .post(self.url.join("/api/v1/publish"))
            .bearer_auth(String::from_utf8_lossy(token.expose()))
            .json(request)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => {
                let body = self.body(response, "a publication", MAX_DOCUMENT).await?;
                serde_json::from_slice(&body).map_err(|error| self.bad("a publication", error.to_string()))
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::FORBIDDEN => {
                let body = self.body(response, "a refusal", MAX_DOCUMENT).await?;
                let refusals: Refusals =
                    serde_json::from_slice(&body).map_err(|error| self.bad("a refusal", error.to_string()))?;
                let word = |refusal: crate::release::Refusal| {
                    let help = refusal.help.map(|help| format!(" ({help})")).unwrap_or_default();
                    presentable(&format!("{} {}{help}", refusal.code, refusal.message))
                };
                let version = request.version.parse().unwrap_or(semver::Version::new(0, 0, 0));
                Err(PackageError::Refused {
                    name: name.clone(),
                    version,
                    reasons: refusals.errors.into_iter().map(word).collect(),
                })
            }
            _ => Err(self.refused(response, "POST /api/v1/publish".to_owned()).await),
        }
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) -> Result<(), PackageError> {
        let digest = Digest::of(blob);
        let url = self.url.join(&format!("/v2/{repository}/blobs/{digest}"));
        if self.authorised(Method::HEAD, url, None).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.authorised(Method::POST, self.url.join(&path), None).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused(response, format!("POST {path}")).await);
        }
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| self.url.url().join(location).ok())
            .filter(|location| location.origin() == self.url.url().origin());
        let Some(mut location) = location else { return Err(self.bad("an upload", "it names no place of its own")) };
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        let body = Some(("application/octet-stream", blob));
        let response = self.authorised(Method::PUT, location, body).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.refused(response, format!("PUT {path}")).await);
        }
        Ok(())
    }
}

/// Text from a registry as it may be shown: without control characters, at most 500 characters.
fn presentable(text: &str) -> String {
    let text: String = text.chars().map(|c| if crate::manifest::is_deceptive(c) { ' ' } else { c }).take(500).collect();
    text.trim().to_owned()
}

/// `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.split_once(' ')?;
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
        let check = |header: &str, expect: Option<(&str, Option<&str>, Option<&str>)>| {
            let expect = expect.map(|(realm, service, scope)| Challenge {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            });
            assert_eq!(Challenge::parse(header), expect, "{header}");
        };
        check(
            "Bearer realm=\"https://a/token\",service=\"a\",scope=\"repository:x/y:pull,push\"",
            Some(("https://a/token", Some("a"), Some("repository:x/y:pull,push"))),
        );
        check("bearer realm=https://a/token, service=a", Some(("https://a/token", Some("a"), None)));
        check("Bearer service=\"a\"", None);
        check("Basic realm=\"x\"", None);
        check("Bearer realm=\"unclosed", None);
        check("Bearer", None);
        check("", None);
    }

    #[test]
    fn what_a_registry_says_is_shown_without_escapes() {
        assert_eq!(presentable("\u{1b}[31mred\u{202e}\n"), "[31mred");
        assert_eq!(presentable(&"x".repeat(1000)).len(), 500);
    }

    proptest::proptest! {
        #[test]
        fn challenges_never_panic(header in ".{0,200}") {
            let _ = Challenge::parse(&header);
        }
    }
}
