//! `windlass plugin new`.

use crate::{
    args::Lang,
    exit::{Exit, UsageError, coded},
    style,
};
use std::path::PathBuf;
use windlass_author::scaffold::{self, Language};

/// What stands in the way of Go, and what to do instead.
const NO_GO: &str = "there is no template for Go: componentize-go and TinyGo, which make components of Go programs, cannot be had \
                     from a package registry; with one of them on your machine, any Go module that exports the world in wit/ is a \
                     plugin (docs/plugin-authors.md, \"Other languages\")";

pub(super) fn new(lang: Lang, name: &str, folder: Option<PathBuf>) -> anyhow::Result<Exit> {
    let language = match lang {
        Lang::Rust => Language::Rust,
        Lang::Js => Language::JavaScript,
        Lang::Ts => Language::TypeScript,
        Lang::Py => Language::Python,
        Lang::C => Language::C,
        Lang::Go => return Err(UsageError(NO_GO.to_owned()).into()),
    };
    let name = super::name(name)?;
    let folder = folder.unwrap_or_else(|| PathBuf::from(name.name()));
    scaffold::create(language, &name, &folder).map_err(coded)?;
    anstream::eprintln!("{} {name} is in {}\n\nNext:", style::paint(style::GOOD, "✔"), folder.display());
    let mut lines = vec![format!("cd {}", folder.display())];
    lines.extend(
        language.once().iter().map(|line| format!("{line}{}", if line.contains('#') { "" } else { "       # once" })),
    );
    lines.push("windlass plugin build && windlass plugin test".to_owned());
    for line in lines {
        anstream::eprintln!("  {line}");
    }
    Ok(Exit::Success)
}
