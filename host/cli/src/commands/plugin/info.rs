//! `windlass plugin info`.

use super::{
    super::{moment, print_json},
    name,
};
use crate::{
    app::App,
    exit::{Exit, UsageError, coded},
    style,
};
use windlass_contract::{Interface, Permissions};
use windlass_package::installed;

pub(super) async fn info(app: &App, text: &str, json: bool) -> anyhow::Result<Exit> {
    let name = name(text)?;
    let info = installed::info(&app.home, &app.project, &name).await.map_err(coded)?;
    if json {
        return print_json(&serde_json::json!({
            "registry": info.registry,
            "index": info.has_index,
            "releases": info.releases,
            "installed": info.installed.map(|each| each.locked.version),
        }));
    }
    let Some(newest) = info.releases.iter().rev().find(|each| each.status.is_ok()).or(info.releases.last()) else {
        return Err(UsageError(format!("{name} has no release")).into());
    };
    anstream::println!("{} {}", style::paint(style::STRONG, &newest.name), newest.version);
    anstream::println!("{}\n", newest.summary);
    let here = match &info.installed {
        Some(each) => format!("{} is installed here", each.locked.version),
        None => format!("not installed here; windlass plugin install {name}"),
    };
    let signed = newest.signature.as_ref().map_or("no".to_owned(), |signature| format!("by {}", signature.key));
    let index = match info.has_index {
        true => "signed as a whole",
        false => "none: a plain OCI registry cannot show that nothing is held back",
    };
    let mut calls: Vec<String> = newest.dependencies.iter().map(|(name, asked)| format!("{name} {asked}")).collect();
    if calls.is_empty() {
        calls.push("-".to_owned());
    }
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let rows = [
        ("registry", info.registry.clone()),
        ("index", index.to_owned()),
        ("here", here),
        ("step types", or_dash(newest.steps.join(", "))),
        ("provider", or_dash(newest.provider.as_ref().map(ToString::to_string).unwrap_or_default())),
        ("calls", calls.join(", ")),
        ("licence", newest.licence.clone()),
        ("source", newest.source.clone().unwrap_or_else(|| "-".to_owned())),
        ("signed", signed),
        ("digest", newest.digest.to_string()),
        ("size", style::size(newest.size)),
        ("contract", format!("{} {}", windlass_contract::CONTRACT_PACKAGE, newest.contract)),
    ];
    let rows: Vec<_> = rows.map(|(name, value)| vec![format!("  {}", style::paint(style::FAINT, name)), value]).into();
    anstream::print!("{}", style::table(&rows));
    anstream::println!("\n{}", style::paint(style::STRONG, "asks to"));
    print_permissions(&newest.permissions);
    anstream::println!("\n{}", style::paint(style::STRONG, "releases"));
    let mut rows = Vec::new();
    for each in info.releases.iter().rev() {
        let note = each
            .status
            .notice()
            .map(|(state, why)| style::paint(style::WARNING, format_args!("{state}: {}", why.reason)));
        let at = u64::try_from(each.published.as_millisecond()).unwrap_or(0);
        rows.push(vec![format!("  {}", each.version), moment(at), note.unwrap_or_default()]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

fn print_permissions(permissions: &Permissions) {
    let words = permissions.in_words();
    if words.is_empty() {
        anstream::println!("  nothing beyond its own log and results");
    }
    for (interface, words) in words {
        let red = interface == Interface::SecretsReveal;
        anstream::println!("  {}", if red { style::paint(style::ERROR, words) } else { words });
    }
}
