//! What the registry remembers, behind traits: packages and their index, what was pushed, accounts, the journal, jobs.
//!
//! **Purpose.** The rest of the server says what it wants kept; [`Sqlite`] keeps it in one file of the data folder. Another
//! database implements the same traits and is tried by the same tests.
//!
//! **Invariants.**
//! - Each method that changes something is one transaction: it happens wholly, with its line in the audit log, or not.
//! - A version is a row, and [`Packages::publish`] is what makes one: its line, the index document, the snapshot's serial,
//!   the search, the audit log and the notices to owners change together.
//! - Nothing that was read is more than was committed.
//!
//! **Not here.** Bytes of blobs ([`crate::storage`]), and every rule about who may do what.

mod market;
mod sqlite;

pub use market::{Found, Market, Replaced};
pub use sqlite::Sqlite;

use crate::{
    accounts::{Namespace, Token, TokenId, User, UserName},
    error::RegistryError,
    market::markdown::Html,
    status::Change,
    storage::Tag,
};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use semver::Version;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use windlass_contract::{Descriptor, Digest, PluginName};
use windlass_package::{release::Release, signature::PublisherKey, snapshot::BinId};

type Result<T> = std::result::Result<T, RegistryError>;

/// Who does something, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// A user's name, `operator` at the command line, or a trusted publisher.
    pub actor: String,
    /// The token's id.
    pub token: Option<TokenId>,
    /// Where the request came from.
    pub ip: Option<IpAddr>,
}

impl By {
    /// Whoever holds the data folder.
    pub fn operator() -> Self {
        By { actor: "operator (command line)".to_owned(), token: None, ip: None }
    }

    /// The registry itself, in a job.
    pub fn registry() -> Self {
        By { actor: "registry".to_owned(), token: None, ip: None }
    }
}

/// One plugin's document of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The lines.
    pub body: Bytes,
    /// Its validator, with quotes.
    pub etag: String,
    /// The serial at which it became this: of two, the greater is the newer.
    pub serial: u64,
}

/// A release with what the index does not say of it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its line.
    pub release: Release,
    /// What the component said of itself.
    pub descriptor: Descriptor,
}

/// A release that passed the gate.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its line.
    pub release: Release,
    /// What the component said of itself.
    pub descriptor: Descriptor,
    /// Whose signature it carries. A namespace that has no key yet takes it.
    pub key: PublisherKey,
    /// The digest of its README's Markdown.
    pub readme: Option<Digest>,
    /// What its page shows.
    pub rendered: Rendered,
}

/// The Markdown of a release as a page shows it.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The README.
    pub readme: Option<Html>,
    /// The documentation of each step type that has some.
    pub docs: BTreeMap<String, Html>,
}

/// What [`Packages::publish`] came to.
#[derive(Debug)]
pub enum Published {
    /// It is a version now.
    New(Document),
    /// It was one already, with the same content.
    Same(Box<Release>),
    /// That version has other content.
    Other,
    /// The namespace's keys are others.
    OtherKey(Vec<PublisherKey>),
}

/// What a snapshot says, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotState {
    /// Grows with every change of the index.
    pub serial: u64,
    /// When it became this.
    pub created: Timestamp,
    /// The digest of each bin.
    pub bins: BTreeMap<BinId, Digest>,
}

/// Plugins, their releases, the index and its snapshot.
#[async_trait]
pub trait Packages: Send + Sync {
    /// A plugin's document of the index.
    async fn document(&self, name: &PluginName) -> Result<Option<Document>>;
    /// Every plugin that has a document.
    async fn documents(&self) -> Result<Vec<PluginName>>;
    /// One release.
    async fn release(&self, name: &PluginName, version: &Version) -> Result<Option<Stored>>;
    /// All releases of a plugin, oldest first.
    async fn releases(&self, name: &PluginName) -> Result<Vec<Stored>>;
    /// Every package, plugin or not.
    async fn names(&self) -> Result<Vec<PluginName>>;
    /// Makes a version.
    async fn publish(&self, publication: &Publication, by: &By) -> Result<Published>;
    /// Changes a release's status, and tells the owners.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], and [`RegistryError::Conflict`] when it cannot be changed so.
    async fn change_status(&self, name: &PluginName, version: &Version, change: &Change, by: &By) -> Result<Document>;
    /// The components and manifests that must not be handed out: of releases that are quarantined or removed.
    async fn withheld(&self) -> Result<BTreeSet<Digest>>;
    /// The serial of the snapshot.
    async fn serial(&self) -> Result<u64>;
    /// The snapshot.
    async fn snapshot(&self) -> Result<SnapshotState>;
    /// The text of a bin, current or retired.
    async fn bin(&self, digest: &Digest) -> Result<Option<String>>;
    /// Makes the snapshot anew at `now`, under the next serial.
    async fn renew_snapshot(&self, now: Timestamp) -> Result<()>;
    /// Forgets the bins that were retired before.
    async fn forget_bins(&self, before: Timestamp) -> Result<()>;
}

/// A manifest as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Of its bytes.
    pub digest: Digest,
    /// As it is served.
    pub media_type: String,
    /// What kind of artifact it is, as the list of referrers calls it.
    pub artifact_type: Option<String>,
    /// What it refers to.
    pub subject: Option<Digest>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The blobs and manifests that it needs.
    pub parts: BTreeSet<Digest>,
    /// Its bytes.
    pub body: Bytes,
}

/// An entry of a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Of the manifest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// As it is served.
    pub media_type: String,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What putting a manifest came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is kept.
    Done,
    /// The tag is a version, and has other content.
    VersionIsOther,
}

/// What deleting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// It was not there.
    Unknown,
    /// A version needs it.
    OfVersion,
    /// A tag or another manifest needs it.
    Needed,
}

/// What was pushed.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// Whether anything was ever pushed there.
    async fn has_repository(&self, name: &PluginName) -> Result<bool>;
    /// The bytes of a manifest, and their media type.
    async fn manifest(&self, name: &PluginName, digest: &Digest) -> Result<Option<(String, Bytes)>>;
    /// What a tag points at.
    async fn tag(&self, name: &PluginName, tag: &Tag) -> Result<Option<Digest>>;
    /// Keeps a manifest, with a tag for it, and makes the repository if it is the first.
    async fn put_manifest(
        &self,
        name: &PluginName,
        manifest: &StoredManifest,
        tag: Option<&Tag>,
        by: &By,
    ) -> Result<Put>;
    /// At most `limit` tags after `last`, in order.
    async fn tags(&self, name: &PluginName, last: Option<&str>, limit: usize) -> Result<Vec<String>>;
    /// At most `limit` manifests that refer to `subject`, after the one with the digest `last`, in order.
    async fn referrers(
        &self,
        name: &PluginName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Referrer>>;
    /// Forgets a tag.
    async fn delete_tag(&self, name: &PluginName, tag: &Tag, by: &By) -> Result<Deleted>;
    /// Forgets a manifest, with the tags that are no versions.
    async fn delete_manifest(&self, name: &PluginName, digest: &Digest, by: &By) -> Result<Deleted>;
    /// Whether any manifest of any repository needs this blob.
    async fn is_needed(&self, blob: &Digest) -> Result<bool>;
    /// Notes that a namespace pushed a blob, or mounted it.
    async fn note_push(&self, blob: &Digest, namespace: &Namespace) -> Result<()>;
    /// Whether another namespace pushed a blob lately.
    async fn is_pushed_by_others(&self, blob: &Digest, namespace: &Namespace) -> Result<bool>;
    /// Forgets who pushed what before.
    async fn forget_pushes(&self, before: Timestamp) -> Result<()>;
}

/// A key of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceKey {
    /// The key.
    pub key: PublisherKey,
    /// Since when.
    pub added: Timestamp,
    /// Since when it is not accepted any more, and why.
    pub revoked: Option<(Timestamp, String)>,
}

/// Who may publish without a token of the registry's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPublisher {
    /// Its number.
    pub id: i64,
    /// What it may publish to.
    pub namespace: Namespace,
    /// Who vouches for it.
    pub issuer: String,
    /// What the issuer must say of it.
    pub claims: BTreeMap<String, String>,
}

/// Users, tokens, namespaces.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// A user.
    async fn user(&self, name: &UserName) -> Result<Option<User>>;
    /// Adds a user.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when there is one of that name.
    async fn add_user(&self, name: &UserName, admin: bool, by: &By) -> Result<User>;
    /// Keeps a token.
    async fn add_token(&self, token: &Token, by: &By) -> Result<()>;
    /// A token by its id.
    async fn token(&self, id: &TokenId) -> Result<Option<Token>>;
    /// The tokens of a user, or all.
    async fn tokens(&self, user: Option<&User>) -> Result<Vec<Token>>;
    /// Ends a token. `of`: only if it is that user's.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when there is none.
    async fn revoke_token(&self, id: &TokenId, of: Option<&User>, by: &By) -> Result<()>;
    /// Notes that a token was used.
    async fn touch_token(&self, id: &TokenId, at: Timestamp) -> Result<()>;
    /// Every namespace.
    async fn namespaces(&self) -> Result<Vec<Namespace>>;
    /// Whether a user owns a namespace.
    async fn owns(&self, user: &User, namespace: &Namespace) -> Result<bool>;
    /// Gives a namespace to a user. With `beside`, also one that has owners.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it has.
    async fn claim(&self, namespace: &Namespace, user: &User, beside: bool, by: &By) -> Result<()>;
    /// The owners of a namespace.
    async fn owners(&self, namespace: &Namespace) -> Result<Vec<UserName>>;
    /// Adds an owner.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when there is no such user.
    async fn add_owner(&self, namespace: &Namespace, user: &UserName, by: &By) -> Result<()>;
    /// Removes an owner.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it is the last one.
    async fn remove_owner(&self, namespace: &Namespace, user: &UserName, by: &By) -> Result<()>;
    /// The keys of a namespace, revoked ones too.
    async fn keys(&self, namespace: &Namespace) -> Result<Vec<NamespaceKey>>;
    /// Adds a key.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it was revoked.
    async fn add_key(&self, namespace: &Namespace, key: &PublisherKey, by: &By) -> Result<()>;
    /// Revokes a key.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when the namespace does not have it.
    async fn revoke_key(&self, namespace: &Namespace, key: &PublisherKey, reason: &str, by: &By) -> Result<()>;
    /// The trusted publishers of a namespace.
    async fn trusted_publishers(&self, namespace: &Namespace) -> Result<Vec<TrustedPublisher>>;
    /// Adds a trusted publisher; gives its number.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] when it is there.
    async fn add_trusted_publisher(
        &self,
        namespace: &Namespace,
        issuer: &str,
        claims: &BTreeMap<String, String>,
        by: &By,
    ) -> Result<i64>;
    /// Removes a trusted publisher.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when the namespace does not have it.
    async fn remove_trusted_publisher(&self, namespace: &Namespace, id: i64, by: &By) -> Result<()>;
    /// Notes that a token of an issuer was exchanged; `false` when it had been already.
    async fn use_jti(&self, issuer: &str, jti: &str, expires: Timestamp) -> Result<bool>;
    /// Forgets tokens and used ids that expired before.
    async fn forget_expired(&self, before: Timestamp) -> Result<()>;
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number; they grow.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// With which token.
    pub token: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// What was done.
    pub action: String,
    /// In which namespace.
    pub namespace: Option<String>,
    /// To what.
    pub subject: String,
    /// More, in words.
    pub detail: String,
}

/// Something that an owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerNotice {
    /// Its number; they grow.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The action that it is about, as in the audit log.
    pub kind: String,
    /// To what it was done.
    pub subject: String,
    /// In words.
    pub words: String,
}

/// What was done.
#[async_trait]
pub trait Journal: Send + Sync {
    /// At most `limit` lines before the one with the number `before`, the newest first.
    async fn audit(&self, namespace: Option<&Namespace>, before: Option<i64>, limit: usize) -> Result<Vec<AuditLine>>;
    /// At most `limit` notices to a user before the one with the number `before`, the newest first.
    async fn notices(&self, user: &User, before: Option<i64>, limit: usize) -> Result<Vec<OwnerNotice>>;
}

/// Work for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What kind.
    pub kind: String,
    /// On what.
    pub payload: String,
    /// How often it was begun and not ended, this time included.
    pub attempts: u32,
}

/// Work for later, which survives the process.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Asks for work at a time, or sooner if it was asked for.
    async fn schedule(&self, kind: &str, payload: &str, at: Timestamp) -> Result<()>;
    /// Takes the job that has waited for longest, for oneself until `lease`.
    async fn take(&self, now: Timestamp, lease: Timestamp) -> Result<Option<Job>>;
    /// A job is done; again at a time, if one is given.
    async fn done(&self, job: &Job, again: Option<Timestamp>) -> Result<()>;
    /// A job could not be done; again at a time.
    async fn failed(&self, job: &Job, why: &str, again: Timestamp) -> Result<()>;
}

/// All of it.
#[async_trait]
pub trait Database: Packages + Repositories + Accounts + Journal + Jobs + Market {
    /// Whether it answers.
    async fn ping(&self) -> Result<()>;
    /// Lets go of the file, after what was begun.
    async fn close(&self);
}
