//! The components on this machine: content-addressed, so that two projects share one copy.
//!
//! `plugins/<digest>.wasm` are the bytes and `plugins/<digest>.json` is what is known of those bytes ([`Entry`]). The JSON
//! is written last: where it is, the component is whole, inspected, compiled and described. What is known of a *release*
//! (name, version, signature) is in the lock file, because one component may be several releases.

use crate::{
    PackageError,
    files::{Mode, create_dir, read_text, write_atomic},
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use windlass_contract::{Descriptor, Digest, Interface, PluginKind};

/// What is known of a component's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Their digest.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// What it is for.
    pub kinds: BTreeSet<PluginKind>,
    /// What it imports.
    pub imports: BTreeSet<Interface>,
    /// The contract it was built against.
    pub contract: Version,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

/// The folder of components.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// A store in `folder`, which is made when something is put there.
    pub fn new(folder: PathBuf) -> Self {
        Store { folder }
    }

    /// Where a component's bytes are, or would be.
    pub fn wasm(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.hex()))
    }

    fn json(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.json", digest.hex()))
    }

    /// What is known of a component, if it is here whole. Compares sizes and hashes nothing; see [`Store::verify`].
    ///
    /// # Errors
    /// When the entry cannot be read. A damaged entry counts as absent: it is fetched anew.
    pub fn get(&self, digest: &Digest) -> Result<Option<Entry>, PackageError> {
        let Some(text) = read_text(&self.json(digest))? else { return Ok(None) };
        let Ok(entry) = serde_json::from_str::<Entry>(&text) else { return Ok(None) };
        let here = fs::metadata(self.wasm(digest)).is_ok_and(|file| file.is_file() && file.len() == entry.size);
        Ok((here && entry.digest == *digest).then_some(entry))
    }

    /// Keeps a component's bytes, after checking their digest.
    ///
    /// # Errors
    /// [`PackageError::DigestMismatch`], or when it cannot be written.
    pub fn put(&self, digest: &Digest, wasm: &[u8]) -> Result<PathBuf, PackageError> {
        let found = Digest::of(wasm);
        if found != *digest {
            return Err(PackageError::DigestMismatch {
                name: digest.short(),
                what: "the component",
                expected: *digest,
                found,
            });
        }
        let path = self.wasm(digest);
        write_atomic(&path, wasm, Mode::Shared)?;
        Ok(path)
    }

    /// Keeps what is known of them: makes the component whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&self, entry: &Entry) -> Result<(), PackageError> {
        let text = serde_json::to_vec(entry).unwrap_or_default();
        write_atomic(&self.json(&entry.digest), &text, Mode::Shared)
    }

    /// Hashes a component that is here: `Ok(None)` when it is not, the digest of its bytes otherwise.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify(&self, digest: &Digest) -> Result<Option<Digest>, PackageError> {
        let path = self.wasm(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Digest::of(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PackageError::io("read", &path, error)),
        }
    }

    /// Holds the store against other processes, so that two installs do one after the other. Released when dropped, and
    /// by the system when the process dies.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock(&self) -> Result<fs::File, PackageError> {
        create_dir(&self.folder)?;
        let path = self.folder.join(".lock");
        let lock = || {
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| PackageError::io("lock", &path, error))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(wasm: &[u8]) -> Entry {
        Entry {
            digest: Digest::of(wasm),
            size: wasm.len() as u64,
            kinds: [PluginKind::Step].into(),
            imports: BTreeSet::new(),
            contract: Version::new(0, 1, 0),
            descriptor: Descriptor::default(),
        }
    }

    #[test]
    fn a_crash_leaves_no_half_entry() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("plugins"));
        let (wasm, digest) = (b"component".as_slice(), Digest::of(b"component"));
        assert_eq!(store.get(&digest).unwrap(), None, "nothing there");
        store.put(&digest, wasm).unwrap();
        assert_eq!(store.get(&digest).unwrap(), None, "died after the bytes");
        store.finish(&entry(wasm)).unwrap();
        assert!(store.get(&digest).unwrap().is_some());
        // Died while writing a temporary file: it is not taken for anything.
        fs::write(store.folder().join(".tmp-x"), "half").unwrap();
        assert!(store.get(&digest).unwrap().is_some());
        fs::write(store.wasm(&digest), "comp").unwrap();
        assert_eq!(store.get(&digest).unwrap(), None, "cut");
        fs::write(store.json(&digest), "{").unwrap();
        assert_eq!(store.get(&digest).unwrap(), None, "damaged");
    }

    #[test]
    fn bytes_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let digest = Digest::of(b"component");
        assert!(matches!(store.put(&digest, b"other"), Err(PackageError::DigestMismatch { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was kept");
        store.put(&digest, b"component").unwrap();
        fs::write(store.wasm(&digest), "compunent").unwrap();
        assert_eq!(store.verify(&digest).unwrap(), Some(Digest::of(b"compunent")));
    }
}
