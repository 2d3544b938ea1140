//! What the server's project has installed, as it is on the disk at this moment.
//!
//! The project's files may also be changed by the command line beside the server, so each look compares them with what was read last; that
//! costs two `stat`s.

use crate::Problem;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};
use windlass_package::{Home, Installed, grants, lock};

type Stamp = Option<(SystemTime, u64)>;

/// See the module.
pub(crate) struct Plugins {
    home: Home,
    project: PathBuf,
    read: Mutex<Option<([Stamp; 2], Arc<Vec<Installed>>)>>,
}

impl Plugins {
    pub(crate) fn new(home: Home, project: PathBuf) -> Plugins {
        Plugins { home, project, read: Mutex::new(None) }
    }

    /// The user's folder, with the registries' configuration.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The folder with `windlass.lock` and `windlass.grants.yaml`.
    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// What is installed now.
    pub(crate) fn installed(&self) -> Result<Arc<Vec<Installed>>, Problem> {
        let stamp = |name: &str| -> Stamp {
            let facts = std::fs::metadata(self.project.join(name)).ok()?;
            Some((facts.modified().ok()?, facts.len()))
        };
        let now = [stamp(lock::FILE), stamp(grants::FILE)];
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, installed)) = &*read
            && *then == now
        {
            return Ok(Arc::clone(installed));
        }
        let installed = windlass_package::installed(&self.home, &self.project).map_err(Problem::internal)?;
        let installed = Arc::new(installed);
        *read = Some((now, Arc::clone(&installed)));
        Ok(installed)
    }
}
