//! Waiting for changes that other processes make, without looking again and again.

use crate::StoreError;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{path::Path, sync::Arc};
use tokio::sync::Notify;

/// Wakes when a file or folder changes. Changes that come while nobody waits are one wake-up at the next
/// [`Watch::changed`]: none is lost, so look after making it, and then after each wake-up.
pub struct Watch {
    // Stops watching when dropped.
    _watcher: RecommendedWatcher,
    woken: Arc<Notify>,
}

impl Watch {
    /// Watches a file, or a folder and what is directly in it.
    ///
    /// # Errors
    /// When it does not exist, or the system has no watches left.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let refused = |error: notify::Error| StoreError::Watch { path: path.to_owned(), why: error.to_string() };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading what changed must not count as a change, or the reader would wake itself for ever. An error (such as
            // an overflow) means that something may have been missed: look.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                wake.notify_one();
            }
        })
        .map_err(refused)?;
        watcher.watch(path, RecursiveMode::NonRecursive).map_err(refused)?;
        Ok(Watch { _watcher: watcher, woken })
    }

    /// Waits for the next change. May be dropped and called again at any time.
    pub async fn changed(&mut self) {
        self.woken.notified().await;
    }
}
