//! A registry's index, as far as it may be believed.
//!
//! Every document of the index must be the one that the registry's signed [snapshot](crate::snapshot) names. A snapshot is
//! believed when it is signed by the registry's key (pinned in `config.toml`, else the one that was seen first), its time
//! is not over, and its serial is not below one that was seen. A publication may come between two requests: what does not
//! fit together is fetched once more, and is refused if it still does not.
//!
//! A registry on this machine may do without a snapshot until it has shown one. A vendored copy is of one moment on
//! purpose: of its snapshot, the time is not looked at.
//!
//! What was fetched is kept in the home's cache, so that an unchanged index costs one request that answers "not modified".

use crate::{
    Home, PackageError,
    endpoint::{Document, Endpoint},
    files::{Mode, read_text, write_atomic},
    home::SeenRegistry,
    http::MAX_DOCUMENT,
    release::{Release, only_grew, parse_index},
    snapshot::{BinId, SignedSnapshot, Snapshot, parse_bin},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use windlass_contract::{Digest, PluginName};

/// Largest index document of one plugin, in bytes: some ten thousand versions.
pub(crate) const MAX_INDEX: u64 = 8 * 1024 * 1024;
/// How far this machine's clock and the registry's may be apart, in minutes, before a snapshot is taken for one of another
/// time.
pub(crate) const CLOCK_LEEWAY: SignedDuration = SignedDuration::from_mins(10);

const SNAPSHOT: &str = "/snapshot.json";

/// The index of one registry.
pub(crate) struct Index {
    registry: String,
    is_local: bool,
    home: Home,
    cache: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    etag: String,
    body: String,
}

fn cached(file: &Path) -> Result<Option<Cached>, PackageError> {
    // A cache that cannot be read is no cache.
    Ok(read_text(file)?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn keep(file: &Path, etag: String, body: String) -> Result<(), PackageError> {
    let text = serde_json::to_vec(&Cached { etag, body }).unwrap_or_default();
    write_atomic(file, &text, Mode::Shared)
}

/// Why an index was not read.
enum Unread {
    /// It is not what the snapshot says: a publication may have come between.
    Mixed(String),
    Other(PackageError),
}

impl From<PackageError> for Unread {
    fn from(error: PackageError) -> Self {
        Unread::Other(error)
    }
}

impl Index {
    /// The index of the registry that is called `registry`.
    pub(crate) fn new(home: &Home, registry: String, is_local: bool) -> Self {
        let cache = home.index_cache().join(&Digest::of(registry.as_bytes()).hex()[..16]);
        Index { registry, is_local, home: home.clone(), cache }
    }

    /// Every release of a plugin, oldest first, as `endpoint` has it.
    pub(crate) async fn releases(&self, endpoint: &Endpoint, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        let Some(snapshot) = self.snapshot(endpoint, false).await? else {
            return self.without_snapshot(endpoint, name).await;
        };
        match self.under(&snapshot, endpoint, name).await {
            Ok(releases) => return Ok(releases),
            Err(Unread::Other(error)) => return Err(error),
            Err(Unread::Mixed(_)) => {}
        }
        let gone = || self.untrusted("its snapshot is gone");
        let snapshot = self.snapshot(endpoint, true).await?.ok_or_else(gone)?;
        match self.under(&snapshot, endpoint, name).await {
            Ok(releases) => Ok(releases),
            Err(Unread::Other(error)) => Err(error),
            Err(Unread::Mixed(why)) => Err(PackageError::Mixed { registry: self.registry.clone(), why }),
        }
    }

    fn untrusted(&self, why: impl Into<String>) -> PackageError {
        PackageError::Untrusted { registry: self.registry.clone(), why: why.into() }
    }

    fn stale(&self, why: String) -> PackageError {
        PackageError::Stale { registry: self.registry.clone(), why }
    }

    /// The snapshot of this process, fetched when it is not there yet or `anew`; `None` where there is none and that is
    /// allowed.
    async fn snapshot(&self, endpoint: &Endpoint, anew: bool) -> Result<Option<Arc<Snapshot>>, PackageError> {
        // Held while it is fetched: those who want it at the same time get the same.
        let mut held = endpoint.snapshot.lock().await;
        if let Some(snapshot) = held.as_ref().filter(|_| !anew) {
            return Ok(Some(snapshot.clone()));
        }
        let file = self.cache.join("snapshot.json");
        let known = cached(&file)?;
        let etag = known.as_ref().map_or("", |known| known.etag.as_str());
        let (body, etag) = match (endpoint.document(SNAPSHOT, MAX_DOCUMENT, etag).await?, &known) {
            (Document::Found { body, etag }, _) => (body, etag),
            (Document::Unchanged, Some(known)) => (known.body.clone(), known.etag.clone()),
            _ => {
                let seen = self.home.seen(&self.registry)?;
                return match seen {
                    None if self.is_local => Ok(None),
                    None => {
                        Err(self.untrusted("it has no signed snapshot of its index, and it is not on this machine"))
                    }
                    Some(_) => Err(self.untrusted("it has no signed snapshot of its index any more")),
                };
            }
        };
        let signed: SignedSnapshot = serde_json::from_str(&body)
            .map_err(|error| self.untrusted(format!("its snapshot cannot be read: {error}")))?;
        let snapshot = Arc::new(self.open(&signed, endpoint.is_a_copy())?);
        if !endpoint.is_a_copy() && known.is_none_or(|known| known.body != body) {
            keep(&file, etag, body)?;
        }
        *held = Some(snapshot.clone());
        Ok(Some(snapshot))
    }

    fn open(&self, signed: &SignedSnapshot, is_a_copy: bool) -> Result<Snapshot, PackageError> {
        let seen = self.home.seen(&self.registry)?;
        let now = Timestamp::now();
        // What is signed is looked at before its time is: a time that nobody signed says nothing.
        let any_time = Timestamp::MIN;
        let snapshot = signed.open(seen.map(|seen| seen.key), any_time).map_err(|why| self.untrusted(why))?;
        if is_a_copy {
            return Ok(snapshot);
        }
        let apart = |from: Timestamp| now.duration_since(from);
        if apart(snapshot.expires) >= CLOCK_LEEWAY {
            return Err(self.stale(format!("its snapshot of {} expired at {}", snapshot.created, snapshot.expires)));
        }
        if -apart(snapshot.created) > CLOCK_LEEWAY {
            return Err(self
                .stale(format!("its snapshot was made at {}, and this machine's clock says {now}", snapshot.created)));
        }
        if let Some(seen) = seen.filter(|seen| snapshot.serial < seen.serial) {
            return Err(self.stale(format!(
                "its snapshot has the serial {}, and {} was seen before",
                snapshot.serial, seen.serial
            )));
        }
        self.home.saw(&self.registry, SeenRegistry { key: signed.signature.key, serial: snapshot.serial })?;
        Ok(snapshot)
    }

    fn file(&self, name: &PluginName) -> PathBuf {
        self.cache.join(name.namespace()).join(format!("{}.json", name.name()))
    }

    /// What is known of a document. A copy is held against nothing of that: it is of another time on purpose.
    fn remembered(&self, file: &Path, endpoint: &Endpoint) -> Result<Option<Cached>, PackageError> {
        if endpoint.is_a_copy() { Ok(None) } else { cached(file) }
    }

    fn unknown(&self, name: &PluginName, is_known: bool) -> PackageError {
        if is_known {
            return self.rollback(name, "the plugin is gone".to_owned());
        }
        PackageError::UnknownPlugin { registry: self.registry.clone(), name: name.clone() }
    }

    fn rollback(&self, name: &PluginName, why: String) -> PackageError {
        PackageError::Rollback { registry: self.registry.clone(), name: name.clone(), why }
    }

    /// The index of a plugin as a snapshot names it.
    async fn under(&self, snapshot: &Snapshot, endpoint: &Endpoint, name: &PluginName) -> Result<Vec<Release>, Unread> {
        let file = self.file(name);
        let cached = self.remembered(&file, endpoint)?;
        let known = cached.as_ref().and_then(|cached| parse_index(name, &cached.body).ok());
        let bin = BinId::of(name);
        let Some(digest) = snapshot.bins.get(&bin) else {
            return Err(self.unknown(name, known.is_some()).into());
        };
        let text = self.bin(endpoint, digest).await?;
        let documents = parse_bin(bin, &text).map_err(|why| self.untrusted(format!("its bin {bin}: {why}")))?;
        let Some(expected) = documents.get(name) else {
            return Err(self.unknown(name, known.is_some()).into());
        };
        if let (Some(cached), Some(known)) = (&cached, &known)
            && Digest::of(cached.body.as_bytes()) == *expected
        {
            return Ok(known.clone());
        }
        let path = format!("/index/{}", name.repository());
        let Document::Found { body, etag } = endpoint.document(&path, MAX_INDEX, "").await? else {
            return Err(Unread::Mixed(format!("its snapshot names {path}, which is not there")));
        };
        let found = Digest::of(body.as_bytes());
        if found != *expected {
            return Err(Unread::Mixed(format!(
                "{path} should have the digest {expected}, by its snapshot, and has {found}"
            )));
        }
        Ok(self.accept(endpoint, name, known.as_deref(), etag, body)?)
    }

    /// A bin, from the cache where it is there: what has this digest never changes.
    async fn bin(&self, endpoint: &Endpoint, digest: &Digest) -> Result<String, Unread> {
        let file = self.cache.join("bins").join(digest.hex());
        if let Some(text) = read_text(&file)?.filter(|text| Digest::of(text.as_bytes()) == *digest) {
            return Ok(text);
        }
        let path = format!("/snapshot/bins/{digest}");
        let Document::Found { body, .. } = endpoint.document(&path, MAX_INDEX, "").await? else {
            return Err(Unread::Mixed(format!("its snapshot names {path}, which is not there")));
        };
        let found = Digest::of(body.as_bytes());
        if found != *digest {
            return Err(Unread::Mixed(format!("the bin {digest} has the digest {found}")));
        }
        write_atomic(&file, body.as_bytes(), Mode::Shared)?;
        Ok(body)
    }

    /// Reads an index, holds it against what was known, and keeps it.
    fn accept(
        &self,
        endpoint: &Endpoint,
        name: &PluginName,
        known: Option<&[Release]>,
        etag: String,
        body: String,
    ) -> Result<Vec<Release>, PackageError> {
        let releases = parse_index(name, &body).map_err(|why| PackageError::BadAnswer {
            registry: self.registry.clone(),
            what: format!("the index of {name}"),
            why,
        })?;
        only_grew(known.unwrap_or_default(), &releases).map_err(|why| self.rollback(name, why))?;
        if !endpoint.is_a_copy() {
            keep(&self.file(name), etag, body)?;
        }
        Ok(releases)
    }

    /// The index of a plugin where there is no snapshot to hold it against.
    async fn without_snapshot(&self, endpoint: &Endpoint, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        let file = self.file(name);
        let cached = self.remembered(&file, endpoint)?;
        let known = cached.as_ref().and_then(|cached| parse_index(name, &cached.body).ok());
        let etag = cached.as_ref().filter(|_| known.is_some()).map_or("", |cached| cached.etag.as_str());
        let path = format!("/index/{}", name.repository());
        match (endpoint.document(&path, MAX_INDEX, etag).await?, known) {
            (Document::Unchanged, Some(known)) => Ok(known),
            (Document::Found { body, etag }, known) => self.accept(endpoint, name, known.as_deref(), etag, body),
            (_, known) => Err(self.unknown(name, known.is_some())),
        }
    }
}
