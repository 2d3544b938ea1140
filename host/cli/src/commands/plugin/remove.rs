//! `windlass plugin remove` and `prune`.

use super::{super::print_json, name};
use crate::{
    app::App,
    exit::{Exit, UsageError, coded},
    style,
};
use windlass_contract::PluginName;
use windlass_package::{
    installed,
    removal::{self, Uses},
};

fn uses(app: &App) -> anyhow::Result<Uses> {
    let listed = installed::list(&app.home, &app.project).map_err(coded)?;
    Ok(windlass_project::uses(&windlass_project::pipelines(&app.project), &listed))
}

pub(super) fn remove(app: &App, text: &str, force: bool, json: bool) -> anyhow::Result<Exit> {
    let name = name(text)?;
    let gone = removal::remove(&app.project, &name, &uses(app)?, force).map_err(coded)?;
    if gone.is_empty() {
        return Err(UsageError(format!("{name} is not installed in this project")).into());
    }
    told(&gone, json, |each| match *each == name {
        true => "is removed from this project".to_owned(),
        false => format!("is removed too: only {name} called it"),
    })
}

pub(super) fn prune(app: &App, dry_run: bool, json: bool) -> anyhow::Result<Exit> {
    let gone = removal::prune(&app.project, &uses(app)?, dry_run).map_err(coded)?;
    if gone.is_empty() && !json {
        anstream::eprintln!("everything that is installed is used, or was asked for by name");
        return Ok(Exit::Success);
    }
    told(&gone, json, |_| match dry_run {
        true => "would be removed: nothing uses it".to_owned(),
        false => "is removed from this project: nothing used it".to_owned(),
    })
}

fn told(gone: &[PluginName], json: bool, words: impl Fn(&PluginName) -> String) -> anyhow::Result<Exit> {
    if json {
        return print_json(&gone);
    }
    for each in gone {
        anstream::eprintln!("{} {each} {}", style::paint(style::GOOD, "✔"), words(each));
    }
    Ok(Exit::Success)
}
