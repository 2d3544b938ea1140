//! The folder of compiled components.
//!
//! Compiled code is trusted as the host itself is, so this folder is the host's alone: mode 0700, and each file carries a
//! MAC under a key that is made here and never leaves it. A file that is missing, cut short, changed, moved from
//! another component or from another machine is a miss, never an error and never code that runs.
//!
//! A component has up to three files: `<digest>-<engine>.cwasm`, the same with `.mac`, and instead of both `.refused`
//! with the compiler's refusal. All are written beside their place, synced, and renamed into it.

use crate::{error::RuntimeError, limits};
use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};
use windlass_contract::Digest;

/// The folder, its key, and the engine whose code is in it.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    engine: String,
}

/// What the compiler said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a component that this host can compile.
    Invalid(String),
    /// A limit was used up.
    Limit(String),
}

impl Refusal {
    pub(crate) fn into_error(self, digest: Digest) -> RuntimeError {
        match self {
            Refusal::Invalid(words) => RuntimeError::Refused { digest, words },
            Refusal::Limit(words) => RuntimeError::CompileLimit { digest, words },
        }
    }
}

impl Cache {
    /// Opens the folder, and makes it where it is not there yet.
    pub(crate) fn open(folder: PathBuf, engine: String) -> Result<Self, RuntimeError> {
        let failed = |cause| RuntimeError::Cache { path: folder.clone(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let found = fs::metadata(&folder).map_err(failed)?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
            return Err(RuntimeError::CacheShared { path: folder });
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let key = key(&folder).map_err(failed)?;
        Ok(Cache { folder, key, engine })
    }

    fn path(&self, digest: Digest, ending: &str) -> PathBuf {
        self.folder.join(format!("{}-{}.{ending}", digest.hex(), self.engine))
    }

    /// An error about this folder.
    pub(crate) fn error(&self, cause: io::Error) -> RuntimeError {
        RuntimeError::Cache { path: self.folder.clone(), cause }
    }

    /// The compiled form, if it is there and is what was put there.
    pub(crate) fn find(&self, digest: Digest) -> Result<PathBuf, &'static str> {
        let path = self.path(digest, "cwasm");
        let mut file =
            File::open(&path).map_err(|_| "it has not been compiled on this machine for this version of windlass")?;
        let recorded = fs::read_to_string(self.path(digest, "mac")).map_err(|_| "its compiled form is not complete")?;
        let recorded = blake3::Hash::from_hex(recorded.trim()).map_err(|_| "its compiled form is not complete")?;
        let mac = self.mac(digest, &mut file).map_err(|_| "its compiled form cannot be read")?;
        // Compares in constant time.
        if mac != recorded {
            return Err("its compiled form was changed after it was written, and is not used");
        }
        Ok(path)
    }

    /// Keyed BLAKE3, because it is paid at every load: some times as fast as HMAC-SHA-256 where both have their instructions.
    fn mac(&self, digest: Digest, file: &mut File) -> io::Result<blake3::Hash> {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(digest.as_bytes());
        mac.update(self.engine.as_bytes());
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(mac.finalize()),
                read => mac.update(&buffer[..read]),
            };
        }
    }

    /// A file to write to, which is gone unless it is kept.
    pub(crate) fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(".writing-").tempfile_in(&self.folder)
    }

    /// Keeps what was compiled.
    pub(crate) fn keep(&self, digest: Digest, compiled: tempfile::NamedTempFile) -> io::Result<u64> {
        let mut file = compiled.reopen()?;
        let mac = self.mac(digest, &mut file)?.to_hex();
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        let mut beside = self.temporary()?;
        beside.write_all(mac.as_bytes())?;
        beside.as_file().sync_all()?;
        compiled.persist(self.path(digest, "cwasm"))?;
        beside.persist(self.path(digest, "mac"))?;
        let _ = fs::remove_file(self.path(digest, "refused"));
        File::open(&self.folder)?.sync_all()?;
        Ok(bytes)
    }

    /// Remembers a refusal.
    pub(crate) fn refuse(&self, digest: Digest, refusal: &Refusal) -> io::Result<()> {
        let (kind, words) = match refusal {
            Refusal::Invalid(words) => ("invalid", words),
            Refusal::Limit(words) => ("limit", words),
        };
        let mut file = self.temporary()?;
        write!(file, "{kind}\n{words}")?;
        file.as_file().sync_all()?;
        file.persist(self.path(digest, "refused"))?;
        Ok(())
    }

    /// A refusal that is still remembered.
    pub(crate) fn refused(&self, digest: Digest) -> Option<Refusal> {
        let path = self.path(digest, "refused");
        let age = fs::metadata(&path).ok()?.modified().ok()?.elapsed().unwrap_or_default();
        if age > limits::REFUSAL_REMEMBERED {
            return None;
        }
        let text = fs::read_to_string(&path).ok()?;
        match text.split_once('\n')? {
            ("invalid", words) => Some(Refusal::Invalid(words.to_owned())),
            ("limit", words) => Some(Refusal::Limit(words.to_owned())),
            _ => None,
        }
    }
}

/// The folder's key; the first who comes makes it, and all others read that one.
fn key(folder: &Path) -> io::Result<[u8; 32]> {
    let path = folder.join("key");
    if !path.exists() {
        let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
        file.write_all(&rand::random::<[u8; 32]>())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
    }
    let bytes = fs::read(&path)?;
    bytes.try_into().map_err(|_| io::Error::other("its file `key` does not have 32 bytes; remove the folder"))
}
