//! How a plugin lies in an OCI registry, so that `wkg`, `oras` and mirrors can carry it.
//!
//! One image manifest: a `application/vnd.wasm.config.v0+json` config and one `application/wasm` layer. `plugin.yaml`, the
//! README and the signature are artifacts that refer to it (`subject`). Everything is deterministic: the same component
//! and the same `plugin.yaml` give the same manifest digest on every machine, which is what makes publishing repeatable.

use crate::{manifest::Manifest, signature::Signature};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use windlass_contract::Digest;
use windlass_runtime::Inspection;

/// An OCI image manifest.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI index: a list of manifests.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The config of a Wasm artifact.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The layer that is the component.
pub const WASM_LAYER: &str = "application/wasm";
/// What older tools call that layer; accepted when reading.
pub const OLD_WASM_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// The empty config of an artifact that has none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// `plugin.yaml`.
pub const PLUGIN_YAML: &str = "application/vnd.windlass.plugin.v1+yaml";
/// The README.
pub const README: &str = "application/vnd.windlass.readme.v1+markdown";
/// The signature.
pub const SIGNATURE: &str = "application/vnd.windlass.signature.v1+json";
/// The annotation that binds `plugin.yaml` to the manifest: its digest.
pub const PLUGIN_ANNOTATION: &str = "dev.windlass.plugin";
/// The annotation that binds the README: its digest.
pub const README_ANNOTATION: &str = "dev.windlass.readme";
/// An example pipeline.
pub const EXAMPLE: &str = "application/vnd.windlass.example.v1+yaml";
/// The annotation that binds the examples: their digests in order, separated by spaces.
pub const EXAMPLES_ANNOTATION: &str = "dev.windlass.examples";
/// Largest OCI manifest, in bytes: the distribution specification's own advice.
pub const MAX_OCI_MANIFEST: u64 = 4 * 1024 * 1024;

/// A reference to content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Its type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// For a manifest: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Content {
    /// A reference to `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Content {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image manifest, as far as we look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// 2.
    pub schema_version: u32,
    /// [`IMAGE_MANIFEST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its config.
    pub config: Content,
    /// Its layers.
    #[serde(default)]
    pub layers: Vec<Content>,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Content>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// What kind of artifact this is, as the referrers list calls it.
    pub fn kind(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.config.media_type)
    }
}

/// All that is pushed for one version.
#[derive(Debug, Clone)]
pub struct Package {
    /// The blobs.
    pub blobs: Vec<Vec<u8>>,
    /// The manifest of the component.
    pub manifest: Vec<u8>,
    /// The manifests that refer to it.
    pub referrers: Vec<Vec<u8>>,
}

/// The value of [`EXAMPLES_ANNOTATION`]; none where there are no examples.
pub fn examples_annotation(digests: &[Digest]) -> Option<String> {
    let digests: Vec<String> = digests.iter().map(Digest::to_string).collect();
    (!digests.is_empty()).then(|| digests.join(" "))
}

/// Packs a plugin. `examples` are the texts of the pipelines that its manifest names, in that order.
pub fn package(
    manifest: &Manifest,
    yaml: &str,
    facts: &Inspection,
    wasm: Vec<u8>,
    readme: Option<&str>,
    examples: &[String],
    signature: &Signature,
) -> Package {
    let layer = Content::of(WASM_LAYER, &wasm);
    let imports: Vec<_> =
        facts.imports.iter().map(|i| format!("windlass:plugin/{}@{}", i.name(), facts.contract)).collect();
    let config = json_bytes(&json!({
        // The format demands a time; a fixed one keeps the digest the same wherever it is built. When it was
        // published is in the index.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.digest],
        "component": {
            "exports": facts.exports,
            "imports": imports.iter().chain(&facts.wasi).collect::<Vec<_>>(),
            "target": null,
        },
    }));
    let mut annotations: BTreeMap<String, String> = [
        ("org.opencontainers.image.title", manifest.name.to_string()),
        ("org.opencontainers.image.version", manifest.version.to_string()),
        ("org.opencontainers.image.description", manifest.summary.clone()),
        ("org.opencontainers.image.licenses", manifest.licence.clone()),
        ("dev.windlass.contract", facts.contract.to_string()),
        (PLUGIN_ANNOTATION, Digest::of(yaml.as_bytes()).to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if let Some(source) = &manifest.source {
        annotations.insert("org.opencontainers.image.source".to_owned(), source.clone());
    }
    if let Some(readme) = readme {
        annotations.insert(README_ANNOTATION.to_owned(), Digest::of(readme.as_bytes()).to_string());
    }
    let digests: Vec<Digest> = examples.iter().map(|example| Digest::of(example.as_bytes())).collect();
    annotations.extend(examples_annotation(&digests).map(|value| (EXAMPLES_ANNOTATION.to_owned(), value)));
    let image = json_bytes(&ImageManifest {
        schema_version: 2,
        media_type: Some(IMAGE_MANIFEST.to_owned()),
        artifact_type: None,
        config: Content::of(WASM_CONFIG, &config),
        layers: vec![layer],
        subject: None,
        annotations,
    });

    let signature = json_bytes(signature);
    let mut attached = vec![(PLUGIN_YAML, yaml.as_bytes().to_vec()), (SIGNATURE, signature)];
    if let Some(readme) = readme {
        attached.push((README, readme.as_bytes().to_vec()));
    }
    attached.extend(examples.iter().map(|example| (EXAMPLE, example.as_bytes().to_vec())));
    let referrers = attached
        .iter()
        .map(|(kind, bytes)| {
            json_bytes(&ImageManifest {
                schema_version: 2,
                media_type: Some(IMAGE_MANIFEST.to_owned()),
                artifact_type: Some((*kind).to_owned()),
                config: Content::of(EMPTY, b"{}"),
                layers: vec![Content::of(kind, bytes)],
                subject: Some(Content::of(IMAGE_MANIFEST, &image)),
                annotations: BTreeMap::new(),
            })
        })
        .collect();
    let mut blobs = vec![wasm, config, b"{}".to_vec()];
    blobs.extend(attached.into_iter().map(|(_, bytes)| bytes));
    Package { blobs, manifest: image, referrers }
}

/// Maps with text keys, texts and numbers: their JSON cannot fail.
fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
