//! The commands, a module each.

mod artifact;
mod gates;
mod lint;
mod logs;
mod plan;
mod plugin;
mod run;
mod runs;
mod secret;

use crate::{
    app::{App, catalogue},
    args::{Cli, Command},
    exit::{Exit, UsageError, coded},
    style,
};
use clap::CommandFactory as _;
use std::path::Path;
use windlass_engine::Vote;
use windlass_manifest::{Loaded, Loading, Source, Workflows};

/// Carries the command out.
pub(crate) async fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Run(args) => run::run(&App::new(global, Some(&args.file))?, args).await,
        Command::Resume(args) => run::resume(global, args).await,
        Command::Rerun(args) => run::rerun(global, args).await,
        Command::Gates(args) => gates::gates(&App::new(global, None)?, args).await,
        Command::Approve(args) => gates::vote(global, args, Vote::Approve).await,
        Command::Reject(args) => gates::vote(global, args, Vote::Reject).await,
        Command::Answer(args) => gates::answer(global, args).await,
        Command::Cancel(args) => run::cancel(global, args).await,
        Command::Lint(args) => lint::lint(global, &args).await,
        Command::Plan(args) => plan::plan(&App::new(global, Some(&args.file))?, &args).await,
        Command::Schema => {
            let schema = windlass_manifest::editor_schema(&catalogue(&App::new(global, None)?.installed()?));
            print_json(&schema)
        }
        Command::Runs(args) => runs::runs(&App::new(global, None)?, args).await,
        Command::Logs(args) => logs::logs(&App::new(global, None)?, args).await,
        Command::Plugin(command) => plugin::plugin(global, command).await,
        Command::Vendor { folder, json } => plugin::carry::vendor(&App::new(global, None)?, &folder, json).await,
        Command::Secret(command) => secret::secret(&App::new(global, None)?, command).await,
        Command::Artifact(command) => artifact::artifact(&App::new(global, None)?, command).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "windlass", &mut std::io::stdout());
            Ok(Exit::Success)
        }
    }
}

/// Reads a pipeline file as the loader wants it.
fn read_source(file: &Path) -> anyhow::Result<Source> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => Err(UsageError(format!("cannot read the pipeline {name}: {error}")).into()),
    }
}

/// Loads a pipeline against what the project has installed, with the workflows that it runs, and adds what the plugins say about
/// their configurations.
async fn load(app: &App, source: &Source, pipeline: Option<&str>) -> anyhow::Result<Loaded> {
    for each in windlass_package::dev::stand_ins(&app.home, &app.project).map_err(coded)? {
        let (note, name) = (style::paint(style::HELP, "note"), &each.plugin.name);
        anstream::eprintln!("{note}: {name} is what `windlass plugin dev` builds in {}", each.folder.display());
    }
    let catalogue = catalogue(&app.installed()?);
    let workflows = workflows(source)?;
    let loading = Loading { catalogue: &catalogue, workflows: &workflows, pipeline };
    let mut loaded = windlass_manifest::load_with(source, &loading);
    if let Some(plan) = &loaded.plan {
        lint::ask_plugins(app, plan, source, &mut loaded.diagnostics).await?;
    }
    if loaded.diagnostics.iter().any(|found| found.severity == windlass_manifest::Severity::Error) {
        loaded.plan = None;
    }
    Ok(loaded)
}

/// The workflows that a file runs, and those that they run in turn: files beside the first one, by path or by name.
pub(crate) fn workflows(source: &Source) -> anyhow::Result<Workflows> {
    let folder = Path::new(&source.name).parent().map_or_else(std::path::PathBuf::new, Path::to_owned);
    let mut known = Workflows::default();
    let mut open = windlass_manifest::references(source);
    while let Some(id) = open.pop() {
        if known.knows(&id) {
            continue;
        }
        let candidates = match Path::new(&id).extension() {
            Some(_) => vec![folder.join(&id)],
            None => vec![folder.join(format!("{id}.yaml")), folder.join(format!("{id}.yml"))],
        };
        match candidates.iter().find(|path| path.is_file()) {
            Some(path) => {
                let found = read_source(path)?;
                open.extend(windlass_manifest::references(&found));
                known.insert(id, found);
            }
            None => {
                let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
                known.missing(id, looked.join(" and "));
            }
        }
    }
    Ok(known)
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<Exit> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(Exit::Success)
}

/// A moment for people, in local time.
fn moment(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| {
        at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}
