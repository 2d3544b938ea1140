//! Where a plugin comes from: a registry of plugins, a plain OCI registry, or what was vendored of either.

use crate::{
    Home, PackageError,
    client::Registry,
    config::Origin,
    http::{Progress, presentable},
    plain::Plain,
    release::{Release, Status},
};
use windlass_contract::{Digest, PluginName};

/// The one place that a namespace's plugins come from.
pub struct Source {
    origin: Origin,
    way: Way,
}

enum Way {
    Registry(Box<Registry>),
    Plain(Box<Plain>),
}

impl Source {
    /// The source of a plugin's namespace.
    ///
    /// # Errors
    /// When none is configured, or no TLS configuration can be made.
    pub fn of(home: &Home, name: &PluginName) -> Result<Self, PackageError> {
        Source::at(home, home.origin_of(name.namespace())?)
    }

    /// What is at `origin`.
    pub(crate) fn at(home: &Home, origin: Origin) -> Result<Self, PackageError> {
        let way = if let Some(folder) = home.vendor()? {
            Way::Registry(Box::new(Registry::vendored(home, &origin, &folder)))
        } else if let Some(plain) = Plain::new(home, &origin)? {
            Way::Plain(Box::new(plain))
        } else {
            Way::Registry(Box::new(Registry::new(home, origin.url().clone(), None)?))
        };
        Ok(Source { origin, way })
    }

    /// What the lock file calls it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.origin.url().is_local()
    }

    /// Every release of a plugin, oldest first.
    ///
    /// # Errors
    /// When the source does not answer, does not know the plugin, or went back on what it had published.
    pub async fn releases(&self, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        let releases = match &self.way {
            Way::Registry(registry) => registry.releases(name).await?,
            Way::Plain(plain) => plain.releases(name).await?,
        };
        Ok(releases.into_iter().map(shown).collect())
    }

    /// The bytes of a release's component.
    ///
    /// # Errors
    /// When they cannot be had, or do not have the digest that the release says.
    pub async fn component(&self, release: &Release, progress: &dyn Progress) -> Result<Vec<u8>, PackageError> {
        match &self.way {
            Way::Registry(registry) => registry.component_with(release, progress).await,
            Way::Plain(plain) => plain.component(release, progress).await,
        }
    }

    /// The OCI manifest of a release: what `cosign` signs.
    pub(crate) async fn manifest(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        match &self.way {
            Way::Registry(registry) => registry.manifest(release).await,
            Way::Plain(plain) => plain.manifest(release).await,
        }
    }

    /// A small blob of a release.
    pub(crate) async fn blob(
        &self,
        release: &Release,
        digest: &Digest,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, PackageError> {
        match &self.way {
            Way::Registry(registry) => registry.blob(release, digest, what, limit).await,
            Way::Plain(plain) => plain.blob(release, digest, what, limit).await,
        }
    }

    /// The Sigstore bundles of a release.
    pub(crate) async fn bundles(&self, release: &Release) -> Result<Vec<Vec<u8>>, PackageError> {
        match &self.way {
            Way::Registry(registry) => registry.bundles(release).await,
            Way::Plain(plain) => plain.bundles(release).await,
        }
    }

    /// A document of the index as it is; `None` where there is none, which is always so with a plain OCI registry.
    pub(crate) async fn document(&self, path: &str) -> Result<Option<String>, PackageError> {
        match &self.way {
            Way::Registry(registry) => registry.document(path).await,
            Way::Plain(_) => Ok(None),
        }
    }

    /// Whether there is an index whose snapshot guards against what is hidden or held back.
    pub fn has_index(&self) -> bool {
        matches!(self.way, Way::Registry(_))
    }
}

/// A release whose texts may be shown on a terminal: what a registry sends is not trusted to be clean.
fn shown(mut release: Release) -> Release {
    let texts = [&mut release.summary, &mut release.licence].into_iter().chain(&mut release.source);
    for text in texts.chain(&mut release.steps) {
        *text = presentable(text);
    }
    if let Status::Yanked(notice) | Status::Quarantined(notice) | Status::Removed(notice) = &mut release.status {
        notice.reason = presentable(&notice.reason);
    }
    release
}
