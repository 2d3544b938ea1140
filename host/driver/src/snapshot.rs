//! The folder that a run begins with, as one tar file.
//!
//! **Purpose.** A pipeline works on the files beside it. They are copied once, when the run is created, so that an edit during
//! the run changes nothing, and so that a resumed run sees what the first attempt saw.
//!
//! **Invariants.** What `.gitignore` names stays out, and so do `.git` and `.windlass`. Links are kept as links and never followed,
//! so nothing outside the folder gets in. Entries are sorted, owned by root and without times: the same tree gives the same bytes.
//!
//! **Not here.** Putting the file into the workspace: `capabilities` does.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// The most that is copied into a workspace: 2 GiB. A folder larger than this is nearly always the wrong folder (a home
/// directory), and copying it would look like a hang.
pub const MAX_BYTES: u64 = 2 << 30;

/// Why a folder could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file could not be read, or the snapshot not be written.
    #[error("cannot copy {path:?} into the workspace: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More than [`MAX_BYTES`].
    #[error("{0:?} holds more than {max} MiB; name another folder with --workspace, or leave files out with .gitignore", max = MAX_BYTES >> 20)]
    TooLarge(PathBuf),
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Files and links.
    pub files: u64,
    /// The bytes of the files.
    pub bytes: u64,
}

/// Writes the tree below `folder` to the new tar file `to`, and syncs it.
///
/// # Errors
/// When a file cannot be read, or the tree is over [`MAX_BYTES`].
pub fn write(folder: &Path, to: &Path) -> Result<Snapshot, SnapshotError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| SnapshotError::Io { path, source }
    };
    let walk = ignore::WalkBuilder::new(folder)
        .hidden(false)
        .require_git(false)
        .git_global(false)
        .follow_links(false)
        .filter_entry(|entry| !matches!(entry.file_name().to_str(), Some(".git" | ".windlass")))
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .build();
    let file = File::create(to).map_err(at(to))?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    let mut snapshot = Snapshot { files: 0, bytes: 0 };
    for entry in walk {
        let entry = entry.map_err(|error| SnapshotError::Io {
            path: folder.to_owned(),
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("cannot list the folder")),
        })?;
        let Ok(name) = entry.path().strip_prefix(folder) else { continue };
        let path = entry.path();
        // The folder itself may be a link; what is in it is not followed.
        let metadata = if name.as_os_str().is_empty() { path.metadata() } else { path.symlink_metadata() };
        let metadata = metadata.map_err(at(path))?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_mode(mode(&metadata));
        if name.as_os_str().is_empty() {
            // The top of a volume belongs to root, until it is said otherwise.
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            archive.append_data(&mut header, ".", io::empty()).map_err(at(path))?;
        } else if metadata.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, name, io::empty()).map_err(at(path))?;
        } else if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let target = path.read_link().map_err(at(path))?;
            archive.append_link(&mut header, name, target).map_err(at(path))?;
            snapshot.files += 1;
        } else if metadata.is_file() {
            snapshot.files += 1;
            snapshot.bytes += metadata.len();
            if snapshot.bytes > MAX_BYTES {
                return Err(SnapshotError::TooLarge(folder.to_owned()));
            }
            header.set_size(metadata.len());
            let content = File::open(path).map_err(at(path))?;
            // A file that grows or shrinks meanwhile is cut or filled to the size in its header: the archive stays sound.
            let exactly = io::Read::take(io::Read::chain(content, io::repeat(0)), metadata.len());
            archive.append_data(&mut header, name, exactly).map_err(at(path))?;
        }
    }
    let written = archive.into_inner().and_then(|mut buffer| {
        buffer.flush()?;
        buffer.get_ref().sync_all()
    });
    written.map_err(at(to))?;
    Ok(snapshot)
}

/// For everybody, executable where it was: a step runs as whatever user its image or configuration says, and works here.
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.is_dir() || metadata.permissions().mode() & 0o111 != 0 { 0o777 } else { 0o666 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(archive: &Path) -> Vec<String> {
        let mut archive = tar::Archive::new(File::open(archive).expect("the snapshot is there"));
        let entries = archive.entries().expect("a tar file");
        entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let link = entry.link_name().expect("a name").map(|to| format!(" -> {}", to.display()));
                format!("{}{}", entry.path().expect("a path").display(), link.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn a_tree_without_what_git_ignores_and_nothing_from_outside() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("project");
        for file in [".git/HEAD", ".windlass/x", "src/main.c", "target/out", ".hidden", "a b/ü.txt"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, file).expect("a file");
        }
        std::fs::write(root.join(".gitignore"), "target/\n").expect("a file");
        symlink("/etc", root.join("outside")).expect("a link");
        let (first, second) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
        let snapshot = write(&root, &first).expect("a snapshot");
        assert_eq!(
            names(&first),
            [".", ".gitignore", ".hidden", "a b", "a b/ü.txt", "outside -> /etc", "src", "src/main.c"]
        );
        assert_eq!(snapshot.files, 5);
        write(&root, &second).expect("a snapshot");
        assert_eq!(
            std::fs::read(first).expect("bytes"),
            std::fs::read(second).expect("bytes"),
            "the same tree, the same bytes"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error =
            write(&folder.path().join("absent"), &folder.path().join("x.tar")).expect_err("there is no such folder");
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
