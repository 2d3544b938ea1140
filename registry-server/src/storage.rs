//! Bytes on the disk: blobs by digest, manifests by repository, uploads in the making.
//!
//! ```text
//! blobs/sha256/ab/<hex>                             shared by all repositories
//! repositories/<namespace>/<name>/manifests/<hex>   what was pushed there
//!                                 /tags/<tag>       a digest; never of a version
//!                                 /referrers/<subject hex>/<hex>
//! uploads/<id>                                      until finished, at most an hour
//! namespaces/<namespace>                            the publisher's key
//! ```
//!
//! Functions here block: callers put them on a thread for that.

use crate::error::RegistryError;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use windlass_contract::{Digest, PluginName};
use windlass_package::signature::PublisherKey;

/// How long an upload that nobody finishes is kept, in seconds: an hour.
pub const UPLOAD_LIFE: Duration = Duration::from_secs(3600);
/// Uploads at once; one more is refused until one of them ends or an hour is over.
pub const MAX_UPLOADS: usize = 64;

/// The folder.
pub struct Storage {
    data: PathBuf,
    /// Held as long as the server lives.
    _lock: File,
}

/// A tag: 1 to 128 letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && !text.starts_with(['.', '-']);
        if sound { Ok(Tag(text.to_owned())) } else { Err(()) }
    }
}

/// An upload's id: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(String);

impl UploadId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let sound = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if sound { Ok(UploadId(text.to_owned())) } else { Err(()) }
    }
}

/// Writes a file so that a crash leaves the old one or the new one.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| RegistryError::io("write", path, error))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RegistryError::io("read", path, error)),
    }
}

/// The names of a folder's files that `parse` accepts, sorted; none where there is no folder.
fn listed<T: Ord>(folder: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, RegistryError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RegistryError::io("read", folder, error)),
    };
    let mut names: Vec<T> = entries.filter_map(|entry| entry.ok()?.file_name().to_str().and_then(&parse)).collect();
    names.sort();
    Ok(names)
}

impl Storage {
    /// Opens, or makes, the folder.
    ///
    /// # Errors
    /// When another server holds it.
    pub fn open(data: PathBuf) -> Result<Self, RegistryError> {
        let io = |error| RegistryError::io("open", &data, error);
        fs::create_dir_all(data.join("uploads")).map_err(io)?;
        let lock = File::options().create(true).truncate(false).write(true).open(data.join(".lock")).map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => RegistryError::InUse(data.display().to_string()),
            fs::TryLockError::Error(error) => io(error),
        })?;
        Ok(Storage { data, _lock: lock })
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.data.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    /// The size of a blob that is here.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().filter(fs::Metadata::is_file).map(|file| file.len())
    }

    /// A blob, if it is here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        read(&self.blob_path(digest))
    }

    fn uploads(&self) -> PathBuf {
        self.data.join("uploads")
    }

    /// Where an upload's bytes are.
    pub fn upload_path(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(&id.0)
    }

    /// Begins an upload; `None` when there are too many. Those that were given up are cleared away on this occasion.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn begin_upload(&self) -> Result<Option<UploadId>, RegistryError> {
        let folder = self.uploads();
        let io = |error| RegistryError::io("use", &folder, error);
        let mut open = 0;
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let age = entry.metadata().ok().and_then(|file| file.modified().ok()).and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > UPLOAD_LIFE) {
                let _ = fs::remove_file(entry.path());
            } else {
                open += 1;
            }
        }
        if open >= MAX_UPLOADS {
            return Ok(None);
        }
        let mut id = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut id);
        let id = UploadId(hex::encode(id));
        File::create_new(self.upload_path(&id)).map_err(io)?;
        Ok(Some(id))
    }

    /// Makes an upload the blob `digest`, if that is what its bytes are; else gives their digest. It is gone either way.
    ///
    /// # Errors
    /// When it cannot be read or moved.
    pub fn finish_upload(&self, id: &UploadId, digest: &Digest) -> Result<Result<(), Digest>, RegistryError> {
        let (from, to) = (self.upload_path(id), self.blob_path(digest));
        let finish = || -> std::io::Result<Result<(), Digest>> {
            let mut file = File::open(&from)?;
            let (mut hash, mut buffer) = (Sha256::new(), vec![0; 128 * 1024]);
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    n => hash.update(&buffer[..n]),
                }
            }
            let found = Digest::from_bytes(hash.finalize().into());
            if found != *digest {
                fs::remove_file(&from)?;
                return Ok(Err(found));
            }
            file.sync_all()?;
            let folder = to.parent().unwrap_or(&self.data);
            fs::create_dir_all(folder)?;
            fs::rename(&from, &to)?;
            File::open(folder)?.sync_all()?;
            Ok(Ok(()))
        };
        finish().map_err(|error| RegistryError::io("keep", &from, error))
    }

    /// Forgets an upload.
    pub fn cancel_upload(&self, id: &UploadId) {
        let _ = fs::remove_file(self.upload_path(id));
    }

    fn repository(&self, name: &PluginName) -> PathBuf {
        self.data.join("repositories").join(name.namespace()).join(name.name())
    }

    /// Whether anything was ever pushed there.
    pub fn has_repository(&self, name: &PluginName) -> bool {
        self.repository(name).is_dir()
    }

    /// Keeps a manifest, and notes what it refers to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_manifest(
        &self,
        name: &PluginName,
        bytes: &[u8],
        subject: Option<&Digest>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        let repository = self.repository(name);
        write_atomic(&repository.join("manifests").join(digest.hex()), bytes)?;
        if let Some(subject) = subject {
            write_atomic(&repository.join("referrers").join(subject.hex()).join(digest.hex()), b"")?;
        }
        Ok(digest)
    }

    /// A manifest of a repository.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn manifest(&self, name: &PluginName, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        read(&self.repository(name).join("manifests").join(digest.hex()))
    }

    /// The manifests that refer to `subject`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn referrers(&self, name: &PluginName, subject: &Digest) -> Result<Vec<Digest>, RegistryError> {
        let folder = self.repository(name).join("referrers").join(subject.hex());
        listed(&folder, |hex| format!("sha256:{hex}").parse().ok())
    }

    /// Points a tag at a manifest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_tag(&self, name: &PluginName, tag: &Tag, digest: &Digest) -> Result<(), RegistryError> {
        write_atomic(&self.repository(name).join("tags").join(tag.as_str()), digest.to_string().as_bytes())
    }

    /// What a tag points at.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tag(&self, name: &PluginName, tag: &Tag) -> Result<Option<Digest>, RegistryError> {
        let bytes = read(&self.repository(name).join("tags").join(tag.as_str()))?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()))
    }

    /// The tags of a repository, sorted; without versions, which the index has.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn tags(&self, name: &PluginName) -> Result<Vec<Tag>, RegistryError> {
        listed(&self.repository(name).join("tags"), |tag| tag.parse().ok())
    }

    fn namespace(&self, name: &PluginName) -> PathBuf {
        self.data.join("namespaces").join(name.namespace())
    }

    /// The publisher's key of a plugin's namespace.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn publisher(&self, name: &PluginName) -> Result<Option<PublisherKey>, RegistryError> {
        let path = self.namespace(name);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let key = String::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        // A damaged binding must not be taken for none.
        key.map(Some).ok_or_else(|| RegistryError::io("read", &path, ErrorKind::InvalidData.into()))
    }

    /// Binds a namespace to a publisher's key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn bind_publisher(&self, name: &PluginName, key: &PublisherKey) -> Result<(), RegistryError> {
        write_atomic(&self.namespace(name), format!("{key}\n").as_bytes())
    }
}
