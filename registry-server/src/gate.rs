//! The publish gate: the one door by which a version comes into being.
//!
//! Everything was pushed before and can be reached by digest; here it is read back, checked as if the client had checked
//! nothing, and written into the index. Checks that cost little come first, the compiler last.

use crate::{Registry, error::OciError, names, tokens::Token};
use axum::http::{HeaderMap, StatusCode};
use semver::Version;
use std::collections::BTreeSet;
use windlass_contract::{Code, CodedError, Descriptor, Digest, PluginName, PluginRef};
use windlass_package::{
    PackageError,
    install::check_facts,
    manifest::{MAX_COMPONENT, MAX_MANIFEST, MAX_README, MAX_SUMMARY, Manifest, is_deceptive},
    oci::{self, ImageManifest},
    release::{LINE_FORMAT, PublishRequest, Release, Status},
    signature::PublisherKey,
};
use windlass_runtime::Inspection;

/// Most step types of one plugin: a page of them.
pub const MAX_STEPS: usize = 100;
/// Longest Markdown of one step type, in bytes.
pub const MAX_DOCS: usize = 64 * 1024;
/// Longest name of a step type after `step.`, in characters.
pub const MAX_STEP_NAME: usize = 60;

/// Why a version was not accepted. Codes WL09xx.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The name.
    #[error("{0}")]
    Name(String),
    /// The version.
    #[error("{0:?} is not a semantic version such as 1.2.3, without build metadata")]
    Version(String),
    /// The OCI manifest.
    #[error("the OCI manifest {digest} cannot be a plugin: {why}")]
    Packaging {
        /// Which.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// `plugin.yaml`.
    #[error("{0}")]
    Manifest(String),
    /// The component.
    #[error("{0}")]
    Component(String),
    /// The component imports more than the manifest asks for.
    #[error("{0}")]
    Imports(String),
    /// The version exists.
    #[error("{name}@{version} is published with other content, and a version never changes")]
    Exists {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: Version,
    },
    /// The name is too like another.
    #[error("the name {name} is too like {other}, which is there already")]
    TooLike {
        /// The new name.
        name: PluginName,
        /// The old one.
        other: PluginName,
    },
    /// Over a limit.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The README.
    #[error("the README cannot be used: {0}")]
    Readme(String),
    /// The signature.
    #[error("{0}")]
    Signature(String),
    /// The signature is not the namespace's.
    #[error("it is signed by {found}, and the namespace {namespace} belongs to {bound}")]
    OtherKey {
        /// The namespace.
        namespace: String,
        /// Its key.
        bound: PublisherKey,
        /// The one that signed.
        found: PublisherKey,
    },
    /// What it says of itself.
    #[error("its description cannot be used: {0}")]
    Descriptor(String),
    /// The token does not own the namespace.
    #[error("this token does not own the namespace {0}")]
    NotOwner(String),
}

impl Refused {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Refused::Exists { .. } => StatusCode::CONFLICT,
            Refused::NotOwner(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl CodedError for Refused {
    fn code(&self) -> Code {
        Code(match self {
            Refused::NotOwner(_) => 901,
            Refused::Name(_) => 902,
            Refused::Version(_) => 903,
            Refused::Packaging { .. } => 904,
            Refused::Manifest(_) => 905,
            Refused::Component(_) => 906,
            Refused::Imports(_) => 907,
            Refused::Exists { .. } => 908,
            Refused::TooLike { .. } => 909,
            Refused::TooLarge { .. } => 910,
            Refused::Readme(_) => 911,
            Refused::Signature(_) => 912,
            Refused::OtherKey { .. } => 913,
            Refused::Descriptor(_) => 914,
        })
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Refused::NotOwner(_) => "use a token made for it: `registry-server token create --namespace …`",
                Refused::Name(_) | Refused::Version(_) | Refused::Manifest(_) => "correct plugin.yaml",
                Refused::Packaging { .. } => "publish with `windlass plugin publish`",
                Refused::Component(_) => "look at it with `windlass plugin inspect FILE`",
                Refused::Imports(_) => "ask for it under `permissions` in plugin.yaml, with its scope",
                Refused::Exists { .. } => "raise the version in plugin.yaml",
                Refused::TooLike { .. } => "choose a name that nobody takes for the other",
                Refused::TooLarge { .. } | Refused::Readme(_) => "make it smaller, as UTF-8 text where it is text",
                Refused::Signature(_) => "publish with `windlass plugin publish`, which signs",
                Refused::OtherKey { .. } => "publish from where the namespace's key is kept, keys/ in WINDLASS_HOME",
                Refused::Descriptor(_) => "correct what the plugin's `describe` returns; wit/step.wit says what it is",
            }
            .to_owned(),
        )
    }
}

/// Why [`publish`] ended early.
pub(crate) enum Stop {
    /// No token that works: the answer carries the challenge.
    Auth(OciError),
    /// The gate said no.
    Refused(Refused),
    /// The registry could not do its work.
    Failed(OciError),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Stop::Refused(refused)
    }
}
impl From<crate::RegistryError> for Stop {
    fn from(error: crate::RegistryError) -> Self {
        Stop::Failed(error.into())
    }
}

/// Judges a publication, and makes it a version. `true`: it is new; `false`: it was there with the same content.
pub(crate) async fn publish(
    registry: &Registry,
    headers: &HeaderMap,
    request: PublishRequest,
) -> Result<(Release, bool), Stop> {
    let name: PluginName =
        request.name.parse().map_err(|error: windlass_contract::NameError| Refused::Name(error.to_string()))?;
    owner(registry, headers, &name)?;
    let version: Version = match request.version.parse::<Version>() {
        Ok(version) if version.build.is_empty() => version,
        _ => return Err(Refused::Version(request.version.chars().take(80).collect()).into()),
    };
    let _one_of_few = registry.0.gates.acquire().await;
    let (digest, size) = packaging(registry, &name, &request)?;
    let manifest = manifest(registry, &name, &version, &request)?;
    readme(registry, &request)?;
    let key = signature(registry, &name, &version, &digest, &manifest, &request)?;
    if let Some(release) = existing(registry, &name, &version, &request)? {
        return Ok((release, false));
    }
    if let Some(other) = names::too_like(&name, &registry.0.index.names()) {
        return Err(Refused::TooLike { name, other: other.clone() }.into());
    }
    let plugin = PluginRef { name: name.clone(), version: version.clone(), digest };
    let (facts, descriptor) = component(registry, &plugin, &manifest).await?;

    let release = Release {
        v: LINE_FORMAT,
        name: name.clone(),
        version: version.clone(),
        digest,
        size,
        manifest: request.manifest,
        kinds: facts.kinds,
        steps: descriptor.steps.into_iter().map(|step| step.name).collect(),
        contract: facts.contract,
        imports: facts.imports,
        permissions: manifest.permissions,
        dependencies: manifest.dependencies,
        engine: manifest.engine,
        keywords: manifest.keywords,
        summary: manifest.summary,
        licence: manifest.licence,
        source: manifest.source,
        published: jiff::Timestamp::now(),
        signature: request.signature.clone(),
        status: Status::Ok,
    };
    // Once more with the door shut: another publication may have come through meanwhile.
    let _door = registry.0.publishing.lock().await;
    if let Some(release) = existing(registry, &name, &version, &request)? {
        return Ok((release, false));
    }
    if let Some(other) = names::too_like(&name, &registry.0.index.names()) {
        return Err(Refused::TooLike { name, other: other.clone() }.into());
    }
    match registry.0.storage.publisher(&name)? {
        // The first publication by somebody who owns the namespace binds its key.
        None => registry.0.storage.bind_publisher(&name, &key)?,
        Some(bound) => check_bound(&name, bound, key)?,
    }
    registry.0.index.add(release.clone())?;
    tracing::info!(%name, %version, %digest, "published");
    Ok((release, true))
}

fn owner(registry: &Registry, headers: &HeaderMap, name: &PluginName) -> Result<Token, Stop> {
    registry.writer(headers, name).map_err(|error| match error.status {
        StatusCode::UNAUTHORIZED => Stop::Auth(error),
        StatusCode::FORBIDDEN => Refused::NotOwner(name.namespace().to_owned()).into(),
        _ => Stop::Failed(error),
    })
}

/// The release, if the version is there with the very same content.
fn existing(
    registry: &Registry,
    name: &PluginName,
    version: &Version,
    request: &PublishRequest,
) -> Result<Option<Release>, Refused> {
    // Precedence ignores build metadata, which is refused above, so equality is identity.
    match registry.0.index.release(name, version) {
        Some(release) if release.manifest == request.manifest => Ok(Some(release)),
        Some(_) => Err(Refused::Exists { name: name.clone(), version: version.clone() }),
        None => Ok(None),
    }
}

/// The component that the OCI manifest names: its digest and size.
fn packaging(registry: &Registry, name: &PluginName, request: &PublishRequest) -> Result<(Digest, u64), Stop> {
    let refuse = |why: String| Refused::Packaging { digest: request.manifest, why };
    let bytes = registry
        .0
        .storage
        .manifest(name, &request.manifest)?
        .ok_or_else(|| refuse(format!("it was not pushed to {}", name.repository())))?;
    let image: ImageManifest = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    if image.config.media_type != oci::WASM_CONFIG || image.subject.is_some() {
        return Err(refuse(format!("its config is {}, not {}", image.config.media_type, oci::WASM_CONFIG)).into());
    }
    let [layer] = image.layers.as_slice() else {
        return Err(refuse(format!("it has {} layers, not one", image.layers.len())).into());
    };
    if layer.media_type != oci::WASM_LAYER {
        return Err(refuse(format!("its layer is {}, not {}", layer.media_type, oci::WASM_LAYER)).into());
    }
    // The manifest's digest is what makes a version's content one thing; so what lies beside the component is in it.
    let said = |annotation: &str| image.annotations.get(annotation).and_then(|text| text.parse::<Digest>().ok());
    if said(oci::PLUGIN_ANNOTATION) != Some(request.plugin) || said(oci::README_ANNOTATION) != request.readme {
        return Err(refuse(format!(
            "its annotations {} and {} do not name the plugin.yaml and the README of the request",
            oci::PLUGIN_ANNOTATION,
            oci::README_ANNOTATION
        ))
        .into());
    }
    let size =
        registry.0.storage.blob_size(&layer.digest).ok_or_else(|| refuse("its layer is not there".to_owned()))?;
    within("the component", size, MAX_COMPONENT)?;
    Ok((layer.digest, size))
}

fn within(what: &'static str, size: u64, limit: u64) -> Result<(), Refused> {
    if size > limit { Err(Refused::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// A blob that is text, and not over its limit.
fn text(registry: &Registry, digest: &Digest, what: &'static str, limit: u64) -> Result<Result<String, String>, Stop> {
    let Some(size) = registry.0.storage.blob_size(digest) else { return Ok(Err("it was not pushed".to_owned())) };
    within(what, size, limit)?;
    let bytes = registry.0.storage.blob(digest)?.unwrap_or_default();
    Ok(String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()))
}

fn manifest(
    registry: &Registry,
    name: &PluginName,
    version: &Version,
    request: &PublishRequest,
) -> Result<Manifest, Stop> {
    let text = text(registry, &request.plugin, "plugin.yaml", MAX_MANIFEST)?
        .map_err(|why| Refused::Manifest(format!("plugin.yaml cannot be used: {why}")))?;
    let manifest = Manifest::parse(&text).map_err(|error| Refused::Manifest(error.to_string()))?;
    if manifest.name != *name || manifest.version != *version {
        return Err(Refused::Manifest(format!(
            "plugin.yaml is of {}@{}, and {name}@{version} is to be published",
            manifest.name, manifest.version
        ))
        .into());
    }
    if manifest.readme.is_some() != request.readme.is_some() {
        return Err(
            Refused::Readme("plugin.yaml and the request do not agree on whether there is one".to_owned()).into()
        );
    }
    Ok(manifest)
}

fn readme(registry: &Registry, request: &PublishRequest) -> Result<(), Stop> {
    let Some(digest) = &request.readme else { return Ok(()) };
    let text = text(registry, digest, "the README", MAX_README)?.map_err(Refused::Readme)?;
    if text.chars().any(|c| is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{200d}')) {
        return Err(Refused::Readme("it holds control characters, or such as turn the text around".to_owned()).into());
    }
    Ok(())
}

/// The key that signed; sound, and the namespace's own where it has one.
fn signature(
    registry: &Registry,
    name: &PluginName,
    version: &Version,
    digest: &Digest,
    manifest: &Manifest,
    request: &PublishRequest,
) -> Result<PublisherKey, Stop> {
    let Some(signature) = &request.signature else {
        return Err(Refused::Signature(format!("{name}@{version} is not signed")).into());
    };
    if !signature.holds(manifest.statement(digest)) {
        return Err(Refused::Signature(format!(
            "the signature by {} is not over {name}@{version} with this component and these permissions",
            signature.key
        ))
        .into());
    }
    if let Some(bound) = registry.0.storage.publisher(name)? {
        check_bound(name, bound, signature.key)?;
    }
    Ok(signature.key)
}

fn check_bound(name: &PluginName, bound: PublisherKey, found: PublisherKey) -> Result<(), Refused> {
    if bound == found {
        return Ok(());
    }
    Err(Refused::OtherKey { namespace: name.namespace().to_owned(), bound, found })
}

/// Looks into the component, and asks it once to describe itself.
async fn component(
    registry: &Registry,
    plugin: &PluginRef,
    manifest: &Manifest,
) -> Result<(Inspection, Descriptor), Stop> {
    let unusable = |why: String| Refused::Component(format!("{plugin}: the component cannot be used: {why}"));
    let (components, path) = (registry.0.components.clone(), registry.0.storage.blob_path(&plugin.digest));
    let file = path.clone();
    let looked = tokio::task::spawn_blocking(move || match std::fs::read(&file) {
        Ok(wasm) => components.inspect(&wasm),
        Err(error) => Err(error.to_string()),
    });
    // Only a panic ends that task without an answer: a component that makes us panic cannot be used.
    let facts = looked.await.map_err(|error| unusable(error.to_string()))?.map_err(unusable)?;
    check_facts(&plugin.to_string(), &facts, &manifest.permissions).map_err(|error| match error {
        PackageError::UndeclaredImports { .. } => Refused::Imports(error.to_string()),
        error => Refused::Component(error.to_string()),
    })?;
    let descriptor = registry.0.components.describe(plugin, &path).await.map_err(Refused::Descriptor)?;
    check_descriptor(&descriptor).map_err(Refused::Descriptor)?;
    Ok((facts, descriptor))
}

/// What the types of a descriptor cannot say.
///
/// # Errors
/// In words, naming the step type.
pub fn check_descriptor(descriptor: &Descriptor) -> Result<(), String> {
    if descriptor.steps.is_empty() || descriptor.steps.len() > MAX_STEPS {
        return Err(format!("a plugin provides 1 to {MAX_STEPS} step types, this one {}", descriptor.steps.len()));
    }
    let mut seen = BTreeSet::new();
    for step in &descriptor.steps {
        let name: String = step.name.chars().take(80).collect();
        let sound = step.name.strip_prefix("step.").is_some_and(|rest| {
            (1..=MAX_STEP_NAME).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if !sound {
            return Err(format!(
                "{name:?} is not the name of a step type: write step. and then lower-case letters, digits and underscores"
            ));
        }
        if !seen.insert(&step.name) {
            return Err(format!("{name} is described twice"));
        }
        let summary = step.summary.chars().count();
        if !(1..=MAX_SUMMARY).contains(&summary) || step.summary.chars().any(is_deceptive) {
            return Err(format!("the summary of {name} is one line of 1 to {MAX_SUMMARY} characters"));
        }
        let deceptive = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t');
        if step.docs.len() > MAX_DOCS || step.docs.chars().any(deceptive) {
            return Err(format!("the docs of {name} are text of at most {MAX_DOCS} bytes"));
        }
        if !step.config_schema.is_object() {
            return Err(format!("the config_schema of {name} is not a JSON Schema object"));
        }
        for (key, schema) in [("config_schema", &step.config_schema), ("output_schema", &step.output_schema)] {
            if !schema.is_null() {
                jsonschema::draft202012::new(schema)
                    .map_err(|error| format!("the {key} of {name} is not a JSON Schema: {error}"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn descriptors() {
        let step = json!({"name": "step.slack", "summary": "Tell a channel", "effect": "pure", "config_schema": {"type": "object"}});
        let with = |key: &str, value: Value| {
            let mut step = step.clone();
            step[key] = value;
            json!({"steps": [step]})
        };
        let check = |document: Value| {
            let descriptor: Descriptor = serde_json::from_value(document).expect("a descriptor");
            check_descriptor(&descriptor).err().unwrap_or_else(|| "accepted".to_owned())
        };
        let all = [
            check(json!({"steps": [step]})),
            check(json!({"steps": []})),
            check(json!({"steps": [step, step]})),
            check(with("name", json!("slack"))),
            check(with("name", json!("step.../../x"))),
            check(with("name", json!("step.Slack"))),
            check(with("name", json!(format!("step.{}", "x".repeat(61))))),
            check(with("summary", json!("two\nlines"))),
            check(with("docs", json!("\u{1b}[2J"))),
            check(with("config_schema", json!(true))),
            check(with("config_schema", json!({"type": "objekt"}))),
            check(with("config_schema", json!({"$ref": "http://169.254.169.254/"}))),
            check(with("output_schema", json!({"pattern": "("}))),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        accepted
        a plugin provides 1 to 100 step types, this one 0
        step.slack is described twice
        "slack" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.../../x" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.Slack" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        the summary of step.slack is one line of 1 to 200 characters
        the docs of step.slack are text of at most 65536 bytes
        the config_schema of step.slack is not a JSON Schema object
        the config_schema of step.slack is not a JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword
        the config_schema of step.slack is not a JSON Schema: Resource 'http://169.254.169.254/' is not present in a registry and retrieving it failed: `resolve-http` feature or a custom resolver is required to resolve external schemas via HTTP
        the output_schema of step.slack is not a JSON Schema: "(" is not a "regex"
        "#);
    }
}
