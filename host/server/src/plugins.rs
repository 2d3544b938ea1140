//! What the server's project has installed, as it is on the disk at this moment.
//!
//! The project's files may also be changed by the command line beside the server, so each look compares them with what was read last; that
//! costs two `stat`s. What this server changes of them, it changes one after the other: see [`Plugins::turn`].

use crate::{Problem, market::Market, problem::Kind};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};
use windlass_package::{Home, Installed, PackageError, grants, lock};

type Stamp = Option<(SystemTime, u64)>;
/// What the two files were when they were read, and what they said.
type Read = ([Stamp; 2], Arc<Vec<Installed>>);

/// See the module.
pub(crate) struct Plugins {
    home: Home,
    project: PathBuf,
    read: Mutex<Option<Read>>,
    turn: tokio::sync::Mutex<()>,
    market: Market,
}

impl Plugins {
    pub(crate) fn new(home: Home, project: PathBuf) -> Plugins {
        Plugins { home, project, read: Mutex::new(None), turn: tokio::sync::Mutex::new(()), market: Market::new() }
    }

    /// The user's folder, with the registries' configuration.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The folder with `windlass.lock` and `windlass.grants.yaml`.
    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// What the registries have said lately.
    pub(crate) fn market(&self) -> &Market {
        &self.market
    }

    /// The right to change what is installed, until it is dropped. Whoever only looks needs none.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
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

    /// Forgets what was read, for whoever has changed the files: a change within the clock's resolution that keeps a file's size would
    /// not be seen.
    pub(crate) fn forget(&self) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl From<PackageError> for Problem {
    fn from(error: PackageError) -> Self {
        use PackageError as E;
        let kind = match &error {
            E::Name(_) => Kind::Invalid,
            E::UnknownPlugin { .. } | E::NotInstalled { .. } => Kind::NotFound,
            E::NoRegistry { .. }
            | E::NoVersion { .. }
            | E::LockDisagrees { .. }
            | E::Conflict { .. }
            | E::PlainOci { .. }
            | E::Needed { .. }
            | E::BadSignature { .. }
            | E::Unsigned { .. }
            | E::NotGranted { .. }
            | E::LockWouldChange { .. }
            | E::NotFetched { .. }
            | E::BadComponent { .. }
            | E::UndeclaredImports { .. }
            | E::TooLarge { .. }
            | E::InDevelopment { .. } => Kind::Conflict,
            E::Unreachable { .. }
            | E::Answer { .. }
            | E::BadAnswer { .. }
            | E::DigestMismatch { .. }
            | E::Rollback { .. }
            | E::Untrusted { .. }
            | E::Stale { .. }
            | E::Mixed { .. }
            | E::Credentials { .. } => Kind::Upstream,
            _ => return Problem::internal(error),
        };
        let problem = Problem::told(kind, &error);
        match error {
            E::Needed { by, .. } => {
                Problem { blockers: by, ..problem }.help("take it out there first, or send force=true")
            }
            E::Conflict { facts } => Problem { blockers: facts, ..problem },
            _ => problem,
        }
    }
}
