//! Telling when a plugin's sources have changed.

use crate::AuthorError;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::sync::mpsc;

/// How long it is quiet before a change counts as over, wall clock: an editor writes a file in several steps, and a checkout
/// writes many.
pub const QUIET: Duration = Duration::from_millis(200);

/// Folders of tools, of build products and of version control: what changes in them is no change of the sources.
const NOT_SOURCES: &[&str] = &[".git", ".venv", "node_modules", "target", "build", "dist", "__pycache__"];

/// The sources as they were: by path, when each was last written and how long it was.
type Snapshot = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Watches a plugin's folder, while it is held.
///
/// The system only says when to look. What counts is whether the sources differ from what they were when the last change was told:
/// a temporary file that a linker makes beside them and removes is no change, and what is edited during a build is one.
pub struct Sources {
    events: mpsc::UnboundedReceiver<()>,
    folder: PathBuf,
    seen: Snapshot,
    watcher: RecommendedWatcher,
}

impl Sources {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn watch(folder: &Path) -> Result<Self, AuthorError> {
        let folder = folder.canonicalize().map_err(|error| AuthorError::io("open the folder", folder, error))?;
        let (give, events) = mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let told = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
            if told {
                // The receiver is gone only at the end.
                let _ = give.send(());
            }
        })
        .map_err(|error| AuthorError::Watch(error.to_string()))?;
        let mut seen = Snapshot::new();
        look(&folder, &mut watcher, &mut seen)?;
        Ok(Sources { events, folder, seen, watcher })
    }

    /// Waits until a source has changed and it is quiet; answers which one, the first by its path. `component` is none.
    ///
    /// # Errors
    /// When a folder cannot be read or, if it is new, not be watched.
    pub async fn changed(&mut self, component: &Path) -> Result<PathBuf, AuthorError> {
        loop {
            let mut now = Snapshot::new();
            look(&self.folder, &mut self.watcher, &mut now)?;
            now.remove(component);
            self.seen.remove(component);
            let written = now.iter().find(|(path, found)| self.seen.get(*path) != Some(*found)).map(|(path, _)| path);
            let removed = self.seen.keys().find(|path| !now.contains_key(*path));
            if let Some(path) = written.or(removed).cloned() {
                self.seen = now;
                return Ok(path);
            }
            // Held by the watcher, which is held here: it does not end.
            if self.events.recv().await.is_none() {
                return Err(AuthorError::Watch("it is not told of changes any more".to_owned()));
            }
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.events.recv()).await {}
        }
    }
}

/// Looks at all sources. Each folder is watched by itself, so that the large ones of tools cost no watch.
fn look(folder: &Path, watcher: &mut RecommendedWatcher, found: &mut Snapshot) -> Result<(), AuthorError> {
    let mut open = vec![folder.to_owned()];
    while let Some(each) = open.pop() {
        watcher.watch(&each, RecursiveMode::NonRecursive).map_err(|error| AuthorError::Watch(error.to_string()))?;
        let entries = std::fs::read_dir(&each).map_err(|error| AuthorError::io("read the folder", &each, error))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(inside) = path.strip_prefix(folder) else { continue };
            // One that is gone meanwhile is not there.
            let Ok(what) = path.symlink_metadata() else { continue };
            if !is_source(inside) {
                continue;
            }
            if what.is_dir() {
                open.push(path);
            } else {
                found.insert(inside.to_owned(), (what.modified().ok(), what.len()));
            }
        }
    }
    Ok(())
}

fn is_source(path: &Path) -> bool {
    let mut names = path.iter().map(|name| name.to_string_lossy());
    let fitting = names.all(|name| !NOT_SOURCES.contains(&name.as_ref()) && !name.ends_with(".session.data"));
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    // What editors write beside a file, what linkers write beside a component, and what tools and recordings write themselves.
    let passing = last.ends_with('~') || last.ends_with(".swp") || last == "4913" || last.contains(".wasm");
    let written = last.ends_with(".lock") || last == "package-lock.json" || last.ends_with(".session");
    fitting && !passing && !written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_told_once_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let component = Path::new("greet.component");
        write("a.c", "x");
        let mut sources = Sources::watch(folder.path()).unwrap();
        // While nobody waits, as during a build; its own traces are no change.
        write("greet.component", "x");
        write(".tmp", "x");
        std::fs::remove_file(folder.path().join(".tmp")).unwrap();
        write("a.c", "longer");
        assert_eq!(sources.changed(component).await.unwrap(), Path::new("a.c"));
        // In a folder that is new, and while it waits.
        let later = async {
            write("greet.component", "other");
            std::fs::create_dir(folder.path().join("src")).unwrap();
            tokio::time::sleep(QUIET * 2).await;
            write("src/new.c", "x");
        };
        let (changed, ()) = tokio::join!(sources.changed(component), later);
        assert_eq!(changed.unwrap(), Path::new("src/new.c"));
        std::fs::remove_file(folder.path().join("a.c")).unwrap();
        assert_eq!(sources.changed(component).await.unwrap(), Path::new("a.c"));
    }

    #[test]
    fn what_is_a_source() {
        let check = |path: &str, expect: bool| assert_eq!(is_source(Path::new(path)), expect, "{path}");
        check("src/lib.rs", true);
        check("plugin.yaml", true);
        check("tests/hello.yaml", true);
        check("target/debug/x", false);
        check("node_modules/a/b.js", false);
        check("src/__pycache__/x.pyc", false);
        check(".git/index", false);
        check("src/.lib.rs.swp", false);
        check("tests/hello.session", false);
        check("tests/hello.session.data/00", false);
        check("greet.wasm.tmp-4711", false);
        check("Cargo.lock", false);
    }
}
