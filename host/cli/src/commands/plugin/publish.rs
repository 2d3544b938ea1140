//! `windlass plugin publish`.

use super::super::print_json;
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use std::path::Path;
use windlass_contract::SecretValue;
use windlass_package::publish;

pub(super) async fn publish(
    app: &App,
    folder: &Path,
    dry_run: bool,
    token: Option<SecretValue>,
    json: bool,
) -> anyhow::Result<Exit> {
    let components = app.runtime()?;
    let prepared = publish::prepare(&app.home, folder, &components, dry_run).await.map_err(coded)?;
    let steps: Vec<&str> = prepared.descriptor.steps.iter().map(|step| step.name.as_str()).collect();
    if !json {
        anstream::eprintln!(
            "{} {} · {} · {} · signed by {}",
            style::paint(style::STRONG, &prepared.plugin),
            prepared.descriptor.provides().join(", "),
            style::size(prepared.size),
            prepared.plugin.digest,
            prepared.key
        );
    }
    if dry_run {
        if json {
            return print_json(&serde_json::json!({ "plugin": prepared.plugin, "steps": steps, "published": false }));
        }
        anstream::eprintln!("{} it would be published; nothing was sent", style::paint(style::GOOD, "✔"));
        return Ok(Exit::Success);
    }
    let release = publish::push(&app.home, &prepared, token).await.map_err(coded)?;
    if json {
        return print_json(&release);
    }
    let registry = app.home.origin_of(prepared.manifest.name.namespace()).map_err(coded)?;
    anstream::eprintln!("{} published to {registry}", style::paint(style::GOOD, "✔"));
    Ok(Exit::Success)
}
