//! Writing files so that a crash leaves the old one or the new one, never half of one.

use crate::{
    PackageError,
    failpoints::{AFTER_RENAME, BEFORE_RENAME, crash_point},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everybody, as the umask allows.
    Shared,
    /// The owner alone (0600).
    Private,
}

/// Writes `bytes` to `path`: temporary file beside it, sync, rename, sync of the folder.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), PackageError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir(folder)?;
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        #[cfg(unix)]
        if mode == Mode::Shared {
            use std::os::unix::fs::PermissionsExt;
            // A temporary file is made for its owner alone; what is not secret is as readable as its neighbours.
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.as_file().sync_all()?;
        crash_point(BEFORE_RENAME);
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()?;
        crash_point(AFTER_RENAME);
        Ok(())
    };
    write().map_err(|error| PackageError::io("write", path, error))
}

/// Makes a folder and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<(), PackageError> {
    fs::create_dir_all(path).map_err(|error| PackageError::io("make the folder", path, error))
}

/// The text of a file; `None` where there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, PackageError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PackageError::io("read", path, error)),
    }
}
