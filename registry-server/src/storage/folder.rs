//! Blobs in a folder.
//!
//! ```text
//! blobs/sha256/ab/<hex>     shared by all repositories
//! uploads/<ns>.<name>.<id>  until finished, at most an hour
//! .lock                     held as long as the server lives
//! ```

use super::{Appended, BLOB_REST, Blobs, ByteStream, Finished, LocalBlob, MAX_UPLOADS, UPLOAD_LIFE, Upload, UploadId};
use crate::{
    error::RegistryError,
    failpoints::{AFTER_BLOB_RENAME, BEFORE_BLOB_RENAME, crash_point},
};
use async_trait::async_trait;
use futures::StreamExt as _;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;
use windlass_contract::{Digest, PluginName};

/// How many bytes of a blob are read at once: each read is a message to another thread and back, and memory for each download.
const READ_BUFFER: usize = 128 * 1024;

/// The folder. Clones share it.
#[derive(Clone)]
pub struct Folder {
    data: Arc<PathBuf>,
    _lock: Arc<File>,
}

impl Folder {
    /// Opens, or makes, the folder.
    ///
    /// # Errors
    /// When another server holds it.
    pub fn open(data: &Path) -> Result<Self, RegistryError> {
        let io = |error| RegistryError::io("open", data, error);
        fs::create_dir_all(data.join("uploads")).map_err(io)?;
        fs::create_dir_all(data.join("blobs/sha256")).map_err(io)?;
        let lock = File::options().create(true).truncate(false).write(true).open(data.join(".lock")).map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => RegistryError::InUse(data.display().to_string()),
            fs::TryLockError::Error(error) => io(error),
        })?;
        Ok(Folder { data: Arc::new(data.to_owned()), _lock: Arc::new(lock) })
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.data.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    /// A dot is in no name, so the parts cannot run into each other.
    fn upload_path(&self, upload: &Upload) -> PathBuf {
        let Upload { repository, id } = upload;
        let file = format!("{}.{}.{}", repository.namespace(), repository.name(), id.as_str());
        self.data.join("uploads").join(file)
    }

    /// Runs what blocks on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        path: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let task =
            tokio::task::spawn_blocking(move || work(&path).map_err(|error| RegistryError::io(what, &path, error)));
        task.await.unwrap_or_else(|error| Err(RegistryError::io(what, &self.data, io::Error::other(error))))
    }
}

/// `None` where there is no file.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_older(file: &fs::Metadata, than: Duration) -> bool {
    // A clock that was set back makes a file of the future, which is not old.
    file.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > than)
}

/// Names are random, so two servers that shared a folder by mistake would not share an upload.
fn new_id() -> Option<UploadId> {
    let mut id = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut id);
    hex::encode(id).parse().ok()
}

/// What there is of a file, unless it is a link: a blob is a file of this folder, and whatever a link points to is not.
fn regular(path: &Path) -> io::Result<Option<fs::Metadata>> {
    Ok(if_there(fs::symlink_metadata(path))?.filter(fs::Metadata::is_file))
}

/// An upload in the hands of one request.
enum Held {
    /// There is none.
    Unknown,
    /// In the hands of another.
    Busy,
    /// Until this is closed.
    File(File),
}

/// Takes an upload. Without that a request that is still writing could go on when the upload has become a blob, and change it.
fn hold(path: &Path) -> io::Result<Held> {
    let Some(file) = if_there(File::options().read(true).append(true).open(path))? else { return Ok(Held::Unknown) };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(Held::Busy),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // Whoever had it before may have ended it between the opening and the lock: then this file has another name, or none.
    let opened = file.metadata()?;
    let named = regular(path)?.is_some_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
    Ok(if named { Held::File(file) } else { Held::Unknown })
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; READ_BUFFER]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

#[async_trait]
impl Blobs for Folder {
    async fn size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        self.blocking("look for", self.blob_path(digest), |path| Ok(regular(path)?.map(|file| file.len()))).await
    }

    async fn open(&self, digest: &Digest, first: u64, last: u64) -> Result<Option<ByteStream>, RegistryError> {
        let path = self.blob_path(digest);
        let io = |error| RegistryError::io("read", &path, error);
        let Some(mut file) = if_there(tokio::fs::File::open(&path).await).map_err(io)? else { return Ok(None) };
        if first > 0 {
            file.seek(SeekFrom::Start(first)).await.map_err(io)?;
        }
        let part = file.take((last + 1).saturating_sub(first));
        Ok(Some(ReaderStream::with_capacity(part, READ_BUFFER).boxed()))
    }

    async fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = self.blob_path(digest);
        if_there(tokio::fs::read(&path).await).map_err(|error| RegistryError::io("read", &path, error))
    }

    async fn local(&self, digest: &Digest) -> Result<Option<LocalBlob>, RegistryError> {
        Ok(self.size(digest).await?.map(|_| LocalBlob(self.blob_path(digest))))
    }

    async fn touch(&self, digest: &Digest) -> Result<bool, RegistryError> {
        self.blocking("touch", self.blob_path(digest), |path| {
            if regular(path)?.is_none() {
                return Ok(false);
            }
            let Some(file) = if_there(File::options().write(true).open(path))? else { return Ok(false) };
            file.set_modified(SystemTime::now())?;
            Ok(true)
        })
        .await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), RegistryError> {
        self.blocking("delete", self.blob_path(digest), |path| if_there(fs::remove_file(path)).map(|_| ())).await
    }

    async fn is_rested(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let path = self.blob_path(digest);
        let found = if_there(tokio::fs::metadata(&path).await);
        let found = found.map_err(|error| RegistryError::io("look for", &path, error))?;
        Ok(found.is_some_and(|file| is_older(&file, BLOB_REST)))
    }

    async fn rested(&self) -> Result<Vec<Digest>, RegistryError> {
        self.blocking("list", self.data.join("blobs/sha256"), |path| {
            let mut all = Vec::new();
            for folder in fs::read_dir(path)? {
                for file in fs::read_dir(folder?.path())? {
                    let file = file?;
                    let Some(digest) = file.file_name().to_str().and_then(|hex| format!("sha256:{hex}").parse().ok())
                    else {
                        continue;
                    };
                    if is_older(&file.metadata()?, BLOB_REST) {
                        all.push(digest);
                    }
                }
            }
            Ok(all)
        })
        .await
    }

    async fn begin_upload(&self, repository: &PluginName) -> Result<Option<Upload>, RegistryError> {
        self.clear_uploads().await?;
        let Some(id) = new_id() else { return Ok(None) };
        let upload = Upload { repository: repository.clone(), id };
        let (path, theirs) = (self.upload_path(&upload), format!("{}.", repository.namespace()));
        let begun = self.blocking("make", path, move |path| {
            let entries = fs::read_dir(path.parent().unwrap_or(Path::new(".")))?;
            let open = entries.filter(|entry| {
                let name = entry.as_ref().map(fs::DirEntry::file_name);
                name.is_ok_and(|name| name.to_str().is_some_and(|name| name.starts_with(&theirs)))
            });
            let has_room = open.count() < MAX_UPLOADS;
            if has_room {
                File::create_new(path)?;
            }
            Ok(has_room)
        });
        Ok(begun.await?.then_some(upload))
    }

    async fn upload_size(&self, upload: &Upload) -> Result<Option<u64>, RegistryError> {
        self.blocking("look for", self.upload_path(upload), |path| Ok(regular(path)?.map(|file| file.len()))).await
    }

    async fn append(
        &self,
        upload: &Upload,
        from: Option<u64>,
        limit: u64,
        mut body: ByteStream,
    ) -> Result<Appended, RegistryError> {
        let path = self.upload_path(upload);
        let io = |error| RegistryError::io("write", &path, error);
        let mut file = match self.blocking("write", path.clone(), hold).await? {
            Held::Unknown => return Ok(Appended::Unknown),
            Held::Busy => return Ok(Appended::Busy),
            Held::File(file) => tokio::fs::File::from_std(file),
        };
        let mut size = file.metadata().await.map_err(io)?.len();
        if from.is_some_and(|from| from != size) {
            return Ok(Appended::Gap(size));
        }
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    file.flush().await.map_err(io)?;
                    return Ok(Appended::BrokeOff(error.to_string()));
                }
            };
            size += chunk.len() as u64;
            if size > limit {
                self.cancel_upload(upload).await?;
                return Ok(Appended::TooLarge);
            }
            file.write_all(&chunk).await.map_err(io)?;
        }
        file.flush().await.map_err(io)?;
        Ok(Appended::Size(size))
    }

    async fn finish_upload(&self, upload: &Upload, digest: &Digest) -> Result<Finished, RegistryError> {
        let (to, wanted) = (self.blob_path(digest), *digest);
        self.blocking("keep", self.upload_path(upload), move |from| {
            let mut file = match hold(from)? {
                Held::Unknown => return Ok(Finished::Unknown),
                Held::Busy => return Ok(Finished::Busy),
                Held::File(file) => file,
            };
            let found = hash(&mut file)?;
            if found != wanted {
                fs::remove_file(from)?;
                return Ok(Finished::Other(found));
            }
            file.sync_all()?;
            let folder = to.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            crash_point(BEFORE_BLOB_RENAME);
            fs::rename(from, &to)?;
            File::open(folder)?.sync_all()?;
            crash_point(AFTER_BLOB_RENAME);
            Ok(Finished::Kept)
        })
        .await
    }

    async fn cancel_upload(&self, upload: &Upload) -> Result<bool, RegistryError> {
        self.blocking("forget", self.upload_path(upload), |path| Ok(if_there(fs::remove_file(path))?.is_some())).await
    }

    async fn clear_uploads(&self) -> Result<usize, RegistryError> {
        self.blocking("clear", self.data.join("uploads"), |path| {
            let mut open = 0;
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                // One that was finished meanwhile is not there any more.
                let Some(file) = if_there(entry.metadata())? else { continue };
                if is_older(&file, UPLOAD_LIFE) {
                    if_there(fs::remove_file(entry.path()))?;
                } else {
                    open += 1;
                }
            }
            Ok(open)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(path: &Path, by: Duration) {
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
    }

    async fn put(blobs: &Folder, bytes: &'static [u8]) -> Digest {
        let (upload, digest) = (begin(blobs).await, Digest::of(bytes));
        let body = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]).boxed();
        assert_eq!(blobs.append(&upload, None, 100, body).await.unwrap(), Appended::Size(bytes.len() as u64));
        assert_eq!(blobs.finish_upload(&upload, &digest).await.unwrap(), Finished::Kept);
        digest
    }

    async fn begin(blobs: &Folder) -> Upload {
        blobs.begin_upload(&"acme:echo".parse().unwrap()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_upload_is_in_the_hands_of_one_request() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Folder::open(folder.path()).unwrap();
        let (upload, digest) = (begin(&blobs).await, Digest::of(b""));
        let Held::File(held) = hold(&blobs.upload_path(&upload)).unwrap() else { panic!("nobody else has it") };
        let nothing = || futures::stream::empty().boxed();
        assert_eq!(blobs.append(&upload, None, 100, nothing()).await.unwrap(), Appended::Busy);
        assert_eq!(blobs.finish_upload(&upload, &digest).await.unwrap(), Finished::Busy);
        drop(held);
        assert_eq!(blobs.finish_upload(&upload, &digest).await.unwrap(), Finished::Kept);
        assert_eq!(blobs.append(&upload, None, 100, nothing()).await.unwrap(), Appended::Unknown);
    }

    #[tokio::test]
    async fn what_has_rested_and_what_was_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Folder::open(folder.path()).unwrap();
        let (old, new) = (put(&blobs, b"old").await, put(&blobs, b"new").await);
        age(&blobs.blob_path(&old), BLOB_REST + Duration::from_secs(1));
        assert_eq!(blobs.rested().await.unwrap(), [old]);
        assert!(blobs.touch(&old).await.unwrap());
        assert!(blobs.rested().await.unwrap().is_empty(), "somebody counts on it");
        blobs.delete(&new).await.unwrap();
        assert!(!blobs.touch(&new).await.unwrap());

        let upload = begin(&blobs).await;
        assert_eq!(blobs.clear_uploads().await.unwrap(), 1);
        age(&blobs.upload_path(&upload), UPLOAD_LIFE + Duration::from_secs(1));
        assert_eq!(blobs.clear_uploads().await.unwrap(), 0);
        assert_eq!(blobs.upload_size(&upload).await.unwrap(), None);
    }

    #[test]
    fn one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Folder::open(folder.path()).unwrap();
        assert!(matches!(Folder::open(folder.path()).err(), Some(RegistryError::InUse(_))));
    }
}
