//! Any OCI registry as a source of plugins: the versions are the tags.
//!
//! There is no index and no snapshot: what a version is, is read from its manifest, from the `plugin.yaml` that the
//! manifest binds by digest, and from the signature that refers to it. So the lock's digest, the publisher's signature and
//! the key of first use hold as they do everywhere; that nothing was hidden or held back, only an index can say.
//!
//! **What is passed over**, silently because a repository may hold other things: tags that are no versions, manifests
//! without exactly one Wasm layer or without `plugin.yaml`. A `plugin.yaml` that speaks of another plugin or version is
//! passed over too: it cannot be this one.
//!
//! There is no time of publication that could be believed, so a cool-down does not apply.

use crate::{
    Home, PackageError,
    client::{as_component, component_of, sized},
    config::Origin,
    credentials::Login,
    distribution::Distribution,
    endpoint::{BUNDLE, MAX_BUNDLE},
    files::{Mode, read_text, write_atomic},
    http::{Http, Patience, Progress, Silent},
    manifest::{MAX_MANIFEST, Manifest},
    oci::{self, Content, ImageManifest},
    release::{LINE_FORMAT, Release, Status, index_line, only_grew, parse_index},
    signature::Signature,
};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use semver::Version;
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf};
use windlass_contract::{CONTRACT_PACKAGE, Digest, Interface, PluginKind, PluginName};

/// Largest signature document, in bytes: a key and a signature.
const MAX_SIGNATURE: u64 = 4 * 1024;
/// How many versions are asked about at once.
const AT_ONCE: usize = 4;

/// An OCI registry that holds plugins.
pub(crate) struct Plain {
    origin: Origin,
    prefix: String,
    oci: Distribution,
    cache: PathBuf,
}

impl Plain {
    /// A client for it; `None` for an origin that is a registry of plugins.
    pub(crate) fn new(home: &Home, origin: &Origin) -> Result<Option<Self>, PackageError> {
        let Origin::Oci { url, prefix, realm } = origin else { return Ok(None) };
        let http = Http::new(home, url, Patience::USUAL)?;
        let oci = Distribution::new(http, url.url().clone(), Login::of(home, url)?, realm.clone());
        let cache = home.index_cache().join(&Digest::of(origin.to_string().as_bytes()).hex()[..16]);
        Ok(Some(Plain { origin: origin.clone(), prefix: prefix.clone(), oci, cache }))
    }

    fn repository(&self, name: &PluginName) -> String {
        format!("{}{}", self.prefix, name.repository())
    }

    /// Every version of a plugin, oldest first.
    pub(crate) async fn releases(&self, name: &PluginName) -> Result<Vec<Release>, PackageError> {
        let repository = self.repository(name);
        let registry = self.origin.to_string();
        let Some(tags) = self.oci.tags(&repository).await? else {
            return Err(PackageError::UnknownPlugin { registry, name: name.clone() });
        };
        let mut versions: Vec<Version> = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
        versions.sort();
        let file = self.cache.join(name.namespace()).join(format!("{}.lines", name.name()));
        let known = read_text(&file)?.and_then(|text| parse_index(name, &text).ok()).unwrap_or_default();
        let releases: Vec<Option<Release>> = futures::stream::iter(versions)
            .map(|version| {
                let (repository, known) = (&repository, &known);
                async move { self.release(name, repository, version, known).await }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let releases: Vec<Release> = releases.into_iter().flatten().collect();
        if releases.is_empty() && known.is_empty() {
            return Err(PackageError::UnknownPlugin { registry, name: name.clone() });
        }
        only_grew(&known, &releases).map_err(|why| PackageError::Rollback { registry, name: name.clone(), why })?;
        let lines: String = releases.iter().map(index_line).collect();
        write_atomic(&file, lines.as_bytes(), Mode::Shared)?;
        Ok(releases)
    }

    /// What a tag stands for, if it is a plugin. What the same manifest was before, it is now.
    async fn release(
        &self,
        name: &PluginName,
        repository: &str,
        version: Version,
        known: &[Release],
    ) -> Result<Option<Release>, PackageError> {
        let Some((bytes, digest)) = self.oci.manifest(repository, &version.to_string()).await? else {
            return Ok(None);
        };
        let is_it = |release: &&Release| release.version == version && release.manifest == digest;
        // A signature may be added later, as a referrer; a plugin that had one keeps it.
        if let Some(known) = known.iter().find(is_it).filter(|known| known.signature.is_some()) {
            return Ok(Some(known.clone()));
        }
        let Ok(image) = serde_json::from_slice::<ImageManifest>(&bytes) else { return Ok(None) };
        let Some((layer, plugin)) = plugin_in(&image) else { return Ok(None) };
        let what = format!("plugin.yaml of {name}@{version}");
        let yaml = self.oci.blob(repository, &plugin, &what, MAX_MANIFEST, &Silent).await?;
        let Some(manifest) = String::from_utf8(yaml).ok().and_then(|text| Manifest::parse(&text).ok()) else {
            return Ok(None);
        };
        if manifest.name != *name || manifest.version != version {
            return Ok(None);
        }
        let config = self.oci.blob(repository, &image.config.digest, &what, MAX_MANIFEST, &Silent).await?;
        let Some(facts) = Facts::of(&config) else { return Ok(None) };
        let signatures = self.oci.attached(repository, &digest, oci::SIGNATURE, MAX_SIGNATURE).await?;
        // Anybody who may push may attach; the one that holds is the publisher's.
        let signature = signatures
            .iter()
            .filter_map(|bytes| serde_json::from_slice::<Signature>(bytes).ok())
            .find(|signature| signature.holds(manifest.statement(&layer.digest)));
        Ok(Some(Release {
            v: LINE_FORMAT,
            name: name.clone(),
            version,
            digest: layer.digest,
            size: layer.size,
            manifest: digest,
            kinds: facts.kinds,
            steps: Vec::new(),
            provider: None,
            contract: facts.contract,
            imports: facts.imports,
            permissions: manifest.permissions,
            dependencies: manifest.dependencies,
            engine: manifest.engine,
            keywords: manifest.keywords,
            summary: manifest.summary,
            licence: manifest.licence,
            source: manifest.source,
            published: Timestamp::UNIX_EPOCH,
            signature,
            status: Status::Ok,
        }))
    }

    pub(crate) async fn component(&self, release: &Release, progress: &dyn Progress) -> Result<Vec<u8>, PackageError> {
        let what = component_of(release)?;
        let repository = self.repository(&release.name);
        let bytes = self.oci.blob(&repository, &release.digest, &what, release.size, progress).await;
        sized(bytes.map_err(|error| as_component(error, release))?, release, &self.origin.to_string())
    }

    pub(crate) async fn blob(
        &self,
        release: &Release,
        digest: &Digest,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, PackageError> {
        self.oci.blob(&self.repository(&release.name), digest, what, limit, &Silent).await
    }

    pub(crate) async fn manifest(&self, release: &Release) -> Result<Vec<u8>, PackageError> {
        let found = self.oci.manifest(&self.repository(&release.name), &release.manifest.to_string()).await?;
        found.map(|(bytes, _)| bytes).ok_or_else(|| PackageError::BadAnswer {
            registry: self.origin.to_string(),
            what: format!("the manifest of {}@{}", release.name, release.version),
            why: "it is not there".to_owned(),
        })
    }

    pub(crate) async fn bundles(&self, release: &Release) -> Result<Vec<Vec<u8>>, PackageError> {
        self.oci.attached(&self.repository(&release.name), &release.manifest, BUNDLE, MAX_BUNDLE).await
    }

    /// Pushes a package under its version. There is no gate: what a version once was, only this refusal keeps.
    pub(crate) async fn publish(
        &self,
        name: &PluginName,
        version: &Version,
        package: &oci::Package,
    ) -> Result<Release, PackageError> {
        let (repository, tag) = (self.repository(name), version.to_string());
        let digest = Digest::of(&package.manifest);
        if let Some((_, there)) = self.oci.manifest(&repository, &tag).await?
            && there != digest
        {
            let reason = format!("{repository}:{tag} is there, with the digest {there} and not {digest}");
            return Err(PackageError::Refused { name: name.clone(), version: version.clone(), reasons: vec![reason] });
        }
        for blob in &package.blobs {
            self.oci.push_blob(&repository, blob).await?;
        }
        // What refers to it comes first, so that whoever sees the version finds it signed; but a registry may refuse what
        // refers to nothing, so the manifest itself is there before that, by digest.
        self.oci.push_manifest(&repository, &digest.to_string(), oci::IMAGE_MANIFEST, &package.manifest).await?;
        self.oci.push_referrers(&repository, &digest, &package.referrers).await?;
        self.oci.push_manifest(&repository, &tag, oci::IMAGE_MANIFEST, &package.manifest).await?;
        let published = self.release(name, &repository, version.clone(), &[]).await?;
        published.ok_or_else(|| PackageError::BadAnswer {
            registry: self.origin.to_string(),
            what: format!("{repository}:{tag}"),
            why: "what was pushed does not read as a plugin".to_owned(),
        })
    }
}

/// The component's layer and the digest of `plugin.yaml`, where a manifest is that of a plugin.
pub(crate) fn plugin_in(image: &ImageManifest) -> Option<(Content, Digest)> {
    let is_wasm = |layer: &&Content| matches!(layer.media_type.as_str(), oci::WASM_LAYER | oci::OLD_WASM_LAYER);
    let mut layers = image.layers.iter().filter(is_wasm);
    let (layer, None) = (layers.next()?, layers.next()) else { return None };
    Some((layer.clone(), image.annotations.get(oci::PLUGIN_ANNOTATION)?.parse().ok()?))
}

/// What the config of a Wasm artifact says of its component. The component itself is held against it when it is here.
struct Facts {
    kinds: BTreeSet<PluginKind>,
    imports: BTreeSet<Interface>,
    contract: Version,
}

impl Facts {
    fn of(config: &[u8]) -> Option<Facts> {
        #[derive(Deserialize)]
        struct Config {
            component: Component,
        }
        #[derive(Deserialize)]
        struct Component {
            #[serde(default)]
            exports: Vec<String>,
            #[serde(default)]
            imports: Vec<String>,
        }
        let config: Config = serde_json::from_slice(config).ok()?;
        let ours = |text: &str| {
            let (interface, version) = text.strip_prefix(CONTRACT_PACKAGE)?.strip_prefix('/')?.split_once('@')?;
            Some((interface.to_owned(), version.parse::<Version>().ok()?))
        };
        let exports: Vec<_> = config.component.exports.iter().filter_map(|text| ours(text)).collect();
        let imports = config.component.imports.iter().filter_map(|text| ours(text));
        let (_, contract) = exports.first()?.clone();
        let kinds = exports.iter().filter(|(interface, _)| interface == "step").map(|_| PluginKind::Step).collect();
        let known = |interface: String| Interface::ALL.into_iter().find(|each| each.name() == interface);
        Some(Facts { kinds, imports: imports.filter_map(|(interface, _)| known(interface)).collect(), contract })
    }
}
