//! `windlass plugin build`.

use super::super::print_json;
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use std::{path::Path, time::Duration};
use windlass_author::{
    build::{self, Built},
    stage::Subject,
};
use windlass_contract::Interface;
use windlass_package::manifest::{self, Manifest};

pub(super) async fn build(app: &App, folder: &Path, json: bool) -> anyhow::Result<Exit> {
    let (manifest, _) = Manifest::load(folder).map_err(coded)?;
    let took = build::run(folder, &manifest).await.map_err(coded)?;
    let subject = Subject::open(&app.runtime()?, folder, manifest).await.map_err(coded)?;
    let built = &subject.built;
    if json {
        print_json(&serde_json::json!({
            "plugin": subject.plugin(),
            "component": built.path,
            "size": built.facts.size,
            "language": built.facts.language,
            "steps": subject.descriptor.steps.iter().map(|step| &step.name).collect::<Vec<_>>(),
            "provider": subject.descriptor.provider.as_ref().map(|provider| &provider.name),
            "imports": built.facts.imports,
            "unknown_imports": built.facts.unknown_imports,
            "undeclared": built.undeclared,
            "unused": built.unused,
            "build_ms": took.as_millis(),
            "compile_ms": subject.compile.as_millis(),
        }))?;
    } else {
        print(&subject, took);
    }
    advise(built);
    Ok(if sound(built) { Exit::Success } else { Exit::Failed })
}

/// Whether the component could be published with this manifest.
pub(super) fn sound(built: &Built) -> bool {
    built.undeclared.is_empty() && built.facts.unknown_imports.is_empty()
}

/// One line about what was built.
pub(super) fn print(subject: &Subject, took: Duration) {
    anstream::println!(
        "{} {} {} · {} · {} · built in {:.1} s, compiled in {:.1} s",
        style::paint(style::GOOD, "✔"),
        style::paint(style::STRONG, subject.plugin()),
        subject.descriptor.provides().join(", "),
        style::size(subject.built.facts.size),
        imports(&subject.built),
        took.as_secs_f64(),
        subject.compile.as_secs_f64(),
    );
}

fn imports(built: &Built) -> String {
    let asked = built.facts.imports.iter().filter(|each| !each.always_granted());
    let names: Vec<String> = asked
        .map(|each| match each {
            Interface::SecretsReveal => style::paint(style::ERROR, each),
            _ => each.to_string(),
        })
        .collect();
    if names.is_empty() { "asks for nothing".to_owned() } else { format!("asks for {}", names.join(", ")) }
}

/// What to change in the manifest or the component before it can be published, or is worth asking anybody to grant.
pub(super) fn advise(built: &Built) {
    let warning = || style::paint(style::WARNING, "warning");
    if !built.undeclared.is_empty() {
        anstream::eprintln!(
            "{}: the component imports what {} does not ask for. Add, and narrow as you can:\n\n    permissions:",
            style::paint(style::ERROR, "error"),
            manifest::FILE
        );
        for interface in &built.undeclared {
            anstream::eprintln!("      {}", build::permission_line(*interface));
        }
        anstream::eprintln!();
    }
    for import in &built.facts.unknown_imports {
        anstream::eprintln!("{}: it imports {import}", style::paint(style::ERROR, "error"));
    }
    for interface in &built.unused {
        let file = manifest::FILE;
        anstream::eprintln!("{}: {file} asks for {interface}, and the component does not import it", warning());
    }
}
