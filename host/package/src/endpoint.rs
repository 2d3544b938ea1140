//! Where a registry's files are: on the web, or in a folder that `windlass vendor` wrote.
//!
//! A registry is a tree of files: the snapshot and its bins, the index, the blobs. An endpoint gives them; it vouches for
//! nothing but that what is asked by digest has it. Whether an index may be believed is for [`crate::index`].
//!
//! ```text
//! snapshot.json    snapshot/bins/<digest>    index/<namespace>/<name>      as on the web
//! blobs/sha256/<hex>                                                       components, OCI manifests, plugin.yaml
//! bundles/<hex of the manifest>/<n>.json                                   Sigstore bundles
//! ```

use crate::{
    Home, PackageError,
    config::{Origin, RegistryUrl},
    credentials::Login,
    distribution::Distribution,
    http::{Http, Patience, Progress},
    oci,
    release::{Release, WellKnown},
    snapshot::Snapshot,
};
use reqwest::{StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::{Mutex, OnceCell};
use url::Url;
use windlass_contract::{ArtifactKey, Digest, SecretValue};

/// The media type of a Sigstore bundle, as `cosign` attaches it.
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Largest Sigstore bundle, in bytes: a certificate, a signature and a proof are some ten thousand.
pub(crate) const MAX_BUNDLE: u64 = 256 * 1024;
/// Most Sigstore bundles of one release that are looked at.
pub(crate) const MAX_BUNDLES: usize = 16;

/// One place that has a registry's files.
pub(crate) struct Endpoint {
    place: Place,
    /// The snapshot of this process, once it was fetched and found sound.
    pub(crate) snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// It did not answer: it is not asked again by this process where another can be.
    pub(crate) is_away: AtomicBool,
}

enum Place {
    Web(Box<Web>),
    Folder(PathBuf),
}

pub(crate) struct Web {
    url: RegistryUrl,
    http: Http,
    /// For the OCI side, where it is this registry itself.
    token: Option<SecretValue>,
    home: Home,
    oci: OnceCell<(Distribution, String)>,
}

/// What came of asking for a document.
pub(crate) enum Document {
    /// There is none.
    Missing,
    /// It is as it was when it had the ETag.
    Unchanged,
    /// It is this.
    Found { body: String, etag: String },
}

impl Endpoint {
    pub(crate) fn web(home: &Home, url: RegistryUrl, token: Option<SecretValue>) -> Result<Self, PackageError> {
        let http = Http::new(home, &url, Patience::USUAL)?;
        let web = Web { url, http, token, home: home.clone(), oci: OnceCell::new() };
        Ok(Endpoint { place: Place::Web(Box::new(web)), snapshot: Mutex::default(), is_away: AtomicBool::default() })
    }

    /// What `windlass vendor` kept of an origin in a folder.
    pub(crate) fn folder(vendor: &Path, origin: &Origin) -> Self {
        Endpoint {
            place: Place::Folder(vendor.join(folder_name(origin))),
            snapshot: Mutex::default(),
            is_away: AtomicBool::default(),
        }
    }

    /// A document of the registry's own, of at most `limit` bytes.
    pub(crate) async fn document(&self, path: &str, limit: u64, etag: &str) -> Result<Document, PackageError> {
        match &self.place {
            Place::Web(web) => web.document(path, limit, etag).await,
            Place::Folder(root) => Ok(match read(&root.join(path.trim_start_matches('/')), path, limit)? {
                None => Document::Missing,
                Some(bytes) => match String::from_utf8(bytes) {
                    Ok(body) => Document::Found { body, etag: String::new() },
                    Err(_) => return Err(self.bad(path, "it is not UTF-8")),
                },
            }),
        }
    }

    /// A copy that was made on purpose at one moment: its time may be over.
    pub(crate) fn is_a_copy(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    fn bad(&self, what: &str, why: &str) -> PackageError {
        let registry = match &self.place {
            Place::Web(web) => web.url.to_string(),
            Place::Folder(root) => root.display().to_string(),
        };
        PackageError::BadAnswer { registry, what: what.to_owned(), why: why.to_owned() }
    }

    /// A blob of a plugin's repository, of at most `limit` bytes.
    pub(crate) async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        what: &str,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, PackageError> {
        match &self.place {
            Place::Web(web) => {
                let (oci, prefix) = web.oci().await?;
                oci.blob(&format!("{prefix}{repository}"), digest, what, limit, progress).await
            }
            Place::Folder(root) => {
                let path = root.join("blobs/sha256").join(digest.hex());
                let missing = || PackageError::io("read", &path, std::io::ErrorKind::NotFound.into());
                let bytes = read(&path, what, limit)?.ok_or_else(missing)?;
                let found = Digest::of(&bytes);
                if found == *digest {
                    return Ok(bytes);
                }
                let what = "what is in the vendored folder";
                Err(PackageError::DigestMismatch { name: what.to_owned(), what, expected: *digest, found })
            }
        }
    }

    /// The OCI manifest of a release.
    pub(crate) async fn manifest(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        let repository = release.name.repository();
        let what = format!("the manifest of {}@{}", release.name, release.version);
        match &self.place {
            Place::Web(web) => {
                let (oci, prefix) = web.oci().await?;
                let found = oci.manifest(&format!("{prefix}{repository}"), &release.manifest.to_string()).await?;
                found.map(|(bytes, _)| bytes).ok_or_else(|| self.bad(&what, "it is not there"))
            }
            Place::Folder(_) => {
                self.blob(&repository, &release.manifest, &what, oci::MAX_OCI_MANIFEST, &crate::http::Silent).await
            }
        }
    }

    /// The Sigstore bundles of a release.
    pub(crate) async fn bundles(&self, release: &Release) -> Result<Vec<Vec<u8>>, PackageError> {
        match &self.place {
            Place::Web(web) => {
                let (oci, prefix) = web.oci().await?;
                let repository = format!("{prefix}{}", release.name.repository());
                oci.attached(&repository, &release.manifest, BUNDLE, MAX_BUNDLE).await
            }
            Place::Folder(root) => {
                let folder = root.join("bundles").join(release.manifest.hex());
                let files = (0..MAX_BUNDLES).map(|at| folder.join(format!("{at}.json")));
                let read = |path: PathBuf| read(&path, "a Sigstore bundle", MAX_BUNDLE).transpose();
                files.map_while(read).collect()
            }
        }
    }

    /// What is reached by HTTP; none in a folder.
    pub(crate) fn as_web(&self) -> Option<&Web> {
        match &self.place {
            Place::Web(web) => Some(web),
            Place::Folder(_) => None,
        }
    }
}

impl Web {
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    async fn document(&self, path: &str, limit: u64, etag: &str) -> Result<Document, PackageError> {
        let url = self.url.join(path);
        let make = |client: &reqwest::Client| match etag {
            "" => client.get(url.clone()),
            etag => client.get(url.clone()).header(header::IF_NONE_MATCH, etag),
        };
        let response = self.http.ask(make).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if !etag.is_empty() => Ok(Document::Unchanged),
            StatusCode::NOT_FOUND => Ok(Document::Missing),
            StatusCode::OK => {
                let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
                let body = self.http.body(response, path, limit).await?;
                let body = String::from_utf8(body).map_err(|_| self.http.bad(path, "it is not UTF-8"))?;
                Ok(Document::Found { body, etag })
            }
            _ => Err(self.http.refused(response, format!("GET {path}")).await),
        }
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, url: Url, what: &str, limit: u64) -> Result<T, PackageError> {
        self.query(url, &(), what, limit).await
    }

    /// The same, asked with a query string.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        url: Url,
        query: &impl Serialize,
        what: &str,
        limit: u64,
    ) -> Result<T, PackageError> {
        let response = self.http.ask(|client| client.get(url.clone()).query(query)).await?;
        if response.status() != StatusCode::OK {
            return Err(self.http.refused(response, format!("GET {}", url.path())).await);
        }
        let body = self.http.body(response, what, limit).await?;
        serde_json::from_slice(&body).map_err(|error| self.http.bad(what, error.to_string()))
    }

    /// The registry's own OCI side, for pushing: what is pushed goes to no other host.
    pub(crate) fn own_oci(&self) -> Result<Distribution, PackageError> {
        let http = Http::new(&self.home, &self.url, Patience::USUAL)?;
        Ok(Distribution::new(http, self.url.url().clone(), Login::token(self.token.clone()), None))
    }

    /// Where the bytes are, and the prefix of the repositories there.
    async fn oci(&self) -> Result<&(Distribution, String), PackageError> {
        self.oci.get_or_try_init(|| self.find_oci()).await
    }

    async fn find_oci(&self) -> Result<(Distribution, String), PackageError> {
        const WHAT: &str = "/.well-known/wasm-pkg/registry.json";
        let known: WellKnown = self.json(self.url.join(WHAT), WHAT, crate::http::MAX_DOCUMENT).await?;
        let prefix = known.oci.namespace_prefix;
        let sound = prefix.is_empty() || prefix.strip_suffix('/').is_some_and(|p| p.parse::<ArtifactKey>().is_ok());
        if !sound {
            return Err(self.http.bad(WHAT, format!("{prefix:?} is not a prefix of repositories")));
        }
        let host = &known.oci.registry;
        // The registry itself is reached as it was configured; another host by https, or by http on this machine.
        let same = self.url.url().host_str().is_some_and(|own| match self.url.url().port() {
            Some(port) => *host == format!("{own}:{port}"),
            None => host == own,
        });
        if same {
            return Ok((self.own_oci()?, prefix));
        }
        let by_http: Option<RegistryUrl> = format!("http://{host}").parse().ok().filter(|_| self.url.is_local());
        let url = match by_http {
            Some(url) => url,
            None => {
                format!("https://{host}").parse().map_err(|_| self.http.bad(WHAT, format!("{host:?} is not a host")))?
            }
        };
        let http = Http::new(&self.home, &url, Patience::USUAL)?;
        Ok((Distribution::new(http, url.url().clone(), Login::of(&self.home, &url)?, None), prefix))
    }
}

/// The folder of an origin in a vendored tree: readable, and its own.
pub(crate) fn folder_name(origin: &Origin) -> String {
    let text = origin.to_string();
    let readable: String = text
        .split_once("://")
        .map_or(text.as_str(), |(_, rest)| rest)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(60)
        .collect();
    format!("{}-{}", readable.trim_matches(['-', '.']), &Digest::of(text.as_bytes()).hex()[..8])
}

/// A file of at most `limit` bytes; `None` where there is none.
pub(crate) fn read(path: &Path, what: &str, limit: u64) -> Result<Option<Vec<u8>>, PackageError> {
    let io = |error| PackageError::io("read", path, error);
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
        Ok(file) if file.len() > limit => {
            Err(PackageError::TooLarge { what: what.to_owned(), size: file.len(), limit })
        }
        Ok(_) => fs::read(path).map(Some).map_err(io),
    }
}
