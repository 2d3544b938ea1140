//! `windlass run`, `resume`, `rerun` and `cancel`.

use super::{lint::print_diagnostics, load, plan::bind, read_source};
use crate::{
    app::{App, find_run, whoami},
    args::{CancelArgs, CarryArgs, Given, Global, RerunArgs, ResumeArgs, RunArgs},
    exit::{Exit, UsageError, coded},
    report::{Form, Reporter, summary},
    style,
};
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use windlass_contract::RunId;
use windlass_driver::{
    Asked, Claim, DriverError, Ending, Grants, Host, Labels, NewRun, Request, Stop, Terms, Waits, Workspace, carry_out,
};
use windlass_engine::{Decision, Origin, RerunFrom};
use windlass_project::grants;
use windlass_store::StoreError;

pub(crate) async fn run(app: &App, args: RunArgs) -> anyhow::Result<Exit> {
    let source = read_source(&args.file)?;
    super::plugin::satisfy(app, &source, args.locked).await?;
    let loaded = load(app, &source, args.pipeline.as_deref()).await?;
    print_diagnostics(&loaded.diagnostics, &source);
    let Some(plan) = loaded.plan else { return Ok(Exit::Usage) };
    let inputs = bind(&plan, &args.inputs)?;
    let workspace = workspace(&args)?;
    let host = app.host().await?;
    let file = args.file.canonicalize().unwrap_or_else(|_| args.file.clone());
    let origin = Origin { by: Some(whoami()), blackboard: blackboard(&args.blackboard), ..Origin::default() };
    let new =
        NewRun { plan, inputs, file: Some(file.display().to_string()), workspace, origin, labels: Labels::default() };
    let claim = host.create(new).await.map_err(coded)?;
    drive(&host, claim, grants(&app.installed()?), Vec::new(), &args.carrying).await
}

/// What is put on the blackboard: JSON where it is some, else text.
fn blackboard(given: &[Given]) -> Map<String, Value> {
    let mut board = Map::new();
    for given in given {
        match given {
            Given::All(all) => board.extend(all.clone()),
            Given::One(name, text) => {
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
                board.insert(name.clone(), value);
            }
        }
    }
    board
}

fn form(args: &CarryArgs) -> Form {
    match (args.json, args.quiet) {
        (true, _) => Form::Json,
        (false, true) => Form::Quiet,
        (false, false) => Form::Text,
    }
}

/// What fills the workspace: the folder that is named, else the pipeline's own.
fn workspace(args: &RunArgs) -> anyhow::Result<Workspace> {
    if args.no_workspace {
        return Ok(Workspace::Empty);
    }
    let folder = match &args.workspace {
        Some(folder) => folder.clone(),
        None => folder_of(&args.file),
    };
    if !folder.is_dir() {
        return Err(UsageError(format!("{} is not a folder", folder.display())).into());
    }
    Ok(Workspace::Folder(folder))
}

fn folder_of(file: &std::path::Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(crate) async fn resume(global: &Global, args: ResumeArgs) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    // A host that died after its run's end has left nothing to take up, but maybe something to remove.
    host.sweep().await;
    let id = match &args.run {
        Some(text) => find_run(&host, text).await?,
        None => the_only_unfinished(&host).await?,
    };
    let mut asked = Vec::new();
    for (step, decision) in &args.decisions {
        let step = step.parse().map_err(|error: windlass_contract::NameError| UsageError(error.to_string()))?;
        let decision = match decision.as_str() {
            "rerun" => Decision::Rerun,
            "succeeded" => Decision::Succeeded,
            "failed" => Decision::Failed,
            other => {
                let words = format!("{other:?} is no decision; write rerun, succeeded or failed");
                return Err(UsageError(words).into());
            }
        };
        asked.push(Asked { request: Request::Decide { step, decision }, by: whoami() });
    }
    let claim = host.take_up(&id).await.map_err(coded)?;
    go_on(global, &host, claim, asked, &args.carrying).await
}

/// The only run that nobody carries out and that is not over. One that waits for its sub-run goes on with it.
async fn the_only_unfinished(host: &Host) -> anyhow::Result<RunId> {
    let mut unfinished = host.store().unfinished_runs().await.map_err(coded)?;
    unfinished.retain(|run| !host.is_claimed(run));
    match (unfinished.pop(), unfinished.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(UsageError("no run is left unfinished".to_owned()).into()),
        (Some(last), _) => {
            unfinished.push(last);
            let names: Vec<String> = unfinished.iter().map(ToString::to_string).collect();
            Err(UsageError(format!("several runs are unfinished, name one: {}", names.join(", "))).into())
        }
    }
}

pub(crate) async fn rerun(global: &Global, args: RerunArgs) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    let id = find_run(&host, &args.run).await?;
    let from = match (&args.from, args.failed) {
        (Some(step), _) => RerunFrom::Step(step.clone()),
        (None, true) => RerunFrom::Failed,
        (None, false) => RerunFrom::Start,
    };
    let file = file_of(&host, &id).await?;
    let folder = file.as_deref().map(folder_of).filter(|folder| folder.is_dir());
    let workspace = folder.map_or(Workspace::Empty, Workspace::Folder);
    let claim = host.rerun(&id, &from, Some(whoami()), workspace).await.map_err(coded)?;
    let app = App::new(global, file.as_deref())?;
    drive(&host, claim, grants(&app.installed()?), Vec::new(), &args.carrying).await
}

pub(crate) async fn cancel(global: &Global, args: CancelArgs) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    let id = find_run(&host, &args.run).await?;
    let asked = Asked { request: Request::Cancel { reason: args.reason }, by: whoami() };
    ask(global, &host, &id, asked, &args.carrying).await
}

/// Asks something of a run: of whoever carries it out, or by carrying it out here.
pub(super) async fn ask(
    global: &Global,
    host: &Host,
    id: &RunId,
    asked: Asked,
    carrying: &CarryArgs,
) -> anyhow::Result<Exit> {
    match host.take_up(id).await {
        Ok(claim) => go_on(global, host, claim, vec![asked], carrying).await,
        Err(DriverError::Store(StoreError::RunOwned { by, .. })) => {
            // Before asking, so that the answer is not missed.
            let mut commits = host.store().commits().map_err(coded)?;
            let request = host.ask(id, &asked).await.map_err(coded)?;
            loop {
                match host.store().answer(request).await.map_err(coded)? {
                    Some(None) => {
                        anstream::println!(
                            "{} passed on to {by}, who carries the run out",
                            style::paint(style::GOOD, "✔")
                        );
                        return Ok(Exit::Success);
                    }
                    Some(Some(why)) => return Err(UsageError(why).into()),
                    None if !host.is_claimed(id) => {
                        // Whoever carried it out has left it meanwhile: the request waits for who takes it up.
                        let claim = host.take_up(id).await.map_err(coded)?;
                        return go_on(global, host, claim, Vec::new(), carrying).await;
                    }
                    None => commits.changed().await,
                }
            }
        }
        Err(error) => Err(coded(error)),
    }
}

/// Carries a run that was taken up out, with what is granted now: a grant that was taken back meanwhile is not there any more.
async fn go_on(
    global: &Global,
    host: &Host,
    claim: Claim,
    asked: Vec<Asked>,
    carrying: &CarryArgs,
) -> anyhow::Result<Exit> {
    let file = file_of(host, claim.run().id()).await?;
    let app = App::new(global, file.as_deref())?;
    if form(carrying) != Form::Json {
        let (name, id) = (&claim.run().plan().name, style::paint(style::FAINT, claim.run().id()));
        anstream::println!("{} {id} · taken up again", style::paint(style::STRONG, name));
    }
    drive(host, claim, grants(&app.installed()?), asked, carrying).await
}

/// The pipeline's file of a run, or of the run that it is a sub-run of.
async fn file_of(host: &Host, id: &RunId) -> anyhow::Result<Option<PathBuf>> {
    let mut run = host.store().run(id).await.map_err(coded)?;
    while let (None, Some(parent)) = (&run.file, &run.parent) {
        run = host.store().run(&parent.clone()).await.map_err(coded)?;
    }
    Ok(run.file.map(PathBuf::from))
}

/// Carries a run out, and then the runs that wait for its end.
async fn drive(
    host: &Host,
    claim: Claim,
    grants: Grants,
    asked: Vec<Asked>,
    carrying: &CarryArgs,
) -> anyhow::Result<Exit> {
    let stop = Stop::default();
    let interrupted = on_signals(stop.clone())?;
    let (mut claim, mut asked) = (claim, asked);
    loop {
        let id = claim.run().id().clone();
        let ending = carry(host, claim, grants.clone(), std::mem::take(&mut asked), &stop, carrying).await?;
        let run = host.read(&id).await.map_err(coded)?;
        if form(carrying) != Form::Json {
            anstream::print!("\n{}", summary(&run));
        }
        let exit = match &ending {
            Ending::Finished(_) if interrupted.load(Ordering::Relaxed) => return Ok(Exit::Interrupted),
            Ending::Finished(outcome) => Exit::of(*outcome),
            Ending::Waiting(waits) => {
                if form(carrying) != Form::Json {
                    tell_what_waits(&id, waits);
                }
                return Ok(Exit::Gate);
            }
        };
        let Some(parent) = host.parent_to_wake(&id).await.map_err(coded)? else { return Ok(exit) };
        match host.take_up(&parent).await {
            Ok(next) => claim = next,
            Err(_) => return Ok(exit),
        }
        if form(carrying) != Form::Json {
            let name = &claim.run().plan().name;
            anstream::println!(
                "\n{} {} · goes on",
                style::paint(style::STRONG, name),
                style::paint(style::FAINT, &parent)
            );
        }
    }
}

async fn carry(
    host: &Host,
    claim: Claim,
    grants: Grants,
    asked: Vec<Asked>,
    stop: &Stop,
    carrying: &CarryArgs,
) -> anyhow::Result<Ending> {
    let (notices, told) = tokio::sync::mpsc::unbounded_channel();
    let reporter = Reporter::new(host, &claim, form(carrying), carrying.junit.clone()).await?;
    let reporter = tokio::spawn(reporter.watch(told));
    let terms = Terms { grants, asked, stop: stop.clone(), wait: carrying.wait, notices };
    // What earlier processes left behind goes away beside the steps.
    let (ending, ()) = tokio::join!(carry_out(host, claim, terms), host.sweep());
    if let (Ok(Err(error)), Some(file)) = (reporter.await, &carrying.junit) {
        return Err(UsageError(format!("cannot write {}: {error}", file.display())).into());
    }
    ending.map_err(coded)
}

/// What a person can do about a run that waits.
fn tell_what_waits(id: &RunId, waits: &Waits) {
    for step in &waits.fates {
        anstream::eprintln!("say what became of it: windlass resume {id} --decide {step}=rerun|succeeded|failed");
    }
    for run in &waits.sub_runs {
        anstream::eprintln!("it waits for its sub-run {run}; `windlass gates` shows what that waits for");
    }
    if !waits.gates.is_empty() {
        anstream::eprintln!("it waits; `windlass gates {id}` shows for what and until when");
    }
}

/// Ctrl-C and SIGTERM ask the run to stop; once more, at once. Tells whether it was Ctrl-C.
fn on_signals(stop: Stop) -> anyhow::Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = Arc::<AtomicBool>::default();
    let told = Arc::clone(&interrupted);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => told.store(true, Ordering::Relaxed),
                _ = terminate.recv() => {}
            }
            stop.request();
        }
    });
    Ok(interrupted)
}
