//! `windlass vendor`: everything that a project has locked, in a folder, for machines that reach no registry.
//!
//! The folder is a copy of those parts of the registries (see `endpoint`), a folder for each, beside the lock file
//! that it was made for. Nothing in it is trusted for lying there: whoever installs from it verifies it as if it came from
//! the registry, but for the time of the snapshot, which is of the moment when it was made.
//!
//! It is written beside its place and put there when it is whole and was read back.

use crate::{
    Home, PackageError,
    endpoint::folder_name,
    files::{Mode, create_dir, write_atomic},
    http::Progress,
    install::whole_digest,
    lock::{FILE as LOCK_FILE, Lock, Locked},
    manifest::MAX_MANIFEST,
    oci::ImageManifest,
    plain::plugin_in,
    plan::Planner,
    release::{Release, index_line},
    snapshot::{BinId, SignedSnapshot, Snapshot},
    source::Source,
    verification,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use windlass_contract::{Digest, PluginRef};

/// What shows that a folder was written here, and may be written again.
const MARK: &str = "windlass-vendor.txt";
const MARK_TEXT: &str = "Written by `windlass vendor`, which replaces this folder as a whole.\n\
Use it with `vendor = \"<this folder>\"` under [registries] in config.toml, or with WINDLASS_VENDOR.\n";

/// Writes everything that the project has locked into `folder`, in place of what an earlier call wrote there.
///
/// # Errors
/// When something cannot be had or is not what the lock says, or `folder` holds something else.
pub async fn vendor(
    home: &Home,
    project: &Path,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PluginRef>, PackageError> {
    let lock = Lock::load(project)?;
    if let Ok(mut entries) = fs::read_dir(folder)
        && entries.next().is_some()
        && !folder.join(MARK).is_file()
    {
        let why = std::io::Error::other("it holds something that `windlass vendor` did not write");
        return Err(PackageError::io("replace", folder, why));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let io = |error| PackageError::io("make a folder in", parent, error);
    let made = tempfile::Builder::new().prefix(".tmp-vendor-").tempdir_in(parent).map_err(io)?;
    write_tree(home, &lock, made.path(), progress).await?;
    let replace = || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::rename(made.keep(), folder)
    };
    replace().map_err(|error| PackageError::io("replace", folder, error))?;
    Ok(lock.plugins.values().map(Locked::plugin).collect())
}

/// Writes the tree, and reads it back as whoever uses it will.
pub(crate) async fn write_tree(
    home: &Home,
    lock: &Lock,
    root: &Path,
    progress: &dyn Progress,
) -> Result<(), PackageError> {
    write_atomic(&root.join(MARK), MARK_TEXT.as_bytes(), Mode::Shared)?;
    write_atomic(&root.join(LOCK_FILE), lock.text().as_bytes(), Mode::Shared)?;
    let copy = home.clone().with_vendor(std::path::absolute(root).unwrap_or_else(|_| root.to_owned()));
    let mut is_last = false;
    loop {
        let mut planner = Planner::new(home, lock)?;
        let roots: Vec<_> = lock.plugins.values().map(Locked::root).collect();
        planner.fetch(lock.plugins.keys().cloned().collect(), &roots).await?;
        for locked in lock.plugins.values() {
            let source = planner.source(&locked.name)?;
            let release = planner.releases(&locked.name).iter().find(|each| each.version == locked.version).cloned();
            if let Some(release) = release {
                Tree { home, root: root.join(folder_name(source.origin())), source: &source }
                    .keep(&release, progress)
                    .await?;
            }
        }
        match read_back(&copy, lock, progress).await {
            // A publication may have come between the snapshot and an index.
            Err(PackageError::Mixed { .. }) if !is_last => is_last = true,
            other => return other,
        }
    }
}

/// Whether all that is locked can be had from a copy.
async fn read_back(copy: &Home, lock: &Lock, progress: &dyn Progress) -> Result<(), PackageError> {
    let mut planner = Planner::new(copy, lock)?;
    let roots: Vec<_> = lock.plugins.values().map(Locked::root).collect();
    planner.fetch(lock.plugins.keys().cloned().collect(), &roots).await?;
    for locked in lock.plugins.values() {
        let source = planner.source(&locked.name)?;
        if let Some(release) = planner.releases(&locked.name).iter().find(|each| each.version == locked.version) {
            // What was installed unsigned may be vendored: whoever installs it is asked for --allow-unsigned again.
            verification::check(copy, &source, release, Some(locked), true).await?;
            source.component(release, progress).await?;
        }
    }
    Ok(())
}

/// The part of a tree that is one registry's.
struct Tree<'a> {
    home: &'a Home,
    root: PathBuf,
    source: &'a Source,
}

impl Tree<'_> {
    async fn keep(&self, release: &Release, progress: &dyn Progress) -> Result<(), PackageError> {
        self.keep_index(release).await?;
        let store = self.home.store();
        let component = match whole_digest(&store, &release.digest)? {
            Some(_) => {
                let path = store.wasm(&release.digest);
                fs::read(&path).map_err(|error| PackageError::io("read", &path, error))?
            }
            None => self.source.component(release, progress).await?,
        };
        self.keep_blob(&component)?;
        let manifest = self.source.manifest(release).await?;
        self.keep_blob(&manifest)?;
        if let Some((_, yaml)) = serde_json::from_slice::<ImageManifest>(&manifest).ok().as_ref().and_then(plugin_in) {
            let what = format!("plugin.yaml of {}@{}", release.name, release.version);
            self.keep_blob(&self.source.blob(release, &yaml, &what, MAX_MANIFEST).await?)?;
        }
        let folder = self.root.join("bundles").join(release.manifest.hex());
        for (at, bundle) in self.source.bundles(release).await?.iter().enumerate() {
            write_atomic(&folder.join(format!("{at}.json")), bundle, Mode::Shared)?;
        }
        Ok(())
    }

    /// The plugin's index, with the snapshot and the bin that name it.
    async fn keep_index(&self, release: &Release) -> Result<(), PackageError> {
        let path = format!("index/{}", release.name.repository());
        let document = self.source.document(&format!("/{path}")).await?;
        let document = document.unwrap_or_else(|| index_line(release));
        write_atomic(&self.root.join(path), document.as_bytes(), Mode::Shared)?;
        let Some(snapshot) = self.source.document("/snapshot.json").await? else { return Ok(()) };
        write_atomic(&self.root.join("snapshot.json"), snapshot.as_bytes(), Mode::Shared)?;
        let signed: Option<SignedSnapshot> = serde_json::from_str(&snapshot).ok();
        let said: Option<Snapshot> = signed.and_then(|signed| serde_json::from_str(&signed.signed).ok());
        let Some(bin) = said.and_then(|said| said.bins.get(&BinId::of(&release.name)).copied()) else { return Ok(()) };
        let path = format!("snapshot/bins/{bin}");
        if let Some(text) = self.source.document(&format!("/{path}")).await? {
            write_atomic(&self.root.join(path), text.as_bytes(), Mode::Shared)?;
        }
        Ok(())
    }

    fn keep_blob(&self, bytes: &[u8]) -> Result<(), PackageError> {
        let path = self.root.join("blobs/sha256").join(Digest::of(bytes).hex());
        write_atomic(&path, bytes, Mode::Shared)
    }
}

/// Every file of a tree, by its path below it, in order.
pub(crate) fn files(root: &Path) -> Result<BTreeSet<PathBuf>, PackageError> {
    let mut files = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let io = |error| PackageError::io("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(below) = path.strip_prefix(root) {
                files.insert(below.to_owned());
            }
        }
    }
    Ok(files)
}
