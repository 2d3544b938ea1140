//! Bytes: blobs by their digest, and uploads in the making, behind a trait.
//!
//! **Invariants.** A blob is there wholly or not at all, and is what its digest says: it comes into being by one rename of
//! bytes that were hashed and synced. What is not needed by any manifest may be deleted at any time, but not within
//! [`BLOB_REST`] of when it was last put or mounted, so that a client can push a manifest after its blobs.
//!
//! **Not here.** Who needs a blob: the database knows.

mod folder;

pub use folder::Folder;

use crate::error::RegistryError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use windlass_contract::{Digest, PluginName};

/// How long an upload that nobody finishes is kept, in seconds: an hour.
pub const UPLOAD_LIFE: Duration = Duration::from_secs(3600);
/// Uploads at once in one namespace; one more is refused until one of them ends or an hour is over.
pub const MAX_UPLOADS: usize = 64;
/// How long a blob that no manifest needs is kept, in seconds: a day, which is far more than a push takes.
pub const BLOB_REST: Duration = Duration::from_secs(24 * 3600);

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

/// An upload, and where it was begun: who learns its id can do nothing with it in another repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where its blob will be.
    pub repository: PluginName,
    /// Its id.
    pub id: UploadId,
}

/// Bytes as they come.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// What appending to an upload came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Appended {
    /// The upload has so many bytes now.
    Size(u64),
    /// There is no such upload.
    Unknown,
    /// Another request works on it.
    Busy,
    /// It has so many bytes, and the chunk would have left a gap or begun before its end.
    Gap(u64),
    /// It would be larger than a blob may be; it is gone.
    TooLarge,
    /// The bytes stopped coming, for this reason. Those that came are kept.
    BrokeOff(String),
}

/// What finishing an upload came to. It is gone in each case but the one.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is a blob now.
    Kept,
    /// There was no such upload.
    Unknown,
    /// Another request works on it; it stays.
    Busy,
    /// Its bytes have this digest, and not the one that was said.
    Other(Digest),
}

/// A blob in a file of this machine's, for the compiler.
#[derive(Debug)]
pub struct LocalBlob(PathBuf);

impl LocalBlob {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Where bytes are kept.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// The size of a blob that is here.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError>;
    /// The bytes of a blob from `first` to `last`, both included and inside of it.
    async fn open(&self, digest: &Digest, first: u64, last: u64) -> Result<Option<ByteStream>, RegistryError>;
    /// All of a blob. The caller has looked at its size.
    async fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError>;
    /// A blob as a file.
    async fn local(&self, digest: &Digest) -> Result<Option<LocalBlob>, RegistryError>;
    /// Notes that somebody counts on a blob: its [`BLOB_REST`] begins anew. `false`: it is not here.
    async fn touch(&self, digest: &Digest) -> Result<bool, RegistryError>;
    /// Deletes a blob.
    async fn delete(&self, digest: &Digest) -> Result<(), RegistryError>;
    /// Whether a blob has had its [`BLOB_REST`].
    async fn is_rested(&self, digest: &Digest) -> Result<bool, RegistryError>;
    /// The blobs that have had it.
    async fn rested(&self) -> Result<Vec<Digest>, RegistryError>;

    /// Begins an upload; `None` when its namespace has [`MAX_UPLOADS`].
    async fn begin_upload(&self, repository: &PluginName) -> Result<Option<Upload>, RegistryError>;
    /// How many bytes an upload has.
    async fn upload_size(&self, upload: &Upload) -> Result<Option<u64>, RegistryError>;
    /// Appends to an upload, alone: no other request can change it meanwhile. `from`: where the chunk says that it begins.
    async fn append(
        &self,
        upload: &Upload,
        from: Option<u64>,
        limit: u64,
        body: ByteStream,
    ) -> Result<Appended, RegistryError>;
    /// Makes an upload the blob `digest`, if that is what its bytes are. Nobody writes to it any more then.
    async fn finish_upload(&self, upload: &Upload, digest: &Digest) -> Result<Finished, RegistryError>;
    /// Forgets an upload. `false`: there was none.
    async fn cancel_upload(&self, upload: &Upload) -> Result<bool, RegistryError>;
    /// Forgets the uploads that nobody finished; gives how many are open still.
    async fn clear_uploads(&self) -> Result<usize, RegistryError>;
}
