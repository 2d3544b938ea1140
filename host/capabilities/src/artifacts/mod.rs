//! Artifacts: files that outlive their step, by content.
//!
//! An [`ArtifactStore`] keeps them on disk; for one attempt of one step they are reached through the grant (read, write),
//! and copied from and to the run's workspace through whoever holds it (`containers`). A handle never tells a path.
//! Reports ([`reports`]) are masked when they are kept; every other artifact is kept byte by byte.

mod archive;
pub mod reports;
mod store;

pub(crate) use archive::{keep, lay_out, pipe_in, pipe_out};
pub(crate) use store::replace_file;
pub use store::{
    ArtifactStore, BlobReader, Draft, MAX_ARTIFACT, MAX_ARTIFACTS, OCTETS, PLAIN_TEXT, RESERVED_KEYS, StoreError,
    Stored, TAR,
};

use crate::secrets::Masker;
use async_trait::async_trait;
use bytes::Bytes;
use std::{io::Read as _, sync::Arc};
use windlass_contract::{
    ArtifactKey, Digest, RunId,
    capability::{Artifact, ArtifactError, ArtifactReader, ArtifactWriter, Artifacts, ContainerError},
    permissions::ArtifactsScope,
};

/// A read of an artifact returns at most this many bytes.
const MAX_READ: usize = 1 << 20;

/// Whoever can reach the files of a run's workspace.
#[async_trait]
pub(crate) trait WorkspaceFiles: Send + Sync {
    /// Keeps a file or folder.
    async fn keep(&self, path: &str, draft: Draft) -> Result<Stored, ContainerError>;
    /// Puts an artifact there.
    async fn put(&self, artifact: &dyn Artifact, path: &str) -> Result<(), ContainerError>;
}

/// What all artifact work of one attempt shares.
#[derive(Clone)]
pub(crate) struct Shelf {
    pub(crate) store: ArtifactStore,
    pub(crate) run: RunId,
    pub(crate) scope: Option<ArtifactsScope>,
    pub(crate) masker: Masker,
}

impl Shelf {
    /// Begins an artifact, if that is granted and the key is one.
    pub(crate) async fn begin(&self, key: &str) -> Result<Draft, ArtifactError> {
        if !self.scope.is_some_and(|scope| scope.write) {
            return Err(not_granted("making artifacts", "write"));
        }
        let key: ArtifactKey = key.parse().map_err(|error| ArtifactError::Invalid(format!("{error}")))?;
        if key.as_str().starts_with(RESERVED_KEYS) {
            let words = format!("artifacts under {RESERVED_KEYS} are the host's own; choose another key than {key}");
            return Err(ArtifactError::Invalid(words));
        }
        if self.masker.finds(key.as_str().as_bytes()) {
            return Err(ArtifactError::Invalid("the artifact's key holds the value of a secret".to_owned()));
        }
        let (store, run, masker) = (self.store.clone(), self.run.clone(), self.masker.clone());
        blocking(move || Ok(store.begin(&run, &key)?.masking_reports(masker))).await
    }

    /// The handle of what was kept.
    pub(crate) fn handle(&self, stored: Stored) -> Arc<dyn Artifact> {
        let readable = self.scope.is_some_and(|scope| scope.read);
        Arc::new(Handle { store: self.store.clone(), stored, readable })
    }
}

/// [`Artifacts`] for one attempt of one step.
pub(crate) struct StepArtifacts {
    pub(crate) shelf: Shelf,
    pub(crate) previous: Option<RunId>,
    pub(crate) files: Arc<dyn WorkspaceFiles>,
}

impl StepArtifacts {
    async fn find(&self, run: RunId, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.may_read("reading artifacts")?;
        let key: ArtifactKey = key.parse().map_err(|error| ArtifactError::Invalid(format!("{error}")))?;
        let store = self.shelf.store.clone();
        let stored = blocking(move || store.find(&run, &key)).await?;
        Ok(self.shelf.handle(stored))
    }

    fn may_read(&self, what: &str) -> Result<(), ArtifactError> {
        let may = self.shelf.scope.is_some_and(|scope| scope.read);
        may.then_some(()).ok_or_else(|| not_granted(what, "read"))
    }
}

#[async_trait]
impl Artifacts for StepArtifacts {
    async fn get(&self, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        self.find(self.shelf.run.clone(), key).await
    }

    async fn get_from(&self, run: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let run = match run.as_str() {
            "previous" => self.previous.clone().ok_or_else(|| {
                ArtifactError::NotFound(
                    "no earlier run of this pipeline has succeeded, so it left no artifact".to_owned(),
                )
            })?,
            _ => run.parse().map_err(|error| ArtifactError::Invalid(format!("{error}")))?,
        };
        self.find(run, key).await
    }

    async fn keys(&self) -> Result<Vec<String>, ArtifactError> {
        self.may_read("listing artifacts")?;
        let (store, run) = (self.shelf.store.clone(), self.shelf.run.clone());
        let listed = blocking(move || store.list(&run)).await?;
        Ok(listed.into_iter().map(|stored| stored.key.to_string()).collect())
    }

    async fn create(&self, key: String) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        let draft = self.shelf.begin(&key).await?.into_file();
        Ok(Box::new(Writer { draft: Some(draft), shelf: self.shelf.clone() }))
    }

    async fn from_workspace(&self, path: String, key: String) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let draft = self.shelf.begin(&key).await?;
        Ok(self.shelf.handle(self.files.keep(&path, draft).await.map_err(from_container)?))
    }

    async fn to_workspace(&self, artifact: Arc<dyn Artifact>, path: String) -> Result<(), ArtifactError> {
        if !self.shelf.scope.is_some_and(|scope| scope.write) {
            return Err(not_granted("writing to the workspace", "write"));
        }
        self.files.put(&*artifact, &path).await.map_err(from_container)
    }
}

struct Handle {
    store: ArtifactStore,
    stored: Stored,
    readable: bool,
}

#[async_trait]
impl Artifact for Handle {
    fn key(&self) -> &ArtifactKey {
        &self.stored.key
    }
    fn digest(&self) -> Digest {
        self.stored.digest
    }
    fn size(&self) -> u64 {
        self.stored.size
    }
    fn media_type(&self) -> &str {
        &self.stored.media_type
    }
    async fn open(&self) -> Result<Box<dyn ArtifactReader>, ArtifactError> {
        if !self.readable {
            return Err(not_granted("reading artifacts", "read"));
        }
        let (store, digest, size) = (self.store.clone(), self.stored.digest, self.stored.size);
        let blob = blocking(move || store.read(digest, size)).await?;
        Ok(Box::new(Reader { blob: Some(blob) }))
    }
}

struct Reader {
    /// Taken while a blocking thread reads; not back after a read that failed or was dropped.
    blob: Option<BlobReader>,
}

#[async_trait]
impl ArtifactReader for Reader {
    async fn read(&mut self, max: usize) -> Result<Bytes, ArtifactError> {
        let mut blob = self.blob.take().ok_or_else(|| ArtifactError::Other("an earlier read failed".to_owned()))?;
        let max = max.min(MAX_READ);
        let read = move || {
            let mut bytes = vec![0; max];
            let mut filled = 0;
            while filled < max {
                match blob.read(&mut bytes[filled..]) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) => return Err(ArtifactError::Other(error.to_string())),
                }
            }
            bytes.truncate(filled);
            Ok((bytes, blob))
        };
        let (bytes, blob) = join(tokio::task::spawn_blocking(read).await)?;
        self.blob = Some(blob);
        Ok(bytes.into())
    }
}

struct Writer {
    draft: Option<Draft>,
    shelf: Shelf,
}

#[async_trait]
impl ArtifactWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        let mut draft = self.draft.take().ok_or_else(|| ArtifactError::Other("an earlier write failed".to_owned()))?;
        self.draft = Some(blocking(move || draft.append(&bytes).map(|()| draft)).await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Arc<dyn Artifact>, ArtifactError> {
        let draft = self.draft.take().ok_or_else(|| ArtifactError::Other("an earlier write failed".to_owned()))?;
        Ok(self.shelf.handle(blocking(move || draft.finish(OCTETS)).await?))
    }
}

fn not_granted(what: &str, scope: &str) -> ArtifactError {
    ArtifactError::NotGranted(format!("{what} is not granted; grant `artifacts: {{ {scope}: true }}`"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ArtifactError> {
    join(tokio::task::spawn_blocking(move || work().map_err(from_store)).await)
}

fn join<T>(joined: Result<Result<T, ArtifactError>, tokio::task::JoinError>) -> Result<T, ArtifactError> {
    joined.unwrap_or_else(|_| Err(ArtifactError::Other("the work on the artifact was interrupted".to_owned())))
}

fn from_store(error: StoreError) -> ArtifactError {
    match error {
        StoreError::NotFound { .. } => ArtifactError::NotFound(error.to_string()),
        StoreError::TooLarge { .. } | StoreError::TooMany { .. } => ArtifactError::TooLarge(error.to_string()),
        StoreError::Io { .. } => ArtifactError::Unavailable(error.to_string()),
        StoreError::Damaged { .. } => ArtifactError::Other(error.to_string()),
    }
}

fn from_container(error: ContainerError) -> ArtifactError {
    match error {
        ContainerError::NotFound(words) => ArtifactError::NotFound(words),
        ContainerError::Invalid(words) => ArtifactError::Invalid(words),
        ContainerError::TooLarge(words) => ArtifactError::TooLarge(words),
        error @ ContainerError::EngineUnavailable(_) => ArtifactError::Unavailable(error.to_string()),
        error => ArtifactError::Other(error.to_string()),
    }
}

/// The other way round, for `containers.save`.
pub(crate) fn to_container(error: ArtifactError) -> ContainerError {
    match error {
        ArtifactError::NotGranted(words) => ContainerError::NotGranted(words),
        ArtifactError::NotFound(words) => ContainerError::NotFound(words),
        ArtifactError::Invalid(words) => ContainerError::Invalid(words),
        ArtifactError::TooLarge(words) => ContainerError::TooLarge(words),
        error => ContainerError::Other(error.to_string()),
    }
}

/// What the command line needs in one: an artifact's record, and its bytes.
impl ArtifactStore {
    /// Opens the artifact `key` of a run.
    ///
    /// # Errors
    /// When there is none, or its bytes are not there.
    pub fn open_key(&self, run: &RunId, key: &ArtifactKey) -> Result<(Stored, BlobReader), StoreError> {
        let stored = self.find(run, key)?;
        let reader = self.read(stored.digest, stored.size)?;
        Ok((stored, reader))
    }
}
