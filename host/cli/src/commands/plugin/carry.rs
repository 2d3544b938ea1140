//! `windlass vendor`, `windlass plugin export` and `import`: plugins for machines that reach no registry.

use super::{super::print_json, install::in_words, progress::Downloads};
use crate::{
    app::App,
    exit::{Exit, UsageError, coded},
    style,
};
use std::path::Path;
use windlass_contract::PluginRef;
use windlass_package::{archive, install::Options, vendor};

pub(crate) async fn vendor(app: &App, folder: &Path, json: bool) -> anyhow::Result<Exit> {
    let done = vendor::vendor(&app.home, &app.project, folder, &Downloads::new()).await.map_err(coded)?;
    let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    told(done, folder, json)?;
    if !json {
        let place = place.display();
        anstream::eprintln!(
            "to install from it, without any network: WINDLASS_VENDOR={place} windlass plugin install --locked"
        );
        anstream::eprintln!("or, for good, in config.toml in WINDLASS_HOME: [registries] vendor = \"{place}\"");
    }
    Ok(Exit::Success)
}

pub(super) async fn export(app: &App, file: &Path, json: bool) -> anyhow::Result<Exit> {
    let done = archive::export(&app.home, &app.project, file).await.map_err(coded)?;
    told(done, file, json)?;
    Ok(Exit::Success)
}

fn told(done: Vec<PluginRef>, place: &Path, json: bool) -> anyhow::Result<()> {
    if done.is_empty() {
        return Err(UsageError("nothing is installed in this project".to_owned()).into());
    }
    if json {
        print_json(&serde_json::json!({ "place": place, "plugins": done }))?;
        return Ok(());
    }
    for each in done {
        let digest = style::paint(style::FAINT, each.digest.short());
        anstream::eprintln!("{} {each} is in {} {digest}", style::paint(style::GOOD, "✔"), place.display());
    }
    Ok(())
}

pub(super) async fn import(app: &App, file: &Path, allow_unsigned: bool, json: bool) -> anyhow::Result<Exit> {
    let components = app.runtime()?;
    let options = Options { locked: false, allow_unsigned };
    let done = archive::import(&app.home, &components, file, options).await.map_err(coded)?;
    if json {
        let plugins: Vec<_> = done.iter().map(|(plugin, _)| plugin).collect();
        return print_json(&serde_json::json!({ "plugins": plugins }));
    }
    for (plugin, verification) in done {
        let digest = style::paint(style::FAINT, plugin.digest.short());
        let words = in_words(&verification);
        anstream::eprintln!("{} {plugin} is on this machine, {words} {digest}", style::paint(style::GOOD, "✔"));
    }
    anstream::eprintln!(
        "a project that has them locked installs them without a registry: windlass plugin install --locked"
    );
    Ok(Exit::Success)
}
