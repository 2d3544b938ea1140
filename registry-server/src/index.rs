//! The sparse index as it is served: one document of JSON lines for each plugin, and the snapshot over all of them.
//!
//! What was asked for lately is in memory as it is sent, so that an answer is one lookup and no copy. The operator's command
//! is another process: [`Index::refresh`] sees by the snapshot's serial that it changed something, and forgets.

use crate::{
    database::{Database, Document},
    error::RegistryError,
    snapshot::{self, Served},
};
use moka::sync::Cache;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use windlass_contract::{Digest, PluginName};
use windlass_package::snapshot::SignedSnapshot;

/// Most memory for documents, in bytes: those of ten thousand plugins with ten versions each.
pub const DOCUMENT_CACHE: u64 = 64 * 1024 * 1024;

/// The index.
pub struct Index {
    database: Arc<dyn Database>,
    key: snapshot::Key,
    documents: Cache<PluginName, Arc<Document>>,
    snapshot: RwLock<Option<Arc<Served>>>,
    withheld: RwLock<Arc<BTreeSet<Digest>>>,
    /// The greatest serial of which it is known that the cache holds nothing older.
    seen: AtomicU64,
}

impl Index {
    /// The index of a database, with the key that signs its snapshots.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open(database: Arc<dyn Database>, key: snapshot::Key) -> Result<Self, RegistryError> {
        let weight = |name: &PluginName, document: &Arc<Document>| {
            u32::try_from(document.body.len() + name.repository().len() + 200).unwrap_or(u32::MAX)
        };
        let index = Index {
            documents: Cache::builder().max_capacity(DOCUMENT_CACHE).weigher(weight).build(),
            snapshot: RwLock::default(),
            withheld: RwLock::new(Arc::new(database.withheld().await?)),
            seen: AtomicU64::new(database.serial().await?),
            database,
            key,
        };
        Ok(index)
    }

    /// A plugin's document.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, name: &PluginName) -> Result<Option<Arc<Document>>, RegistryError> {
        if let Some(document) = self.documents.get(name) {
            return Ok(Some(document));
        }
        let Some(document) = self.database.document(name).await? else { return Ok(None) };
        Ok(Some(self.remember(name, document)))
    }

    /// Of two that were read at once, the newer one stays.
    fn remember(&self, name: &PluginName, document: Document) -> Arc<Document> {
        let document = Arc::new(document);
        let entry =
            self.documents.entry(name.clone()).and_upsert_with(|known| match known.map(|entry| entry.into_value()) {
                Some(known) if known.serial > document.serial => known,
                _ => document.clone(),
            });
        entry.into_value()
    }

    /// Notes what this process has just committed.
    ///
    /// # Errors
    /// When what follows from it cannot be read; it is read again by [`Index::refresh`] then.
    pub async fn changed(&self, name: &PluginName, document: Document) -> Result<(), RegistryError> {
        let serial = document.serial;
        self.remember(name, document);
        self.withhold().await?;
        // What came before is known: this was all. Else something else has changed too, and the cache is emptied below.
        let _ = self.seen.compare_exchange(serial.saturating_sub(1), serial, Ordering::AcqRel, Ordering::Acquire);
        self.forget_snapshot();
        self.refresh().await
    }

    /// Forgets what another process has changed.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn refresh(&self) -> Result<(), RegistryError> {
        let serial = self.database.serial().await?;
        if serial <= self.seen.load(Ordering::Acquire) {
            return Ok(());
        }
        self.withhold().await?;
        self.documents.invalidate_all();
        self.seen.fetch_max(serial, Ordering::AcqRel);
        self.forget_snapshot();
        Ok(())
    }

    async fn withhold(&self) -> Result<(), RegistryError> {
        let withheld = Arc::new(self.database.withheld().await?);
        *self.withheld.write().unwrap_or_else(PoisonError::into_inner) = withheld;
        Ok(())
    }

    fn forget_snapshot(&self) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a component or manifest must not be handed out.
    pub fn is_withheld(&self, digest: &Digest) -> bool {
        self.withheld.read().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    /// The signed snapshot as it is served.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn snapshot(&self) -> Result<Arc<Served>, RegistryError> {
        if let Some(served) = self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(served);
        }
        let served = Arc::new(self.key.sign(&self.database.snapshot().await?));
        let mut place = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(known) if known.serial >= served.serial => Ok(known.clone()),
            // Something was committed since it was read: it is sound, and the last one to be.
            _ if served.serial < self.seen.load(Ordering::Acquire) => Ok(served),
            _ => Ok(place.insert(served).clone()),
        }
    }

    /// The signed snapshot, for files.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn signed(&self) -> Result<SignedSnapshot, RegistryError> {
        Ok(self.snapshot().await?.signed.clone())
    }
}
