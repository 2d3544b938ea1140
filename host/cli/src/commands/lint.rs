//! `windlass lint`.

use super::{load, read_source};
use crate::{
    app::App,
    args::{Global, LintArgs, LintFormat},
    exit::Exit,
    style,
};
use serde_json::Value;
use windlass_manifest::{Diagnostic, Severity, Source};

pub(crate) async fn lint(global: &Global, args: &LintArgs) -> anyhow::Result<Exit> {
    let mut errors = 0;
    let mut documents = Vec::new();
    for file in &args.files {
        let app = App::new(global, Some(file))?;
        let source = read_source(file)?;
        let found = load(&app, &source, args.pipeline.as_deref()).await?.diagnostics;
        errors += found.iter().filter(|each| each.severity == Severity::Error).count();
        match args.format {
            LintFormat::Human => print_diagnostics(&found, &source),
            LintFormat::Json => documents.push(windlass_manifest::to_json(&found, &source)),
            LintFormat::Sarif => documents.push(windlass_manifest::to_sarif(&found, &source)),
            LintFormat::Github => print!("{}", windlass_manifest::to_github(&found, &source)),
        }
    }
    match args.format {
        LintFormat::Human if errors == 0 => {
            let files = if args.files.len() == 1 { "the pipeline is" } else { "the pipelines are" };
            anstream::eprintln!("{} {files} sound", style::paint(style::GOOD, "✔"));
        }
        LintFormat::Json if documents.len() == 1 => println!("{}", serde_json::to_string_pretty(&documents[0])?),
        LintFormat::Json => println!("{}", serde_json::to_string_pretty(&documents)?),
        LintFormat::Sarif => println!("{}", serde_json::to_string_pretty(&one_sarif(documents))?),
        LintFormat::Human | LintFormat::Github => {}
    }
    Ok(if errors == 0 { Exit::Success } else { Exit::Usage })
}

/// One SARIF log with the runs of all.
fn one_sarif(documents: Vec<Value>) -> Value {
    let mut documents = documents.into_iter();
    let mut first = documents.next().unwrap_or(Value::Null);
    for document in documents {
        if let (Some(runs), Some(more)) = (first["runs"].as_array_mut(), document["runs"].as_array()) {
            runs.extend(more.iter().cloned());
        }
    }
    first
}

/// Prints diagnostics on standard error, with the lines and carets.
pub(super) fn print_diagnostics(found: &[Diagnostic], source: &Source) {
    if !found.is_empty() {
        anstream::eprintln!("{}", windlass_manifest::render(found, source, true).trim_end());
    }
}
