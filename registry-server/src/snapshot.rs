//! The signed snapshot of the index: the registry's own key, and how long a snapshot is to be believed.
//!
//! The key is made at the first start and never changes: clients pin it. What is signed follows from the database and the
//! key alone, so nothing of it is kept.

use crate::{database::SnapshotState, error::RegistryError};
use bytes::Bytes;
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use jiff::SignedDuration;
use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::Path,
};
use windlass_contract::Digest;
use windlass_package::{
    signature::PublisherKey,
    snapshot::{SNAPSHOT_FORMAT, SignedSnapshot, Snapshot},
};

/// How long a snapshot is to be believed, in hours: seven days. A registry that is down for a weekend strands nobody, and one
/// that is frozen in time is noticed within a week.
pub const SNAPSHOT_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a bin stays readable after another took its place, in hours: a reader that has begun needs minutes.
pub const BIN_REST: SignedDuration = SignedDuration::from_hours(24);
/// The file of the key in the data folder.
const FILE: &str = "key.pem";

/// The registry's key. It cannot be printed.
pub struct Key(SigningKey);

/// A snapshot as it is served.
pub struct Served {
    /// Its serial.
    pub serial: u64,
    /// What is signed.
    pub signed: SignedSnapshot,
    /// Its JSON.
    pub body: Bytes,
    /// Its validator, with quotes.
    pub etag: String,
}

impl Key {
    /// The key of the registry in the folder `data`; made where there is none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or cannot be written. A damaged key is never replaced: clients would refuse the
    /// registry.
    pub fn open(data: &Path) -> Result<Self, RegistryError> {
        let path = data.join(FILE);
        let bad = |why: String| RegistryError::Key { path: path.display().to_string(), why };
        match fs::read_to_string(&path) {
            Ok(text) => SigningKey::from_pkcs8_pem(&text).map(Key).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = SigningKey::generate(&mut rand::rngs::OsRng);
                let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| bad(error.to_string()))?;
                let write = || -> std::io::Result<bool> {
                    fs::create_dir_all(data)?;
                    // Made for its owner alone, as every temporary file is.
                    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(data)?;
                    file.write_all(pem.as_bytes())?;
                    file.as_file().sync_all()?;
                    match file.persist_noclobber(&path) {
                        Ok(_) => {}
                        // Another process was first: its key is the key.
                        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                        Err(error) => return Err(error.error),
                    }
                    fs::File::open(data)?.sync_all()?;
                    Ok(true)
                };
                match write().map_err(|error| bad(error.to_string()))? {
                    true => Ok(Key(key)),
                    false => Key::open(data),
                }
            }
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// Its public half, as clients pin it.
    pub fn public(&self) -> PublisherKey {
        PublisherKey::of(&self.0)
    }

    /// Signs what the database says.
    pub fn sign(&self, state: &SnapshotState) -> Served {
        let snapshot = Snapshot {
            format: SNAPSHOT_FORMAT,
            serial: state.serial,
            created: state.created,
            expires: state.created + SNAPSHOT_LIFE,
            bins: state.bins.clone(),
        };
        let signed = SignedSnapshot::sign(&snapshot, &self.0);
        // Two texts: their JSON cannot fail.
        let body = Bytes::from(serde_json::to_vec(&signed).unwrap_or_default());
        let etag = format!("\"{}\"", Digest::of(&body).short());
        Served { serial: state.serial, signed, body, etag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open(folder.path()).unwrap().public();
        assert_eq!(Key::open(folder.path()).unwrap().public(), key);
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "damaged").unwrap();
        let error = Key::open(folder.path()).err().unwrap();
        assert!(matches!(error, RegistryError::Key { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "damaged", "it is not replaced");
    }

    #[test]
    fn what_is_signed() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open(folder.path()).unwrap();
        let created: jiff::Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let served = key.sign(&SnapshotState { serial: 7, created, bins: [].into() });
        let signed: SignedSnapshot = serde_json::from_slice(&served.body).unwrap();
        let opened = signed.open(Some(key.public()), created).unwrap();
        assert_eq!((opened.serial, opened.expires), (7, created + SNAPSHOT_LIFE));
        let over = signed.open(Some(key.public()), created + SNAPSHOT_LIFE).unwrap_err();
        assert!(over.contains("expired"), "{over}");
    }
}
