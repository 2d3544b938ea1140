//! The example pipelines of a package: each is a file that a reader copies, so each must be one that loads.

use super::{Refused, Stop, text};
use crate::{Registry, database::Stored};
use windlass_contract::{Descriptor, PluginRef};
use windlass_manifest::{Catalogue, InstalledStep, Severity, Source, load};
use windlass_package::{
    manifest::{MAX_EXAMPLE, Manifest},
    release::PublishRequest,
};

/// Loads each example with the step types of the plugin and of those that it calls, and nothing else.
pub(super) async fn check(
    registry: &Registry,
    plugin: &PluginRef,
    manifest: &Manifest,
    request: &PublishRequest,
    descriptor: &Descriptor,
    called: Vec<Stored>,
) -> Result<(), Stop> {
    if manifest.examples.len() != request.examples.len() {
        let why = "plugin.yaml and the request do not agree on how many examples there are".to_owned();
        return Err(Refused::Example(why).into());
    }
    if manifest.examples.is_empty() {
        return Ok(());
    }
    let own = descriptor.steps.iter().map(|step| InstalledStep { plugin: plugin.clone(), step: step.clone() });
    let others = called.into_iter().flat_map(|Stored { release, descriptor }| {
        let plugin = PluginRef { name: release.name, version: release.version, digest: release.digest };
        descriptor.steps.into_iter().map(move |step| InstalledStep { plugin: plugin.clone(), step })
    });
    let catalogue = Catalogue::new(own.chain(others).collect());
    for (path, digest) in manifest.examples.iter().zip(&request.examples) {
        let name = path.display().to_string();
        let refuse = |why: String| Refused::Example(format!("the example {name} cannot be used: {why}"));
        let text = text(registry, digest, "an example", MAX_EXAMPLE).await?.map_err(refuse)?;
        let loaded = load(&Source { name: name.clone(), text }, &catalogue);
        let error = loaded.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        if let Some(error) = error {
            return Err(refuse(format!("line {}: {} {}", error.line, error.code, error.message)).into());
        }
    }
    Ok(())
}
