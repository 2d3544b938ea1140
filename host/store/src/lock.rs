//! Locks that the kernel lets go of when their holder dies.
//!
//! A lock file is never removed: two processes could otherwise hold a lock each, one on the removed file and one on its successor.

use crate::StoreError;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Only the owner reads what runs have printed and what plugins keep.
pub(crate) const DIR_MODE: u32 = 0o700;
/// Only the owner reads what runs have printed and what plugins keep.
pub(crate) const FILE_MODE: u32 = 0o600;

/// The right to carry a run out; held until dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

pub(crate) enum Held {
    Mine(File),
    /// The other's own words about itself.
    By(String),
}

/// Makes the folder and those above it.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(StoreError::io("make the folder", dir))
}

fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options.open(path).map_err(StoreError::io("open the lock", path))
}

/// Takes the lock at `path`, shared or alone, and waits for it: only for what others hold for milliseconds. Blocks the thread.
pub(crate) fn wait(path: &Path, shared: bool) -> Result<File, StoreError> {
    let file = open(path)?;
    let taken = if shared { file.lock_shared() } else { file.lock() };
    taken.map_err(StoreError::io("take the lock", path))?;
    Ok(file)
}

/// Whether somebody holds the lock at `path` alone. Looks by a shared lock that is let go of at once; callers keep those apart
/// who would be refused because of that.
pub(crate) fn is_taken(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(StoreError::io("open the lock", path)(source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(StoreError::io("look at the lock", path)(source)),
    }
}

/// Takes the lock at `path` without waiting; shared with other shared holders, or alone.
pub(crate) fn take(path: &Path, shared: bool) -> Result<Held, StoreError> {
    let mut file = open(path)?;
    match if shared { file.try_lock_shared() } else { file.try_lock() } {
        Ok(()) => {
            if !shared {
                // For people only: the kernel's lock is what counts.
                let told = file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id()));
                told.map_err(StoreError::io("write to the lock", path))?;
            }
            Ok(Held::Mine(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            // What cannot be read is not worth failing over.
            let _ = file.take(64).read_to_string(&mut by);
            Ok(Held::By(if by.starts_with("process ") { by } else { "another process".to_owned() }))
        }
        Err(TryLockError::Error(source)) => Err(StoreError::io("take the lock", path)(source)),
    }
}

impl RunLock {
    pub(crate) fn new(file: File) -> Self {
        RunLock { _file: file }
    }
}
