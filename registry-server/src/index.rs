//! The sparse index: one file of JSON lines for each plugin, held in memory with its ETag.
//!
//! A file is replaced as a whole by a rename, so a reader and a crash see the old one or the new one. The whole index is
//! in memory (a release is half a kilobyte), which makes an answer one lookup; a registry of a hundred thousand packages
//! takes the database that comes later, behind these same functions.

use crate::{error::RegistryError, storage::write_atomic};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};
use windlass_contract::{Digest, PluginName};
use windlass_package::release::{Release, index_line, newest, parse_index};

/// Most results of one search: a page; nobody reads more.
pub const MAX_RESULTS: usize = 100;
/// Longest query, in characters.
pub const MAX_QUERY: usize = 200;

/// One plugin's document.
#[derive(Debug)]
pub struct Document {
    /// The lines.
    pub body: String,
    /// Its validator, with quotes.
    pub etag: String,
    /// What the lines say.
    pub releases: Vec<Release>,
}

impl Document {
    fn new(releases: Vec<Release>) -> Self {
        let body: String = releases.iter().map(index_line).collect();
        let etag = format!("\"{}\"", Digest::of(body.as_bytes()).short());
        Document { body, etag, releases }
    }
}

/// The index.
pub struct Index {
    folder: PathBuf,
    documents: RwLock<BTreeMap<PluginName, Arc<Document>>>,
}

impl Index {
    /// Reads the index in `folder`.
    ///
    /// # Errors
    /// When a file is damaged: a registry that forgot versions must not start.
    pub fn open(folder: PathBuf) -> Result<Self, RegistryError> {
        let mut documents = BTreeMap::new();
        let io = |error| RegistryError::io("read", &folder, error);
        fs::create_dir_all(&folder).map_err(io)?;
        for namespace in fs::read_dir(&folder).map_err(io)? {
            let namespace = namespace.map_err(io)?;
            for file in fs::read_dir(namespace.path()).map_err(io)? {
                let file = file.map_err(io)?;
                let text = format!("{}:{}", namespace.file_name().display(), file.file_name().display());
                // What a crash left behind (.tmp-…) is not a name.
                let Ok(name) = text.parse::<PluginName>() else { continue };
                let damaged = |why| RegistryError::DamagedIndex { path: file.path().display().to_string(), why };
                let body = fs::read_to_string(file.path()).map_err(|error| damaged(error.to_string()))?;
                let releases = parse_index(&name, &body).map_err(damaged)?;
                documents.insert(name, Arc::new(Document::new(releases)));
            }
        }
        Ok(Index { folder, documents: RwLock::new(documents) })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<PluginName, Arc<Document>>> {
        // A writer that panicked has replaced one Arc or none: the map is sound.
        self.documents.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plugin's document.
    pub fn get(&self, name: &PluginName) -> Option<Arc<Document>> {
        self.read().get(name).cloned()
    }

    /// One version.
    pub fn release(&self, name: &PluginName, version: &semver::Version) -> Option<Release> {
        self.get(name)?.releases.iter().find(|release| release.version == *version).cloned()
    }

    /// Every name.
    pub fn names(&self) -> Vec<PluginName> {
        self.read().keys().cloned().collect()
    }

    /// Adds a release: durable when this returns. The caller holds the publishing lock.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub fn add(&self, release: Release) -> Result<(), RegistryError> {
        let name = release.name.clone();
        let mut releases = self.get(&name).map(|document| document.releases.clone()).unwrap_or_default();
        releases.push(release);
        let document = Document::new(releases);
        write_atomic(&self.folder.join(name.namespace()).join(name.name()), document.body.as_bytes())?;
        self.documents.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(document));
        Ok(())
    }

    /// The newest release of each plugin in which every word of the query occurs (name, summary, step types), names
    /// first. Gives at most [`MAX_RESULTS`], and how many there are.
    pub fn search(&self, query: &str) -> (Vec<Release>, usize) {
        let query = query.chars().take(MAX_QUERY).collect::<String>().to_lowercase();
        let words: Vec<&str> = query.split_whitespace().collect();
        let mut found: Vec<(Reverse<u8>, Release)> = Vec::new();
        for (name, document) in self.read().iter() {
            let newest = newest(&document.releases, &semver::VersionReq::STAR)
                .or_else(|| document.releases.iter().rev().find(|release| release.status.is_ok()));
            let Some(release) = newest else { continue };
            let name = name.to_string();
            let text = format!("{name} {} {}", release.summary.to_lowercase(), release.steps.join(" "));
            if words.iter().all(|word| text.contains(word)) {
                let in_name = words.iter().filter(|word| name.contains(**word)).count();
                found.push((Reverse(u8::try_from(in_name).unwrap_or(u8::MAX)), release.clone()));
            }
        }
        let total = found.len();
        found.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        (found.into_iter().take(MAX_RESULTS).map(|(_, release)| release).collect(), total)
    }
}
