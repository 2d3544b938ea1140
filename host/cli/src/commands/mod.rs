//! The commands, a module each.

mod artifact;
mod doctor;
mod gates;
mod lint;
mod logs;
mod plan;
mod plugin;
mod run;
mod runs;
mod secret;
mod server;

use crate::{
    app::App,
    args::{Cli, Command},
    exit::{Exit, UsageError, coded},
    style,
};
use clap::CommandFactory as _;
use std::path::Path;
use windlass_engine::Vote;
use windlass_manifest::{Loaded, Source, Workflows};

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
            let schema =
                windlass_manifest::editor_schema(&windlass_project::catalogue(&App::new(global, None)?.installed()?));
            print_json(&schema)
        }
        Command::Runs(args) => runs::runs(&App::new(global, None)?, args).await,
        Command::Logs(args) => logs::logs(&App::new(global, None)?, args).await,
        Command::Plugin(command) => plugin::plugin(global, command).await,
        Command::Vendor { folder, json } => plugin::carry::vendor(&App::new(global, None)?, &folder, json).await,
        Command::Doctor { json } => doctor::doctor(&App::new(global, None)?, json).await,
        Command::Server(args) => server::server(global, args).await,
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
    let workflows = workflows(source)?;
    windlass_project::load(&app.runtime()?, &app.installed()?, source, &workflows, pipeline).await.map_err(coded)
}

/// The workflows that a file runs.
fn workflows(source: &Source) -> anyhow::Result<Workflows> {
    windlass_project::beside(source)
        .map_err(|error| UsageError(format!("cannot read a workflow that {} runs: {error}", source.name)).into())
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
