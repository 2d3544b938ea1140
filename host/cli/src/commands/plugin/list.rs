//! `windlass plugin list`.

use super::super::{print_json, secret::header};
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use windlass_contract::{Interface, Permissions};
use windlass_package::installed;

pub(super) fn list(app: &App, json: bool) -> anyhow::Result<Exit> {
    let listed = installed::list(&app.home, &app.project).map_err(coded)?;
    if json {
        let rows: Vec<_> = listed
            .iter()
            .map(|each| {
                serde_json::json!({
                    "name": each.locked.name, "version": each.locked.version, "digest": each.locked.digest,
                    "present": each.present, "steps": each.steps, "provider": each.provider,
                    "permissions": each.effective,
                })
            })
            .collect();
        return print_json(&rows);
    }
    if listed.is_empty() {
        eprintln!("nothing is installed in this project; `windlass plugin install NAME` does");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["PLUGIN", "VERSION", "STEP TYPES", "MAY", "DIGEST"])];
    for each in listed {
        let provides = match each.present {
            true => {
                let provider = each.provider.iter().map(|provider| format!("provider {provider}"));
                each.steps.iter().cloned().chain(provider).collect::<Vec<_>>().join(", ")
            }
            false => style::paint(style::WARNING, "not on this machine"),
        };
        rows.push(vec![
            each.locked.name.to_string(),
            each.locked.version.to_string(),
            provides,
            may(&each.effective),
            style::paint(style::FAINT, each.locked.digest.short()),
        ]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

/// The names of what is granted.
fn may(permissions: &Permissions) -> String {
    let each = permissions.interfaces().into_iter().map(|interface| match interface {
        Interface::SecretsReveal => style::paint(style::ERROR, interface),
        _ => interface.to_string(),
    });
    each.collect::<Vec<_>>().join(", ")
}
