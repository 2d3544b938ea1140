//! Where an imported index is read from: a folder, or an address.
//!
//! An address is asked without credentials and follows no redirect; an answer is read up to its limit and no further.

use super::{Import, MAX_ENTRY, MAX_INDEX, names, read};
use futures::StreamExt as _;
use std::{collections::BTreeMap, fmt, io::Read as _, path::PathBuf, str::FromStr, time::Duration};
use url::Url;
use windlass_package::market::NativeName;

/// How long one request may take, in seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many manifests are fetched at a time: polite to a static host.
const AT_ONCE: usize = 8;

/// Where an index is: the place that holds `v1/index.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder.
    Folder(PathBuf),
    /// An http or https address; ends in a slash.
    Address(Url),
}

impl FromStr for Source {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Source::Folder(PathBuf::from(text)));
        }
        let mut url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err("an index is a folder, or an http or https address without a user".to_owned());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Source::Address(url))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Folder(folder) => write!(f, "{}", folder.display()),
            Source::Address(url) => write!(f, "{url}"),
        }
    }
}

impl Source {
    /// Reads the index and its manifests.
    ///
    /// # Errors
    /// When there is no index, or it is no index. What is wrong with an entry is in the [`Import`].
    pub async fn import(&self) -> Result<Import, String> {
        match self {
            Source::Folder(folder) => {
                let file = |path: String, limit| at_most(folder.join(path), limit);
                let index = file("v1/index.json".to_owned(), MAX_INDEX)?;
                read(&index, |name| file(manifest(name), MAX_ENTRY))
            }
            Source::Address(base) => {
                // Fails when a provider is there already, which is what is wanted.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = reqwest::Client::builder()
                    .user_agent(concat!("windlass-registry/", env!("CARGO_PKG_VERSION")))
                    .timeout(TIMEOUT)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| error.to_string())?;
                let index = fetch(client.clone(), base.clone(), "v1/index.json".to_owned(), MAX_INDEX).await?;
                let fetched = futures::stream::iter(names(&index)?)
                    .map(|name| {
                        let bytes = fetch(client.clone(), base.clone(), manifest(&name), MAX_ENTRY);
                        async move { (name, bytes.await) }
                    })
                    .buffer_unordered(AT_ONCE);
                let mut manifests: BTreeMap<NativeName, _> = fetched.collect().await;
                let absent = || Err("it was not fetched".to_owned());
                read(&index, |name| manifests.remove(name).unwrap_or_else(absent))
            }
        }
    }
}

fn manifest(name: &NativeName) -> String {
    format!("v1/plugins/{name}/manifest.json")
}

fn at_most(path: PathBuf, limit: u64) -> Result<Vec<u8>, String> {
    let error = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = std::fs::File::open(&path).map_err(error)?;
    let mut bytes = Vec::new();
    // One more than the limit, so that what is over it is seen to be.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > limit {
        return Err(format!("{} has more than {limit} bytes", path.display()));
    }
    Ok(bytes)
}

async fn fetch(client: reqwest::Client, base: Url, path: String, limit: u64) -> Result<Vec<u8>, String> {
    let url = base.join(&path).map_err(|error| error.to_string())?;
    let error = |error: reqwest::Error| format!("cannot fetch {url}: {error}");
    let mut response = client.get(url.clone()).send().await.map_err(error)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} answers {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(error)? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(format!("{url} has more than {limit} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
