//! The market: what is shown of the plugins in this registry, and how they are found.
//!
//! **Purpose.** The reading half of `/api/v1`: search ([`search`]), pages with the README as safe HTML ([`markdown`]), download
//! counts ([`downloads`]), the entries of an imported index ([`native`]), and the description of the whole API ([`openapi`]).
//!
//! **Invariants.**
//! - Everything here is for everybody: no answer depends on who asks, so any cache may keep it for a minute.
//! - A text of a stranger is JSON text, or HTML that went through [`markdown`]; there is no third way.
//! - Every list has an end: a page, or a limit that its answer names.
//! - What is withheld (quarantined, removed) is named with its reason, and nothing its author wrote is shown.
//!
//! **Not here.** What is installed is decided by the index; the market's pages are looked at.

mod answer;
pub mod downloads;
mod feed;
mod handlers;
mod import;
pub mod markdown;
pub mod native;
pub mod openapi;
mod pages;
pub mod search;

pub use import::{Report, import};

use crate::{Registry, RegistryError};
use windlass_package::{
    market::{MAX_CARD_STEPS, NativeCard, NativePage, PluginCard},
    release::Release,
};

impl Registry {
    /// Writes the downloads that were counted since the last time.
    ///
    /// # Errors
    /// When the database cannot be written; the counts wait for the next time.
    pub async fn flush_downloads(&self) -> Result<(), RegistryError> {
        let pending = self.0.downloads.take();
        if pending.is_empty() {
            return Ok(());
        }
        let written = self.0.database.add_downloads(&pending).await;
        if written.is_err() {
            self.0.downloads.give_back(pending);
        }
        written
    }
}

/// A plugin in a list, by its newest release.
pub(crate) fn card(release: &Release, verified: bool, downloads: u64) -> PluginCard {
    PluginCard {
        name: release.name.clone(),
        version: release.version.clone(),
        summary: release.summary.clone(),
        kinds: release.kinds.clone(),
        steps: release.steps.iter().take(MAX_CARD_STEPS).cloned().collect(),
        more_steps: release.steps.len().saturating_sub(MAX_CARD_STEPS),
        capabilities: release.imports.iter().copied().filter(|interface| !interface.always_granted()).collect(),
        licence: release.licence.clone(),
        keywords: release.keywords.clone(),
        published: release.published,
        verified,
        downloads,
    }
}

/// A native entry in a list.
pub(crate) fn native_card(mut page: NativePage) -> NativeCard {
    let more_steps = page.steps.len().saturating_sub(MAX_CARD_STEPS);
    page.steps.truncate(MAX_CARD_STEPS);
    NativeCard {
        name: page.name,
        version: page.version,
        summary: page.summary,
        steps: page.steps,
        more_steps,
        licence: page.licence,
        category: page.category,
        tier: page.tier,
        status: page.status,
    }
}
