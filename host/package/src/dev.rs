//! A plugin in the making, in place of a released one: what `windlass plugin dev` gives a project while it runs.
//!
//! Neither lock nor registry know of it. It is a file of this machine's, for one project, and it counts only as long as the
//! process that wrote it holds it: when that ends, however it ends, the project runs what its lock file says.
//!
//! ```text
//! dev/<project>/<namespace>.<name>.lock   held by the process
//! dev/<project>/<namespace>.<name>.json   what it gives
//! ```

use crate::{
    Home, Installed, PackageError,
    files::{Mode, create_dir, read_text, write_atomic},
    grants::Grants,
    install::Verification,
    manifest::Manifest,
    store::Entry,
};
use semver::{BuildMetadata, VersionReq};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};
use windlass_contract::{Digest, Permissions, PluginName, PluginRef};

/// What a plugin in the making is, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// Its version is the manifest's with `+dev`: it satisfies what that version does, and is told apart from it.
    pub plugin: PluginRef,
    /// What its manifest asks for.
    pub asked: Permissions,
    /// The folder that it is built in.
    pub folder: PathBuf,
}

/// The right to stand in for a plugin in a project, until this is dropped.
#[derive(Debug)]
pub struct Session {
    file: PathBuf,
    _lock: File,
}

impl Session {
    /// Begins to stand in; nothing is given yet.
    ///
    /// # Errors
    /// [`PackageError::InDevelopment`] where another process does already, or when a file cannot be made.
    pub fn begin(home: &Home, project: &Path, name: &PluginName) -> Result<Self, PackageError> {
        let folder = folder(home, project)?;
        create_dir(&folder)?;
        let stem = format!("{}.{}", name.namespace(), name.name());
        let path = folder.join(format!("{stem}.lock"));
        let open = || fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = open().map_err(|error| PackageError::io("make", &path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PackageError::InDevelopment { name: name.clone() }),
            Err(TryLockError::Error(error)) => return Err(PackageError::io("lock", &path, error)),
        }
        let file = folder.join(format!("{stem}.json"));
        // What an earlier process gave is not what this one gives.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(PackageError::io("remove", &file, error)),
            _ => Ok(Session { file, _lock: lock }),
        }
    }

    /// Gives a build to the project, in place of the one before: the component is kept in the store, and from now on it is what
    /// the project runs.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn give(
        &self,
        home: &Home,
        manifest: &Manifest,
        folder: &Path,
        wasm: &[u8],
        entry: &Entry,
    ) -> Result<StandIn, PackageError> {
        let mut version = manifest.version.clone();
        // Always valid: a manifest's version has no build metadata.
        version.build = BuildMetadata::new("dev").unwrap_or_default();
        let store = home.store();
        let _held = store.lock()?;
        store.put(&entry.digest, wasm)?;
        store.finish(entry)?;
        let given = StandIn {
            plugin: PluginRef { name: manifest.name.clone(), version, digest: entry.digest },
            asked: manifest.permissions.clone(),
            folder: folder.canonicalize().map_err(|error| PackageError::io("find", folder, error))?,
        };
        write_atomic(&self.file, &serde_json::to_vec(&given).unwrap_or_default(), Mode::Private)?;
        Ok(given)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It counts for nothing without its lock; this only tidies up.
        let _ = fs::remove_file(&self.file);
    }
}

/// The plugins in the making that stand in, in this project and at this moment.
///
/// # Errors
/// When a file cannot be read.
pub fn stand_ins(home: &Home, project: &Path) -> Result<Vec<StandIn>, PackageError> {
    let folder = folder(home, project)?;
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PackageError::io("read", &folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| PackageError::io("read", &folder, error))?.path();
        if path.extension().is_some_and(|ending| ending == "json") && is_held(&path.with_extension("lock")) {
            // One that is being written anew is whole or not there; one that cannot be read is of another version of the host.
            let text = read_text(&path)?.unwrap_or_default();
            found.extend(serde_json::from_str::<StandIn>(&text).ok());
        }
    }
    found.sort_by(|a, b| a.plugin.name.cmp(&b.plugin.name));
    Ok(found)
}

fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The stand-ins as plugins that can be called, with what the project grants them. One that was built for a requirement that it
/// does not satisfy is not among them.
pub(crate) fn ready(home: &Home, grants: &Grants, given: Vec<StandIn>) -> Result<Vec<Installed>, PackageError> {
    let store = home.store();
    let mut all = Vec::new();
    for StandIn { plugin, asked, .. } in given {
        let Some(entry) = store.get(&plugin.digest)? else { continue };
        let granted = grants.of(&plugin.name);
        all.push(Installed {
            effective: asked.intersect(&granted),
            descriptor: entry.descriptor,
            asked,
            granted,
            verification: Verification::Unsigned,
            wasm_path: store.wasm(&plugin.digest),
            plugin,
        });
    }
    Ok(all)
}

/// Whether a plugin in the making satisfies a requirement: as the version does that it will be.
pub(crate) fn satisfies(plugin: &PluginRef, requirement: &VersionReq) -> bool {
    *requirement == VersionReq::STAR || requirement.matches(&plugin.version)
}

fn folder(home: &Home, project: &Path) -> Result<PathBuf, PackageError> {
    let project = if project.as_os_str().is_empty() { Path::new(".") } else { project };
    let place = project.canonicalize().map_err(|error| PackageError::io("find", project, error))?;
    Ok(home.root().join("dev").join(Digest::of(place.as_os_str().as_encoded_bytes()).short()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use windlass_contract::{Descriptor, PluginKind};

    const MANIFEST: &str =
        "name: acme:greet\nversion: 0.1.2\nsummary: x\nlicence: MIT\ncomponent: x.wasm\npermissions: { state: true }\n";

    fn entry(wasm: &[u8]) -> Entry {
        Entry {
            digest: Digest::of(wasm),
            size: wasm.len() as u64,
            kinds: [PluginKind::Step].into(),
            imports: BTreeSet::new(),
            contract: semver::Version::new(0, 1, 0),
            descriptor: Descriptor::default(),
        }
    }

    #[test]
    fn it_counts_while_it_is_held() {
        let (root, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let home = Home::from_env(Some(root.path().to_owned())).unwrap();
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let installed = || crate::installed(&home, project.path()).unwrap();

        let session = Session::begin(&home, project.path(), &manifest.name).unwrap();
        assert!(installed().is_empty(), "nothing was built yet");
        let again = Session::begin(&home, project.path(), &manifest.name);
        assert!(matches!(again, Err(PackageError::InDevelopment { .. })));

        session.give(&home, &manifest, project.path(), b"one", &entry(b"one")).unwrap();
        session.give(&home, &manifest, project.path(), b"two", &entry(b"two")).unwrap();
        let found = installed().remove(0);
        assert_eq!(found.plugin.to_string(), "acme:greet@0.1.2+dev");
        assert_eq!(found.plugin.digest, Digest::of(b"two"));
        assert!(found.asked.state && !found.effective.state, "what is asked is not granted");
        let locked = |text: &str| {
            let wanted = [(manifest.name.clone(), text.parse().unwrap())].into();
            crate::locked(&home, project.path(), &wanted).map(|all| all.len())
        };
        assert_eq!(locked("^0.1").unwrap(), 1);
        assert_eq!(locked("*").unwrap(), 1);
        assert!(matches!(locked("^0.2"), Err(PackageError::NotInstalled { .. })));
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(crate::installed(&home, elsewhere.path()).unwrap().is_empty(), "in its own project only");

        drop(session);
        assert!(installed().is_empty(), "it has ended");
    }

    #[test]
    fn what_a_killed_process_left_counts_for_nothing() {
        let (root, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let home = Home::from_env(Some(root.path().to_owned())).unwrap();
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let session = Session::begin(&home, project.path(), &manifest.name).unwrap();
        session.give(&home, &manifest, project.path(), b"one", &entry(b"one")).unwrap();
        let file = session.file.clone();
        let text = fs::read(&file).unwrap();
        drop(session);
        fs::write(&file, text).unwrap();
        assert_eq!(stand_ins(&home, project.path()).unwrap(), []);
    }
}
