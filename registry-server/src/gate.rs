//! The publish gate: the one door by which a version comes into being.
//!
//! Everything was pushed before and can be reached by digest; here it is read back, checked as if the client had checked
//! nothing, and written into the index. Checks that cost little come first, the compiler last.

mod compatible;
mod dependencies;
mod descriptor;
mod examples;
mod interfaces;
mod refused;

pub use descriptor::{MAX_DOCS, MAX_REGIONS, MAX_STEP_NAME, MAX_STEPS, check_descriptor};
pub use refused::Refused;

use crate::{
    Registry,
    accounts::Namespace,
    auth::{Caller, Client},
    database::{Publication, Published, Rendered},
    error::{ApiError, OciError},
    limits::Limited,
    market::markdown::{self, Bomb, Html, MAX_HTML},
};
use axum::http::StatusCode;
use semver::Version;
use std::collections::BTreeMap;
use windlass_contract::{Descriptor, Digest, PluginName, PluginRef};
use windlass_package::{
    PackageError,
    install::check_facts,
    manifest::{MAX_COMPONENT, MAX_MANIFEST, MAX_README, Manifest, is_deceptive},
    oci::{self, ImageManifest},
    release::{LINE_FORMAT, PublishRequest, Release, Status},
    signature::PublisherKey,
};
use windlass_runtime::Inspection;

/// Why [`publish`] ended early.
pub(crate) enum Stop {
    /// The gate said no.
    Refused(Refused),
    /// Before it came to that: no token that works, too much at once, or the registry could not do its work.
    Failed(ApiError),
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
    client: &Client,
    request: PublishRequest,
) -> Result<(Release, bool), Stop> {
    let name: PluginName =
        request.name.parse().map_err(|error: windlass_contract::NameError| Refused::Name(error.to_string()))?;
    let caller = owner(registry, client, &name).await?;
    let version: Version = match request.version.parse::<Version>() {
        Ok(version) if version.build.is_empty() => version,
        _ => return Err(Refused::Version(request.version.chars().take(80).collect()).into()),
    };
    let _one_of_few = registry.0.gates.acquire().await;
    let (digest, size) = packaging(registry, &name, &request).await?;
    let manifest = manifest(registry, &name, &version, &request).await?;
    let readme = readme(registry, &request, manifest.source.as_deref()).await?;
    let key = signature(registry, &name, &version, &digest, &manifest, &request).await?;
    if let Some(stored) = registry.0.database.release(&name, &version).await? {
        // Precedence ignores build metadata, which is refused above, so equality is identity.
        return match stored.release.manifest == request.manifest {
            true => Ok((stored.release, false)),
            false => Err(Refused::Exists { name, version }.into()),
        };
    }
    registry.count(Limited::NewVersion, &caller).map_err(|error| Stop::Failed(error.into()))?;
    if registry.0.index.is_withheld(&digest) {
        return Err(Refused::Withheld(digest).into());
    }
    let called = dependencies::check(registry, &manifest).await?;
    let plugin = PluginRef { name: name.clone(), version: version.clone(), digest };
    let (facts, descriptor) = component(registry, &plugin, &manifest).await?;
    compatible::check(registry, &plugin, &facts, &descriptor).await?;
    examples::check(registry, &plugin, &manifest, &request, &descriptor, called).await?;

    let release = Release {
        v: LINE_FORMAT,
        name: name.clone(),
        version: version.clone(),
        digest,
        size,
        manifest: request.manifest,
        kinds: facts.kinds,
        steps: descriptor.steps.iter().map(|step| step.name.clone()).collect(),
        provider: descriptor.provider.as_ref().map(|provider| provider.name.clone()),
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
    let rendered = Rendered { readme, docs: docs(&descriptor, release.source.as_deref()).await? };
    let publication = Publication { release: release.clone(), descriptor, key, readme: request.readme, rendered };
    // Another publication may have come through meanwhile: the transaction looks again.
    match registry.0.database.publish(&publication, &caller.by).await? {
        Published::New(document) => {
            registry.0.index.changed(&name, document).await?;
            tracing::info!(%name, %version, %digest, "published");
            Ok((release, true))
        }
        Published::Same(release) => Ok((*release, false)),
        Published::Other => Err(Refused::Exists { name, version }.into()),
        Published::OtherKey(bound) => {
            Err(Refused::OtherKey { namespace: name.namespace().to_owned(), bound, found: key }.into())
        }
    }
}

async fn owner(registry: &Registry, client: &Client, name: &PluginName) -> Result<Caller, Stop> {
    registry.writer(client, name).await.map_err(|error| match error.status {
        StatusCode::FORBIDDEN => Refused::Denied(error.message).into(),
        _ => Stop::Failed(error.into()),
    })
}

/// The component that the OCI manifest names: its digest and size.
async fn packaging(registry: &Registry, name: &PluginName, request: &PublishRequest) -> Result<(Digest, u64), Stop> {
    let refuse = |why: String| Refused::Packaging { digest: request.manifest, why };
    let (_, bytes) = registry
        .0
        .database
        .manifest(name, &request.manifest)
        .await?
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
    if image.annotations.get(oci::EXAMPLES_ANNOTATION).cloned() != oci::examples_annotation(&request.examples) {
        let why = format!("its annotation {} does not name the examples of the request", oci::EXAMPLES_ANNOTATION);
        return Err(refuse(why).into());
    }
    let size =
        registry.0.blobs.size(&layer.digest).await?.ok_or_else(|| refuse("its layer is not there".to_owned()))?;
    within("the component", size, MAX_COMPONENT)?;
    Ok((layer.digest, size))
}

fn within(what: &'static str, size: u64, limit: u64) -> Result<(), Refused> {
    if size > limit { Err(Refused::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// A blob that is text, and not over its limit.
async fn text(
    registry: &Registry,
    digest: &Digest,
    what: &'static str,
    limit: u64,
) -> Result<Result<String, String>, Stop> {
    let Some(size) = registry.0.blobs.size(digest).await? else { return Ok(Err("it was not pushed".to_owned())) };
    within(what, size, limit)?;
    let bytes = registry.0.blobs.read(digest).await?.unwrap_or_default();
    Ok(String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()))
}

async fn manifest(
    registry: &Registry,
    name: &PluginName,
    version: &Version,
    request: &PublishRequest,
) -> Result<Manifest, Stop> {
    let text = text(registry, &request.plugin, "plugin.yaml", MAX_MANIFEST)
        .await?
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

async fn readme(registry: &Registry, request: &PublishRequest, source: Option<&str>) -> Result<Option<Html>, Stop> {
    let Some(digest) = &request.readme else { return Ok(None) };
    let text = text(registry, digest, "the README", MAX_README).await?.map_err(Refused::Readme)?;
    if text.chars().any(|c| is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{200d}')) {
        return Err(Refused::Readme("it holds control characters, or such as turn the text around".to_owned()).into());
    }
    Ok(Some(render(vec![(text, source)], |_, why| Refused::Readme(why.to_string())).await?.remove(0)))
}

/// The documentation of the step types and of the provider as their page shows it, by their names, of which no two are the same: those of
/// step types begin with `step.`.
async fn docs(descriptor: &Descriptor, source: Option<&str>) -> Result<BTreeMap<String, Html>, Stop> {
    let steps = descriptor.steps.iter().map(|step| (step.name.as_str(), &step.docs));
    let provider = descriptor.provider.iter().map(|provider| (provider.name.as_str(), &provider.docs));
    let documented: Vec<_> = steps.chain(provider).filter(|(_, docs)| !docs.is_empty()).collect();
    let texts = documented.iter().map(|(_, docs)| ((*docs).clone(), source)).collect();
    let refused =
        |at: usize, why: Bomb| Refused::Descriptor(format!("the docs of {} cannot be shown: {why}", documented[at].0));
    let pages = render(texts, refused).await?;
    let size: usize = pages.iter().map(|html| html.as_str().len()).sum();
    within("the documentation of its step types and provider, as HTML,", size as u64, MAX_HTML as u64)?;
    Ok(documented.iter().map(|(name, _)| (*name).to_owned()).zip(pages).collect())
}

/// Renders texts on a thread for work that takes long.
async fn render(
    texts: Vec<(String, Option<&str>)>,
    refused: impl Fn(usize, Bomb) -> Refused,
) -> Result<Vec<Html>, Stop> {
    let texts: Vec<_> = texts.into_iter().map(|(text, source)| (text, source.map(str::to_owned))).collect();
    let work = move || -> Vec<Result<Html, Bomb>> {
        texts.iter().map(|(text, source)| markdown::render(text, source.as_deref())).collect()
    };
    let rendered = tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a text could not be rendered");
        let error = OciError::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry could not do this");
        Stop::Failed(error.into())
    })?;
    let rendered = rendered.into_iter().enumerate();
    Ok(rendered.map(|(at, html)| html.map_err(|why| refused(at, why))).collect::<Result<_, _>>()?)
}

/// The key that signed; sound, and one of the namespace's where it has some.
async fn signature(
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
    let keys = registry.0.database.keys(&Namespace::of(name)).await?;
    let bound: Vec<_> = keys.iter().filter(|key| key.revoked.is_none()).map(|key| key.key).collect();
    if !keys.is_empty() && !bound.contains(&signature.key) {
        return Err(Refused::OtherKey { namespace: name.namespace().to_owned(), bound, found: signature.key }.into());
    }
    Ok(signature.key)
}

/// Looks into the component, and asks it once to describe itself.
async fn component(
    registry: &Registry,
    plugin: &PluginRef,
    manifest: &Manifest,
) -> Result<(Inspection, Descriptor), Stop> {
    let unusable = |why: String| Refused::Component(format!("{plugin}: the component cannot be used: {why}"));
    let file = registry.0.blobs.local(&plugin.digest).await?;
    let file = file.ok_or_else(|| unusable("it is not there any more".to_owned()))?;
    let (components, path) = (registry.0.components.clone(), file.path().to_owned());
    let looked = tokio::task::spawn_blocking(move || match std::fs::read(&path) {
        Ok(wasm) => components.inspect(&wasm),
        Err(error) => Err(error.to_string()),
    });
    // Only a panic ends that task without an answer: a component that makes us panic cannot be used.
    let facts = looked.await.map_err(|error| unusable(error.to_string()))?.map_err(unusable)?;
    check_facts(&plugin.to_string(), &facts, &manifest.permissions).map_err(|error| match error {
        PackageError::UndeclaredImports { .. } => Refused::Imports(error.to_string()),
        error => Refused::Component(error.to_string()),
    })?;
    let descriptor = registry.0.components.describe(plugin, file.path()).await.map_err(Refused::Descriptor)?;
    check_descriptor(&descriptor).map_err(Refused::Descriptor)?;
    Ok((facts, descriptor))
}
