//! Waiting for changes that other processes make, without looking again and again.
//!
//! The system gives a process few watchers (128 by default), so all share one, and all who watch the same path share its watch.

use crate::StoreError;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// The process's watcher, made when it is first needed. It waits for its own thread, which takes [`WATCHED`]: never take this one while holding
/// that one.
static WATCHER: Mutex<Option<RecommendedWatcher>> = Mutex::new(None);

/// Who is to be woken for which path.
static WATCHED: LazyLock<Mutex<HashMap<PathBuf, watch::Sender<()>>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes when a file or folder changes. Changes that come while nobody waits are one wake-up at the next
/// [`Watch::changed`]: none is lost, so look after making it, and then after each wake-up.
pub struct Watch {
    path: PathBuf,
    changed: watch::Receiver<()>,
}

impl Watch {
    /// Watches a file, or a folder and what is directly in it.
    ///
    /// # Errors
    /// When it does not exist, or the system has no watches left.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let refused = |error: notify::Error| StoreError::Watch { path: path.to_owned(), why: error.to_string() };
        let mut watcher = locked(&WATCHER);
        if let Some(sender) = locked(&WATCHED).get(path) {
            return Ok(Watch { path: path.to_owned(), changed: sender.subscribe() });
        }
        let watcher = match &mut *watcher {
            Some(watcher) => watcher,
            none => none.insert(notify::recommended_watcher(wake).map_err(refused)?),
        };
        let (sender, changed) = watch::channel(());
        // Before the kernel can tell of a change.
        locked(&WATCHED).insert(path.to_owned(), sender);
        if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
            locked(&WATCHED).remove(path);
            return Err(refused(error));
        }
        Ok(Watch { path: path.to_owned(), changed })
    }

    /// Waits for the next change. May be dropped and called again at any time.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // What was watched is gone, and its watch with it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watcher = locked(&WATCHER);
        let is_last = {
            let mut watched = locked(&WATCHED);
            let last = watched
                .get(&self.path)
                .is_some_and(|sender| sender.receiver_count() == 1 && sender.subscribe().same_channel(&self.changed));
            if last {
                watched.remove(&self.path);
            }
            last
        };
        if is_last && let Some(watcher) = &mut *watcher {
            // A folder that was removed has taken its watch with it.
            let _ = watcher.unwatch(&self.path);
        }
    }
}

/// Wakes whom a change concerns.
fn wake(event: notify::Result<notify::Event>) {
    let mut watched = locked(&WATCHED);
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        // An error (such as an overflow) means that something may have been missed: everybody looks.
        _ => return watched.values().for_each(|sender| sender.send_replace(())),
    };
    // Reading what changed must not count as a change, or the reader would wake itself for ever.
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    for path in &event.paths {
        for path in [Some(path.as_path()), path.parent()].into_iter().flatten() {
            if let Some(sender) = watched.get(path) {
                sender.send_replace(());
            }
        }
        if matches!(event.kind, EventKind::Remove(_)) {
            // One that is made anew at this path is another one.
            watched.remove(path);
        }
    }
}
