//! The content-addressed store on disk: `blobs/sha256/ab/<hex>` and, for each run, `runs/<run>.json`.
//!
//! A blob is written to a temporary file while it is hashed, flushed to the disk, and renamed; then the run's index is
//! replaced the same way. So an entry of an index always has its blob, and a crash leaves at most a blob that nobody
//! names. Readers need no lock; writers of an index hold a lock file, since a daemon and a command line may share a store.
//!
//! The functions block: callers on an async runtime use its blocking threads.

use super::reports::is_report;
use crate::secrets::{MaskStream, Masker};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};
use windlass_contract::{ArtifactKey, Code, CodedError, Digest, RunId};

/// One artifact may have this many bytes (10 GiB): larger ones belong into a registry.
pub const MAX_ARTIFACT: u64 = 10 << 30;

/// A run may have this many artifacts: its index is rewritten with each.
pub const MAX_ARTIFACTS: usize = 1000;

/// The media type of a folder.
pub const TAR: &str = "application/x-tar";

/// The media type of everything else.
pub const OCTETS: &str = "application/octet-stream";

/// The media type of text as it was printed.
pub const PLAIN_TEXT: &str = "text/plain";

/// What the keys of the host's own artifacts begin with. No step makes or replaces one; every step that may read artifacts
/// may read them.
pub const RESERVED_KEYS: &str = "windlass/";

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum StoreError {
    #[error("run {run} has no artifact {key}; `windlass artifact list {run}` shows what it has")]
    NotFound { run: RunId, key: ArtifactKey },
    #[error("artifact {key} is over the limit of {limit} bytes; split it, or push it to a registry")]
    TooLarge { key: ArtifactKey, limit: u64 },
    #[error("run {run} has {limit} artifacts already, which is the limit; put files into folders")]
    TooMany { run: RunId, limit: usize },
    #[error(
        "the stored bytes of {digest} at {path} are not those that were kept ({why}); remove the file and run again"
    )]
    Damaged { digest: Digest, path: PathBuf, why: String },
    #[error("cannot access {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl CodedError for StoreError {
    fn code(&self) -> Code {
        Code(match self {
            StoreError::NotFound { .. } => 501,
            StoreError::TooLarge { .. } => 502,
            StoreError::TooMany { .. } => 503,
            StoreError::Damaged { .. } => 504,
            StoreError::Io { .. } => 505,
        })
    }
    fn retryable(&self) -> bool {
        matches!(self, StoreError::Io { .. })
    }
}

/// An artifact as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its key in its run.
    pub key: ArtifactKey,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// [`TAR`] or [`OCTETS`].
    pub media_type: String,
    /// When it was made, in milliseconds since 1970 (UTC).
    #[serde(default)]
    pub created_at_ms: u64,
}

/// The store of a host. Clones share the same folder.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    dir: PathBuf,
    max_artifact: u64,
    max_artifacts: usize,
}

impl ArtifactStore {
    /// The store in `dir`. Touches nothing until it is used.
    pub fn open(dir: PathBuf) -> Self {
        ArtifactStore { dir, max_artifact: MAX_ARTIFACT, max_artifacts: MAX_ARTIFACTS }
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, max_artifact: u64, max_artifacts: usize) -> Self {
        ArtifactStore { max_artifact, max_artifacts, ..self }
    }

    /// The artifacts of a run, by key; none where the run has none.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, run: &RunId) -> Result<Vec<Stored>, StoreError> {
        Ok(self.index(run)?.into_values().collect())
    }

    /// The artifact `key` of a run.
    ///
    /// # Errors
    /// When there is none, or the index cannot be read.
    pub fn find(&self, run: &RunId, key: &ArtifactKey) -> Result<Stored, StoreError> {
        self.index(run)?.remove(key).ok_or_else(|| StoreError::NotFound { run: run.clone(), key: key.clone() })
    }

    /// Reads an artifact; its size is checked now, its digest at the end.
    ///
    /// # Errors
    /// When the bytes are not there, or not as many as they were.
    pub fn read(&self, digest: Digest, size: u64) -> Result<BlobReader, StoreError> {
        let path = self.blob(digest);
        let file = fs::File::open(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        let found = file.metadata().map_err(|source| StoreError::Io { path: path.clone(), source })?.len();
        if found != size {
            let why = format!("{found} bytes instead of {size}");
            return Err(StoreError::Damaged { digest, path, why });
        }
        Ok(BlobReader { file, path, digest, hash: Some(Sha256::new()) })
    }

    /// Takes an artifact out of its run's index. The bytes stay: other runs may name them.
    ///
    /// # Errors
    /// When there is none, or the file system fails.
    pub fn delete(&self, run: &RunId, key: &ArtifactKey) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let mut index = self.index(run)?;
        if index.remove(key).is_none() {
            return Err(StoreError::NotFound { run: run.clone(), key: key.clone() });
        }
        self.write_index(run, &index)
    }

    /// Gives a run the artifacts that another one has: one that repeats it from the middle begins with them. Doing it again does no
    /// harm.
    ///
    /// # Errors
    /// When an index cannot be read or written.
    pub fn take_over(&self, from: &RunId, to: &RunId) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let mut index = self.index(from)?;
        if index.is_empty() {
            return Ok(());
        }
        index.extend(self.index(to)?);
        self.write_index(to, &index)
    }

    /// Begins an artifact. Dropped without [`Draft::finish`], nothing is kept.
    ///
    /// # Errors
    /// When the run has as many as it may, or the file system fails.
    pub fn begin(&self, run: &RunId, key: &ArtifactKey) -> Result<Draft, StoreError> {
        let index = self.index(run)?;
        if index.len() >= self.max_artifacts && !index.contains_key(key) {
            return Err(StoreError::TooMany { run: run.clone(), limit: self.max_artifacts });
        }
        let dir = self.dir.join("tmp");
        let file = fs::create_dir_all(&dir)
            .and_then(|()| tempfile::NamedTempFile::new_in(&dir))
            .map_err(|source| StoreError::Io { path: dir, source })?;
        Ok(Draft {
            store: self.clone(),
            run: run.clone(),
            key: key.clone(),
            file,
            hash: Sha256::new(),
            size: 0,
            masker: None,
            mask: None,
        })
    }

    fn index(&self, run: &RunId) -> Result<BTreeMap<ArtifactKey, Stored>, StoreError> {
        let path = self.index_path(run);
        let io = |source| StoreError::Io { path: path.clone(), source };
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(io(error)),
            Ok(bytes) => {
                let list: Vec<Stored> = serde_json::from_slice(&bytes).map_err(|error| io(error.into()))?;
                Ok(list.into_iter().map(|stored| (stored.key.clone(), stored)).collect())
            }
        }
    }

    fn write_index(&self, run: &RunId, index: &BTreeMap<ArtifactKey, Stored>) -> Result<(), StoreError> {
        let path = self.index_path(run);
        let list: Vec<&Stored> = index.values().collect();
        serde_json::to_vec_pretty(&list)
            .map_err(io::Error::from)
            .and_then(|bytes| replace_file(&path, &bytes))
            .map_err(|source| StoreError::Io { path, source })
    }

    fn index_path(&self, run: &RunId) -> PathBuf {
        self.dir.join("runs").join(format!("{run}.json"))
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir.join("blobs").join("sha256").join(&hex[..2]).join(hex)
    }

    fn lock(&self) -> Result<fs::File, StoreError> {
        let path = self.dir.join("lock");
        fs::create_dir_all(&self.dir)
            .and_then(|()| fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| StoreError::Io { path, source })
    }
}

/// An artifact in the making.
pub struct Draft {
    store: ArtifactStore,
    run: RunId,
    key: ArtifactKey,
    file: tempfile::NamedTempFile,
    hash: Sha256,
    size: u64,
    /// What reports are masked with.
    masker: Option<Masker>,
    /// Of a report, while it is written.
    mask: Option<MaskStream>,
}

impl Draft {
    /// What it holds of reports is to be masked.
    pub(crate) fn masking_reports(self, masker: Masker) -> Draft {
        Draft { masker: Some(masker), ..self }
    }

    /// What is appended is one file, and no folder's archive: it is masked if its key is a report's name.
    pub(crate) fn into_file(self) -> Draft {
        let masker = self.masker.as_ref().filter(|_| is_report(self.key.as_str()));
        Draft { mask: masker.map(Masker::stream), ..self }
    }

    /// What reports within it are masked with.
    pub(crate) fn masker(&self) -> Option<Masker> {
        self.masker.clone()
    }

    /// Appends.
    ///
    /// # Errors
    /// When it would be over the limit, or the disk is full.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(mask) = &mut self.mask else { return self.put(bytes) };
        let mut masked = Vec::with_capacity(bytes.len());
        mask.push(bytes, &mut masked);
        self.put(&masked)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        if self.size > self.store.max_artifact {
            return Err(StoreError::TooLarge { key: self.key.clone(), limit: self.store.max_artifact });
        }
        self.hash.update(bytes);
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|source| StoreError::Io { path: self.file.path().to_owned(), source })
    }

    /// Keeps it: durable when this returns.
    ///
    /// # Errors
    /// When the run has as many as it may, or the file system fails.
    pub fn finish(mut self, media_type: &str) -> Result<Stored, StoreError> {
        if let Some(mut mask) = self.mask.take() {
            let mut rest = Vec::new();
            mask.finish(&mut rest);
            self.put(&rest)?;
        }
        let Draft { store, run, key, file, hash, size, .. } = self;
        let digest = Digest::from_bytes(hash.finalize().into());
        let path = store.blob(digest);
        let keep = || {
            file.as_file().sync_all()?;
            let parent = path.parent().unwrap_or(&store.dir);
            fs::create_dir_all(parent)?;
            file.persist(&path).map_err(|error| error.error)?;
            fs::File::open(parent)?.sync_all()
        };
        keep().map_err(|source| StoreError::Io { path: path.clone(), source })?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let created_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let stored = Stored { key: key.clone(), digest, size, media_type: media_type.to_owned(), created_at_ms };
        let _lock = store.lock()?;
        let mut index = store.index(&run)?;
        index.insert(key, stored.clone());
        if index.len() > store.max_artifacts {
            return Err(StoreError::TooMany { run, limit: store.max_artifacts });
        }
        store.write_index(&run, &index)?;
        Ok(stored)
    }
}

/// For writers of archives; a [`StoreError`] travels inside the `io::Error`.
impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map(|()| bytes.len()).map_err(io::Error::other)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A position in a blob. The last read fails when the bytes are not those that were kept.
pub struct BlobReader {
    file: fs::File,
    path: PathBuf,
    digest: Digest,
    hash: Option<Sha256>,
}

impl BlobReader {
    /// From this byte on. The digest is of the whole, so what is read from the middle is not compared with it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn starting_at(mut self, offset: u64) -> io::Result<BlobReader> {
        if offset > 0 {
            self.file.seek(SeekFrom::Start(offset))?;
            self.hash = None;
        }
        Ok(self)
    }
}

impl Read for BlobReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        if n > 0 || out.is_empty() {
            if let Some(hash) = &mut self.hash {
                hash.update(&out[..n]);
            }
        } else if let Some(hash) = self.hash.take()
            && self.digest.as_bytes() != hash.finalize().as_slice()
        {
            let (digest, path) = (self.digest, self.path.clone());
            return Err(io::Error::other(StoreError::Damaged { digest, path, why: "another digest".to_owned() }));
        }
        Ok(n)
    }
}

/// Replaces a file so that a crash leaves the old or the new one, and the new one is durable when this returns. The file
/// is readable by its owner only.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ArtifactStore, RunId) {
        let dir = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(dir.path().join("artifacts")).with_limits(1000, 3);
        (dir, store, "r1".parse().unwrap())
    }
    fn key(text: &str) -> ArtifactKey {
        text.parse().unwrap()
    }
    fn keep(store: &ArtifactStore, run: &RunId, of: &str, bytes: &[u8]) -> Result<Stored, u16> {
        let all = || {
            let mut draft = store.begin(run, &key(of))?;
            bytes.chunks(7).try_for_each(|chunk| draft.append(chunk))?;
            draft.finish(OCTETS)
        };
        all().map_err(|error: StoreError| error.code().0)
    }
    fn read(store: &ArtifactStore, stored: &Stored) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut reader = store.read(stored.digest, stored.size).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    #[test]
    fn kept_by_content_and_found_by_key() {
        let (dir, store, run) = store();
        let one = keep(&store, &run, "a/one", b"hello").unwrap();
        assert_eq!(one.digest, Digest::of(b"hello"));
        let two = keep(&store, &run, "two", b"hello").unwrap();
        assert_eq!((one.digest, one.size), (two.digest, two.size));
        assert_eq!(keep(&store, &run, "two", b"other").unwrap().size, 5);
        assert_eq!(read(&store, &store.find(&run, &key("two")).unwrap()).unwrap(), b"other");
        let keys: Vec<String> = store.list(&run).unwrap().iter().map(|stored| stored.key.to_string()).collect();
        assert_eq!(keys, ["a/one", "two"]);
        store.delete(&run, &key("two")).unwrap();
        assert_eq!(store.find(&run, &key("two")).unwrap_err().code().0, 501);
        assert_eq!(fs::read_dir(dir.path().join("artifacts/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn quotas() {
        let (dir, store, run) = store();
        assert_eq!(keep(&store, &run, "big", &[0; 1001]), Err(502));
        for of in ["a", "b", "c"] {
            keep(&store, &run, of, &[0; 1000]).unwrap();
        }
        assert_eq!(keep(&store, &run, "d", b""), Err(503));
        keep(&store, &run, "c", b"replaced").unwrap();
        assert_eq!(fs::read_dir(dir.path().join("artifacts/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn damaged_bytes_are_not_handed_out_as_whole() {
        let (_dir, store, run) = store();
        let stored = keep(&store, &run, "a", b"hello").unwrap();
        fs::write(store.blob(stored.digest), b"hellO").unwrap();
        assert!(read(&store, &stored).unwrap_err().contains("another digest"));
        fs::write(store.blob(stored.digest), b"hell").unwrap();
        assert!(read(&store, &stored).unwrap_err().contains("4 bytes instead of 5"));
    }

    #[test]
    fn parallel_steps_do_not_lose_each_others_artifacts() {
        let (_dir, store, run) = store();
        let store = store.with_limits(1000, 100);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (store, run) = (&store, &run);
                scope.spawn(move || keep(store, run, &format!("k{n}"), b"x").unwrap());
            }
        });
        assert_eq!(store.list(&run).unwrap().len(), 8);
    }
}
