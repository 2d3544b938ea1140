//! `plugin export` and `plugin import`: a vendored tree as one file, for hosts that no network reaches.
//!
//! An archive is a plain tar of regular files, in order and without times, so that the same lock gives the same archive. It
//! is read as what it may be, something that somebody made: only regular files whose names stay inside, each once, of
//! bounded number and size; no links, no extensions of the format. What is in it is then verified as if its registry had sent
//! it, and put into the store. The project's lock stays as it is: it lives in version control.

use crate::{
    Components, Home, Installer, PackageError, Silent,
    files::create_dir,
    install::{Chosen, Fetched, Options, hold},
    lock::{FILE as LOCK_FILE, Lock, Locked},
    manifest::MAX_COMPONENT,
    plan::Planner,
    vendor::{files, write_tree},
    verification::Verification,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write as _},
    path::{Component, Path, PathBuf},
};
use windlass_contract::PluginRef;

/// Most files of an archive: some two thousand plugins.
pub const MAX_ENTRIES: usize = 10_000;
/// Largest archive, in bytes: a hundred of the largest components would be more than anybody carries.
pub const MAX_ARCHIVE: u64 = 4 * 1024 * 1024 * 1024;

/// Writes everything that the project has locked into one file.
///
/// # Errors
/// As [`crate::vendor::vendor`].
pub async fn export(home: &Home, project: &Path, file: &Path) -> Result<Vec<PluginRef>, PackageError> {
    let lock = Lock::load(project)?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(folder)?;
    let io = |error| PackageError::io("write", file, error);
    let tree = tempfile::tempdir().map_err(io)?;
    write_tree(home, &lock, tree.path(), &Silent).await?;
    let mut written = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).map_err(io)?;
    write_archive(tree.path(), &files(tree.path())?, &mut written).map_err(io)?;
    written.as_file().sync_all().map_err(io)?;
    written.persist(file).map_err(|error| io(error.error))?;
    Ok(lock.plugins.values().map(Locked::plugin).collect())
}

fn write_archive(root: &Path, files: &BTreeSet<PathBuf>, into: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(into));
    for path in files {
        let file = File::open(root.join(path))?;
        let mut header = tar::Header::new_ustar();
        header.set_path(path)?;
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, BufReader::new(file))?;
    }
    archive.into_inner()?.flush()
}

/// Reads an archive, verifies what is in it, and puts it into the store.
///
/// # Errors
/// [`PackageError::BadArchive`], or whatever an install from the registries would refuse. Nothing is kept then.
pub async fn import(
    home: &Home,
    components: &dyn Components,
    file: &Path,
    options: Options,
) -> Result<Vec<(PluginRef, Verification)>, PackageError> {
    create_dir(home.root())?;
    let io = |error| PackageError::io("make a folder in", home.root(), error);
    let tree = tempfile::Builder::new().prefix(".tmp-import-").tempdir_in(home.root()).map_err(io)?;
    unpack(file, tree.path())?;
    let lock = Lock::load(tree.path())?;
    let copy = home.clone().with_vendor(tree.path().to_owned());
    let installer = Installer { home: &copy, project: tree.path(), components, options, progress: &Silent };
    let roots: Vec<_> = lock.plugins.values().map(Locked::root).collect();
    let mut planner = Planner::new(&copy, &lock)?;
    planner.fetch(lock.plugins.keys().cloned().collect(), &roots).await?;
    let _held = hold(home).await?;
    let mut all = Vec::new();
    for locked in lock.plugins.values() {
        let release = planner.releases(&locked.name).iter().find(|each| each.version == locked.version).cloned();
        let Some(release) = release else { continue };
        let source = planner.source(&locked.name)?;
        let chosen = Chosen { release, source, requested: false, dependency: false };
        // The archive's lock file vouches for nothing: whose key it is, is for the home to know.
        all.push(installer.fetch(chosen, &Lock::default()).await?);
    }
    let mut imported = Vec::new();
    for Fetched { verification, plugin, wasm, facts, .. } in all {
        installer.keep(&plugin, wasm, facts).await?;
        if let Verification::Verified { by, first_seen: true } = &verification
            && let Some(key) = by.key()
        {
            home.remember_publisher(plugin.name.namespace(), key)?;
        }
        imported.push((plugin, verification));
    }
    Ok(imported)
}

/// Unpacks an archive into an empty folder.
pub(crate) fn unpack(file: &Path, root: &Path) -> Result<(), PackageError> {
    let bad = |why: String| PackageError::BadArchive { file: file.display().to_string(), why };
    let opened = File::open(file).map_err(|error| PackageError::io("read", file, error))?;
    let size = opened.metadata().map_err(|error| PackageError::io("read", file, error))?.len();
    if size > MAX_ARCHIVE {
        return Err(bad(format!("it has {size} bytes, at most {MAX_ARCHIVE} are read")));
    }
    let mut archive = tar::Archive::new(BufReader::new(opened));
    let mut seen = BTreeSet::new();
    // Raw: the format's extensions, which can name and size an entry anew, are entries of their own here, and refused.
    let entries = archive.entries().map_err(|error| bad(error.to_string()))?.raw(true);
    for entry in entries {
        let mut entry = entry.map_err(|error| bad(error.to_string()))?;
        let path = entry.path().map_err(|error| bad(error.to_string()))?.into_owned();
        let shown: String = path.display().to_string().chars().take(120).collect();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(bad(format!("{shown:?} is not a regular file")));
        }
        if path.components().next().is_none() || path.components().any(|each| !matches!(each, Component::Normal(_))) {
            return Err(bad(format!("{shown:?} is not a name inside of it")));
        }
        if seen.len() == MAX_ENTRIES {
            return Err(bad(format!("it holds more than {MAX_ENTRIES} files")));
        }
        let size = entry.size();
        if size > MAX_COMPONENT {
            return Err(bad(format!("{shown:?} has {size} bytes, at most {MAX_COMPONENT} are read")));
        }
        // As a file system without case would see it.
        if !seen.insert(path.to_string_lossy().to_lowercase()) {
            return Err(bad(format!("{shown:?} is in it twice")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
        if bytes.len() as u64 != size {
            return Err(bad(format!("it ends in the middle of {shown:?}")));
        }
        // Not synced: this folder does not outlive the import.
        let target = root.join(path);
        create_dir(target.parent().unwrap_or(root))?;
        fs::write(&target, &bytes).map_err(|error| PackageError::io("write", &target, error))?;
    }
    match fs::metadata(root.join(LOCK_FILE)) {
        Ok(_) => Ok(()),
        Err(_) => Err(bad(format!("it holds no {LOCK_FILE}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, EntryType, Header};

    /// An archive of these entries: name, type, content, and the size that its header says where that is a lie.
    fn archive(entries: &[(&str, EntryType, &str, Option<u64>)]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = Builder::new(&mut file);
        for (name, kind, content, lie) in entries {
            let mut header = Header::new_ustar();
            // As an attacker writes it: the library would refuse such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(lie.unwrap_or(content.len() as u64));
            if *kind == EntryType::Symlink {
                header.as_old_mut().linkname[..4].copy_from_slice(b"/etc");
            }
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        drop(builder);
        file
    }

    #[test]
    fn hostile_archives() {
        let regular = |name| (name, EntryType::Regular, "x", None);
        let check = |entries: &[(&str, EntryType, &str, Option<u64>)]| {
            let (file, root) = (archive(entries), tempfile::tempdir().unwrap());
            let outside = root.path().join("inside");
            create_dir(&outside).unwrap();
            let words = match unpack(file.path(), &outside) {
                Ok(()) => "unpacked".to_owned(),
                Err(error) => error.to_string().replace(&file.path().display().to_string(), "FILE"),
            };
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "something was written outside");
            words
        };
        let lock = regular("windlass.lock");
        let all = [
            check(&[lock, regular("a/b")]),
            check(&[regular("a")]),
            check(&[lock, regular("../a")]),
            check(&[lock, regular("a/../../b")]),
            check(&[lock, regular("/tmp/a")]),
            check(&[lock, regular("./a")]),
            check(&[lock, ("a", EntryType::Symlink, "", None)]),
            check(&[lock, ("a", EntryType::Link, "", None)]),
            check(&[lock, ("a", EntryType::Directory, "", None)]),
            check(&[lock, ("a", EntryType::Fifo, "", None)]),
            check(&[lock, ("a", EntryType::GNULongName, "b", None)]),
            check(&[lock, ("a", EntryType::XHeader, "b", None)]),
            check(&[lock, ("a", EntryType::GNUSparse, "b", None)]),
            check(&[lock, regular("a"), regular("A")]),
            check(&[lock, ("a", EntryType::Regular, "x", Some(1 << 40))]),
            check(&[lock, ("a", EntryType::Regular, "x", Some(60_000))]),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        unpacked
        FILE cannot be imported: it holds no windlass.lock
        FILE cannot be imported: "../a" is not a name inside of it
        FILE cannot be imported: "a/../../b" is not a name inside of it
        FILE cannot be imported: "/tmp/a" is not a name inside of it
        FILE cannot be imported: "./a" is not a name inside of it
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "a" is not a regular file
        FILE cannot be imported: "A" is in it twice
        FILE cannot be imported: "a" has 1099511627776 bytes, at most 67108864 are read
        FILE cannot be imported: it ends in the middle of "a"
        "#);
        let not_a_tar = tempfile::NamedTempFile::new().unwrap();
        fs::write(not_a_tar.path(), [7; 1024]).unwrap();
        assert!(unpack(not_a_tar.path(), tempfile::tempdir().unwrap().path()).is_err());
    }

    #[test]
    fn too_many_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = Builder::new(BufWriter::new(file.reopen().unwrap()));
        for at in 0..=MAX_ENTRIES {
            let mut header = Header::new_ustar();
            header.set_path(format!("{at}")).unwrap();
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        }
        builder.into_inner().unwrap().flush().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Only the check is of interest: what is written before it is thrown away by the caller.
        let error = unpack(file.path(), folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it holds more than 10000 files"), "{error}");
    }
}
