//! A registry of plugins, as a client sees it: its index, its bytes, its search, and publishing.
//!
//! What the registry of a namespace must have of its own is the index, its snapshot and the well-known document, all of
//! which are static files; the bytes are in any OCI registry.
//!
//! Its mirrors are asked before it, for documents and for bytes, and trusted with nothing: what they give is held against
//! what the registry itself signed. One that does not answer, or is behind, is passed over; one that gives other bytes than
//! it should is an error, as everywhere.

use crate::{
    Home, PackageError,
    config::{Origin, RegistryUrl},
    endpoint::{Endpoint, Web},
    http::{Http, MAX_DOCUMENT, Patience, Progress, Silent, presentable},
    index::{Index, MAX_INDEX},
    manifest::MAX_COMPONENT,
    market::{Hit, PluginPage, SearchAnswer, SearchQuery},
    oci,
    release::{PublishRequest, Refusals, Release},
};
use reqwest::{Response, StatusCode};
use serde_json::json;
use std::{path::Path, sync::atomic::Ordering};
use windlass_contract::{Digest, PluginName, SecretValue};

/// A registry, as a client sees it.
pub struct Registry {
    url: RegistryUrl,
    index: Index,
    /// The mirrors in the order of the configuration, and the registry itself last; or only a vendored folder.
    endpoints: Vec<Endpoint>,
    token: Option<SecretValue>,
    home: Home,
}

impl Registry {
    /// A client for the registry at `url`. `token` is needed to push only.
    ///
    /// # Errors
    /// When no TLS configuration can be made, or a mirror's address is not one.
    pub fn new(home: &Home, url: RegistryUrl, token: Option<SecretValue>) -> Result<Self, PackageError> {
        let mut endpoints = Vec::new();
        for mirror in home.mirrors_of(&url)? {
            endpoints.push(Endpoint::web(home, mirror, None)?);
        }
        endpoints.push(Endpoint::web(home, url.clone(), token.clone())?);
        let index = Index::new(home, url.to_string(), url.is_local());
        Ok(Registry { url, index, endpoints, token, home: home.clone() })
    }

    /// What `windlass vendor` kept of an origin in the folder `vendor`.
    pub(crate) fn vendored(home: &Home, origin: &Origin, vendor: &Path) -> Self {
        // Of a plain OCI registry there is no snapshot; what is in the folder was verified, and is verified again.
        let may_lack_snapshot = origin.url().is_local() || matches!(origin, Origin::Oci { .. });
        Registry {
            url: origin.url().clone(),
            index: Index::new(home, origin.to_string(), may_lack_snapshot),
            endpoints: vec![Endpoint::folder(vendor, origin)],
            token: None,
            home: home.clone(),
        }
    }

    /// The registry of a plugin's namespace.
    ///
    /// # Errors
    /// When none is configured, or it is a plain OCI registry.
    pub fn of(home: &Home, name: &PluginName) -> Result<Self, PackageError> {
        Registry::new(home, home.registry_of(name.namespace())?, None)
    }

    /// Its address.
    pub fn url(&self) -> &RegistryUrl {
        &self.url
    }

    /// The registry itself, which only a vendored copy has not.
    fn itself(&self) -> Result<&Web, PackageError> {
        self.endpoints.last().and_then(Endpoint::as_web).ok_or_else(|| PackageError::Unreachable {
            registry: self.url.to_string(),
            why: "everything comes from a vendored folder".to_owned(),
        })
    }

    /// Searches: one page.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchAnswer, PackageError> {
        let url = self.url.join("/api/v1/search");
        let mut answer: SearchAnswer = self.itself()?.query(url, query, "a search", MAX_INDEX).await?;
        // Shown on a terminal; what the registry sends is not trusted to be clean.
        let clean = |texts: &mut [String]| texts.iter_mut().for_each(|text| *text = presentable(text));
        for hit in &mut answer.hits {
            match hit {
                Hit::Plugin(card) => {
                    card.summary = presentable(&card.summary);
                    clean(&mut card.steps);
                }
                Hit::Native(card) => {
                    card.summary = presentable(&card.summary);
                    card.version = presentable(&card.version);
                    clean(&mut card.steps);
                }
            }
        }
        answer.did_you_mean = answer.did_you_mean.map(|word| presentable(&word));
        Ok(answer)
    }

    /// A plugin's page. What is HTML in it was made safe by the registry, which is not trusted with that: make it safe again.
    ///
    /// # Errors
    /// When the registry does not answer, or does not know the plugin.
    pub async fn page(&self, name: &PluginName) -> Result<PluginPage, PackageError> {
        let url = self.url.join(&format!("/api/v1/plugins/{}/{}", name.namespace(), name.name()));
        let answer = self.itself()?.query::<PluginPage>(url, &(), "a plugin's page", MAX_INDEX).await;
        match answer {
            Err(PackageError::Answer { registry, status: 404, .. }) => {
                Err(PackageError::UnknownPlugin { registry, name: name.clone() })
            }
            Ok(page) if page.name != *name => Err(PackageError::BadAnswer {
                registry: self.url.to_string(),
                what: format!("the page of {name}"),
                why: format!("it is that of {}", page.name),
            }),
            other => other,
        }
    }

    /// Every release of a plugin, oldest first. Asks the registry, which answers "not modified" for what is known.
    ///
    /// # Errors
    /// When the registry does not answer, does not know the plugin, or went back on what it had published.
    pub async fn releases(&self, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        // Whose key is seen first must be the registry's own: a mirror could show any.
        if self.home.seen(&self.url.to_string())?.is_none()
            && let Some(itself) = self.endpoints.last()
        {
            return self.index.releases(itself, name).await;
        }
        self.the_first(async |endpoint| self.index.releases(endpoint, name).await).await
    }

    /// What the first endpoint that can gives.
    async fn the_first<T>(&self, ask: impl AsyncFn(&Endpoint) -> Result<T, PackageError>) -> Result<T, PackageError> {
        let Some((itself, mirrors)) = self.endpoints.split_last() else {
            return Err(PackageError::NoRegistry { namespace: self.url.to_string() });
        };
        for mirror in mirrors.iter().filter(|mirror| !mirror.is_away.load(Ordering::Relaxed)) {
            let answer = ask(mirror).await;
            mirror.is_away.fetch_or(matches!(answer, Err(PackageError::Unreachable { .. })), Ordering::Relaxed);
            match answer {
                // It is away, or behind: the registry itself knows.
                Err(
                    PackageError::Unreachable { .. }
                    | PackageError::Answer { .. }
                    | PackageError::Stale { .. }
                    | PackageError::Mixed { .. }
                    | PackageError::UnknownPlugin { .. },
                ) => {}
                other => return other,
            }
        }
        ask(itself).await
    }

    /// The bytes of a release's component: fetched by digest, and only ever returned when they have it.
    ///
    /// # Errors
    /// When they cannot be had, or are not what the index says.
    pub async fn component(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        self.component_with(release, &Silent).await
    }

    pub(crate) async fn component_with(
        &self,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, PackageError> {
        let what = component_of(release)?;
        let repository = release.name.repository();
        let ask = async |endpoint: &Endpoint| {
            endpoint.blob(&repository, &release.digest, &what, release.size, progress).await
        };
        let bytes = self.the_first(ask).await.map_err(|error| as_component(error, release))?;
        sized(bytes, release, &self.url.to_string())
    }

    /// A small blob of a release.
    pub(crate) async fn blob(
        &self,
        release: &Release,
        digest: &Digest,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, PackageError> {
        let repository = release.name.repository();
        self.the_first(async |endpoint| endpoint.blob(&repository, digest, what, limit, &Silent).await).await
    }

    /// The OCI manifest of a release.
    pub(crate) async fn manifest(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        self.the_first(async |endpoint| endpoint.manifest(release).await).await
    }

    /// The Sigstore bundles of a release. A mirror may lack them, so all that are found anywhere are given.
    pub(crate) async fn bundles(&self, release: &Release) -> Result<Vec<Vec<u8>>, PackageError> {
        self.the_first(async |endpoint| endpoint.bundles(release).await).await
    }

    /// A document of the registry's own, such as its snapshot, as it is; `None` where there is none.
    pub(crate) async fn document(&self, path: &str) -> Result<Option<String>, PackageError> {
        use crate::endpoint::Document;
        let ask = async |endpoint: &Endpoint| endpoint.document(path, MAX_INDEX, "").await;
        Ok(match self.the_first(ask).await? {
            Document::Found { body, .. } => Some(body),
            Document::Missing | Document::Unchanged => None,
        })
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
        let token = String::from_utf8_lossy(self.needs_token()?.expose()).into_owned();
        let (repository, own) = (name.repository(), self.itself()?.own_oci()?);
        for blob in &package.blobs {
            own.push_blob(&repository, blob).await?;
        }
        for manifest in std::iter::once(&package.manifest).chain(&package.referrers) {
            let digest = Digest::of(manifest).to_string();
            own.push_manifest(&repository, &digest, oci::IMAGE_MANIFEST, manifest).await?;
        }
        let version = request.version.parse().unwrap_or(semver::Version::new(0, 0, 0));
        let (http, url) = (Http::new(&self.home, &self.url, Patience::GATE)?, self.url.join("/api/v1/publish"));
        let response = http.tell(|client| client.post(url).bearer_auth(token).json(request)).await?;
        self.accepted(response, name, version, "POST /api/v1/publish").await
    }

    /// Says that a version is not to be chosen any more, or (`None`) that it may be again.
    ///
    /// # Errors
    /// [`PackageError::Refused`], or when the registry does not answer.
    pub async fn yank(
        &self,
        name: &PluginName,
        version: &semver::Version,
        reason: Option<&str>,
    ) -> Result<(), PackageError> {
        let token = String::from_utf8_lossy(self.needs_token()?.expose()).into_owned();
        let path = format!("/api/v1/plugins/{}/{version}/yank", name.repository());
        let http = self.itself()?.http();
        let (url, body) = (self.url.join(&path), reason.map(|reason| json!({ "reason": reason })));
        // Both say how it is to be, and may be said again.
        let make = |client: &reqwest::Client| match &body {
            Some(body) => client.put(url.clone()).bearer_auth(&token).json(body),
            None => client.delete(url.clone()).bearer_auth(&token),
        };
        let response = http.ask(make).await?;
        if response.status().is_success() {
            return Ok(());
        }
        self.accepted(response, name, version.clone(), &format!("a yank at {path}")).await.map(|_| ())
    }

    fn needs_token(&self) -> Result<&SecretValue, PackageError> {
        self.token.as_ref().ok_or_else(|| PackageError::NoToken { registry: self.url.to_string() })
    }

    /// The line that a change answers with, or the reasons why there is none.
    async fn accepted(
        &self,
        response: Response,
        name: &PluginName,
        version: semver::Version,
        request: &str,
    ) -> Result<Release, PackageError> {
        let http = self.itself()?.http();
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => {
                let body = http.body(response, request, MAX_DOCUMENT).await?;
                serde_json::from_slice(&body).map_err(|error| http.bad(request, error.to_string()))
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::FORBIDDEN => {
                let body = http.body(response, "a refusal", MAX_DOCUMENT).await?;
                let refusals: Refusals =
                    serde_json::from_slice(&body).map_err(|error| http.bad("a refusal", error.to_string()))?;
                let word = |refusal: crate::release::Refusal| {
                    let help = refusal.help.map(|help| format!(" ({help})")).unwrap_or_default();
                    presentable(&format!("{} {}{help}", refusal.code, refusal.message))
                };
                let reasons = refusals.errors.into_iter().map(word).collect();
                Err(PackageError::Refused { name: name.clone(), version, reasons })
            }
            _ => Err(http.refused(response, request.to_owned()).await),
        }
    }
}

/// How errors call a release's component.
///
/// # Errors
/// When it is larger than any may be.
pub(crate) fn component_of(release: &Release) -> Result<String, PackageError> {
    let what = format!("the component of {}@{}", release.name, release.version);
    if release.size > MAX_COMPONENT {
        return Err(PackageError::TooLarge { what, size: release.size, limit: MAX_COMPONENT });
    }
    Ok(what)
}

/// A mismatch in the words of somebody who installs a plugin.
pub(crate) fn as_component(error: PackageError, release: &Release) -> PackageError {
    match error {
        PackageError::DigestMismatch { expected, found, .. } => PackageError::DigestMismatch {
            name: format!("{}@{}", release.name, release.version),
            what: "the component that the registry sent",
            expected,
            found,
        },
        other => other,
    }
}

/// The right bytes, of which there are as many as the index says: who lies about one thing is believed in nothing.
pub(crate) fn sized(bytes: Vec<u8>, release: &Release, registry: &str) -> Result<Vec<u8>, PackageError> {
    if bytes.len() as u64 == release.size {
        return Ok(bytes);
    }
    Err(PackageError::BadAnswer {
        registry: registry.to_owned(),
        what: format!("the component of {}@{}", release.name, release.version),
        why: format!("it has {} bytes, and the index says {}", bytes.len(), release.size),
    })
}
