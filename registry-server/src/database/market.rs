//! What the market asks of the database.

use super::{By, Result};
use crate::{
    accounts::Namespace,
    market::{downloads::Pending, search::Search},
};
use async_trait::async_trait;
use jiff::Timestamp;
use semver::Version;
use std::collections::BTreeMap;
use windlass_contract::PluginName;
use windlass_package::market::{
    Dependents, Downloads, Facets, Hit, NativeName, NativePage, PluginCard, Provider, StepConflict,
};

/// What a search finds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// One page.
    pub hits: Vec<Hit>,
    /// How many match, as far as was looked.
    pub total: u64,
    /// Whether that was not all.
    pub more: bool,
    /// What the filters would leave.
    pub facets: Facets,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// A word that there is, if nothing matches.
    pub did_you_mean: Option<String>,
}

/// What replacing the native entries came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaced {
    /// How many were not there before.
    pub added: usize,
    /// How many say something else than before.
    pub changed: usize,
    /// How many are gone.
    pub removed: usize,
}

/// Search, pages, downloads, native entries.
#[async_trait]
pub trait Market: Send + Sync {
    /// One page of a search.
    async fn search(&self, search: &Search) -> Result<Found>;
    /// The README and the documentation of the step types of a release, as HTML.
    async fn page(&self, name: &PluginName, version: &Version) -> Result<(Option<String>, BTreeMap<String, String>)>;
    /// The plugins of a namespace that may be used, by name.
    async fn cards(&self, namespace: &Namespace, limit: usize) -> Result<Vec<PluginCard>>;
    /// The plugins whose newest release needs this one; at most `limit` after `last`, by name.
    async fn dependents(&self, name: &PluginName, last: Option<&PluginName>, limit: usize) -> Result<Dependents>;
    /// Since when the operator vouches for who owns a namespace. `None`: there is no such namespace.
    async fn verified(&self, namespace: &Namespace) -> Result<Option<Option<Timestamp>>>;
    /// Vouches for who owns a namespace, or takes it back.
    ///
    /// # Errors
    /// [`crate::RegistryError::Unknown`] when there is no such namespace.
    async fn verify(&self, namespace: &Namespace, verified: bool, by: &By) -> Result<()>;
    /// What was counted for a plugin, by version and by day; days before `since` (counted from 1970-01-01) only in the totals.
    async fn downloads(&self, name: &PluginName, since: i64) -> Result<Downloads>;
    /// Adds what was counted. What is no component of a release is dropped.
    async fn add_downloads(&self, pending: &Pending) -> Result<()>;
    /// Who provides a step type.
    async fn providers(&self, step: &str) -> Result<Vec<Provider>>;
    /// Of these step types, those that more than one provides; of all, if none is given.
    async fn conflicts(&self, steps: Option<&[String]>) -> Result<Vec<StepConflict>>;
    /// A native entry.
    async fn native(&self, name: &NativeName) -> Result<Option<NativePage>>;
    /// Replaces all native entries.
    async fn replace_natives(
        &self,
        entries: &BTreeMap<NativeName, NativePage>,
        origin: &str,
        by: &By,
    ) -> Result<Replaced>;
}
