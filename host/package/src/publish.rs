//! `windlass plugin publish`: read, check, sign, push, and ask the gate.
//!
//! The gate checks everything again; checking here first is what makes `--dry-run` useful and refusals cheap.

use crate::{
    Components, Home, PackageError,
    client::Registry,
    install::check_facts,
    manifest::{MAX_COMPONENT, MAX_EXAMPLE, MAX_README, Manifest},
    oci::{self, Package},
    plain::Plain,
    release::{PublishRequest, Release},
    signature::PublisherKey,
};
use ed25519_dalek::SigningKey;
use std::{fs, path::Path};
use windlass_contract::{Descriptor, Digest, PluginRef, SecretValue};
use windlass_runtime::Inspection;

/// A plugin that is ready to be pushed.
pub struct Prepared {
    /// Its manifest.
    pub manifest: Manifest,
    /// Name, version and digest.
    pub plugin: PluginRef,
    /// What the component says.
    pub facts: Inspection,
    /// What it says when asked.
    pub descriptor: Descriptor,
    /// Size of the component in bytes.
    pub size: u64,
    /// Whose signature it carries; a throw-away key's in a dry run before the first publication.
    pub key: PublisherKey,
    /// What is pushed.
    pub package: Package,
    /// What the gate is asked.
    pub request: PublishRequest,
}

fn read_limited(path: &Path, what: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
    let io = |error| PackageError::io("read", path, error);
    let size = fs::metadata(path).map_err(io)?.len();
    if size > limit {
        return Err(PackageError::TooLarge { what: what.to_owned(), size, limit });
    }
    fs::read(path).map_err(io)
}

fn read_text(path: &Path, what: &str, limit: u64) -> Result<String, PackageError> {
    let not_text = |_| PackageError::io("read as UTF-8", path, std::io::ErrorKind::InvalidData.into());
    String::from_utf8(read_limited(path, what, limit)?).map_err(not_text)
}

/// Reads and checks the plugin in `folder`, and signs it with the namespace's key, which `dry_run` does not create.
///
/// # Errors
/// Whatever the gate would refuse that can be seen from here.
pub async fn prepare(
    home: &Home,
    folder: &Path,
    components: &dyn Components,
    dry_run: bool,
) -> Result<Prepared, PackageError> {
    let (manifest, yaml) = Manifest::load(folder)?;
    let component = folder.join(&manifest.component);
    let wasm = read_limited(&component, "the component", MAX_COMPONENT)?;
    let readme =
        manifest.readme.as_ref().map(|path| read_text(&folder.join(path), "the README", MAX_README)).transpose()?;
    let examples = manifest.examples.iter().map(|path| read_text(&folder.join(path), "an example", MAX_EXAMPLE));
    let examples = examples.collect::<Result<Vec<_>, _>>()?;
    let plugin =
        PluginRef { name: manifest.name.clone(), version: manifest.version.clone(), digest: Digest::of(&wasm) };
    let bad = |why| PackageError::BadComponent { name: plugin.to_string(), why };
    let facts = components.inspect(&wasm).map_err(bad)?;
    check_facts(&plugin.to_string(), &facts, &manifest.permissions)?;
    let descriptor = components.describe(&plugin, &component).await.map_err(bad)?;

    let key = match home.signing_key(manifest.name.namespace())? {
        Some(key) => key,
        None if dry_run => SigningKey::generate(&mut rand::rngs::OsRng),
        None => home.make_signing_key(manifest.name.namespace())?,
    };
    let signature = manifest.statement(&plugin.digest).sign(&key);
    let size = wasm.len() as u64;
    let package = oci::package(&manifest, &yaml, &facts, wasm, readme.as_deref(), &examples, &signature);
    let request = PublishRequest {
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        manifest: Digest::of(&package.manifest),
        plugin: Digest::of(yaml.as_bytes()),
        readme: readme.as_deref().map(|readme| Digest::of(readme.as_bytes())),
        examples: examples.iter().map(|example| Digest::of(example.as_bytes())).collect(),
        signature: Some(signature),
    };
    Ok(Prepared { key: PublisherKey::of(&key), manifest, plugin, facts, descriptor, size, package, request })
}

/// Pushes what was prepared. The token is the one given, else the one in `credentials.toml`; a plain OCI registry is given
/// what [`crate::config::Origin::Oci`] is given always.
///
/// # Errors
/// [`PackageError::Refused`] with the gate's reasons.
pub async fn push(home: &Home, prepared: &Prepared, token: Option<SecretValue>) -> Result<Release, PackageError> {
    let name = &prepared.manifest.name;
    let origin = home.origin_of(name.namespace())?;
    let url = origin.url().clone();
    if let Some(plain) = Plain::new(home, &origin)? {
        return plain.publish(name, &prepared.manifest.version, &prepared.package).await;
    }
    let token = match token {
        Some(token) => Some(token),
        None => home.token(&url)?,
    };
    Registry::new(home, url, token)?.publish(name, &prepared.package, &prepared.request).await
}
