//! `windlass run` and `windlass resume`.

use super::{lint::print_diagnostics, load, plan::bind, read_source};
use crate::{
    app::{App, find_run, grants},
    args::{Global, ResumeArgs, RunArgs},
    exit::{Exit, UsageError, coded},
    report::{Form, Reporter, summary},
    style,
};
use std::path::PathBuf;
use windlass_driver::{Claim, Ending, Grants, Host, NewRun, Stop, carry_out};
use windlass_engine::Decision;

pub(crate) async fn run(app: &App, args: RunArgs) -> anyhow::Result<Exit> {
    let source = read_source(&args.file)?;
    super::plugin::satisfy(app, &source, args.locked).await?;
    let loaded = load(app, &source).await?;
    print_diagnostics(&loaded.diagnostics, &source);
    let Some(plan) = loaded.plan else { return Ok(Exit::Usage) };
    let inputs = bind(&plan, &args.inputs)?;
    let workspace = workspace(&args)?;
    let host = app.host().await?;
    let file = args.file.canonicalize().unwrap_or_else(|_| args.file.clone());
    let new = NewRun { plan, inputs, file: Some(file.display().to_string()), workspace };
    let claim = host.create(new).await.map_err(coded)?;
    let form = form(args.json, args.quiet);
    if form != Form::Json {
        let (name, id) = (&claim.run().plan().name, style::paint(style::FAINT, claim.run().id()));
        anstream::println!("{} {id}", style::paint(style::STRONG, name));
    }
    drive(&host, claim, grants(&app.installed()?), &[], form).await
}

fn form(json: bool, quiet: bool) -> Form {
    match (json, quiet) {
        (true, _) => Form::Json,
        (false, true) => Form::Quiet,
        (false, false) => Form::Text,
    }
}

/// The folder that fills the workspace: the one named, else the pipeline's own.
fn workspace(args: &RunArgs) -> anyhow::Result<Option<PathBuf>> {
    if args.no_workspace {
        return Ok(None);
    }
    let folder = match (&args.workspace, args.file.parent()) {
        (Some(folder), _) => folder.clone(),
        (None, Some(parent)) if !parent.as_os_str().is_empty() => parent.to_owned(),
        (None, _) => PathBuf::from("."),
    };
    if !folder.is_dir() {
        return Err(UsageError(format!("{} is not a folder", folder.display())).into());
    }
    Ok(Some(folder))
}

pub(crate) async fn resume(global: &Global, args: ResumeArgs) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    // A host that died after its run's end has left nothing to take up, but maybe something to remove.
    host.sweep().await;
    let id = match &args.run {
        Some(text) => find_run(&host, text).await?,
        None => {
            let mut unfinished = host.store().unfinished_runs().await.map_err(coded)?;
            unfinished.retain(|run| !host.is_claimed(run));
            match (unfinished.pop(), unfinished.len()) {
                (Some(only), 0) => only,
                (None, _) => return Err(UsageError("no run is left unfinished".to_owned()).into()),
                (Some(last), _) => {
                    unfinished.push(last);
                    let names: Vec<String> = unfinished.iter().map(ToString::to_string).collect();
                    return Err(
                        UsageError(format!("several runs are unfinished, name one: {}", names.join(", "))).into()
                    );
                }
            }
        }
    };
    let mut decisions = Vec::new();
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
        decisions.push((step, decision, whoami()));
    }
    let claim = host.take_up(&id).await.map_err(coded)?;
    // What is granted now is what counts: a grant that was taken back meanwhile is not there any more.
    let file = claim.run().file().map(PathBuf::from);
    let app = App::new(global, file.as_deref())?;
    let form = form(args.json, args.quiet);
    if form != Form::Json {
        let (name, id) = (&claim.run().plan().name, style::paint(style::FAINT, claim.run().id()));
        anstream::println!("{} {id} · taken up again", style::paint(style::STRONG, name));
    }
    drive(&host, claim, grants(&app.installed()?), &decisions, form).await
}

/// Who decides, for the record: the name of the account.
fn whoami() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned())
}

async fn drive(
    host: &Host,
    claim: Claim,
    grants: Grants,
    decisions: &[(windlass_contract::StepName, Decision, String)],
    form: Form,
) -> anyhow::Result<Exit> {
    let id = claim.run().id().clone();
    let stop = Stop::default();
    let interrupted = on_signals(stop.clone())?;
    let (notices, told) = tokio::sync::mpsc::unbounded_channel();
    let reporter = tokio::spawn(Reporter::new(host, claim.run(), form).watch(told));
    // What earlier processes left behind goes away beside the steps.
    let (ending, ()) = tokio::join!(carry_out(host, claim, grants, decisions, stop, notices), host.sweep());
    let _ = reporter.await;
    let interrupted = interrupted.load(std::sync::atomic::Ordering::Relaxed);
    let ending = ending.map_err(coded)?;
    let run = host.read(&id).await.map_err(coded)?;
    if form != Form::Json {
        anstream::print!("\n{}", summary(&run));
    }
    Ok(match ending {
        Ending::Finished(_) if interrupted => Exit::Interrupted,
        Ending::Finished(outcome) => Exit::of(outcome),
        Ending::Waiting(steps) => {
            if form != Form::Json {
                for step in steps {
                    anstream::eprintln!(
                        "say what became of it: windlass resume {id} --decide {step}=rerun|succeeded|failed"
                    );
                }
            }
            Exit::Gate
        }
    })
}

/// Ctrl-C and SIGTERM ask the run to stop; once more, at once. Tells whether it was Ctrl-C.
fn on_signals(stop: Stop) -> anyhow::Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let told = std::sync::Arc::clone(&interrupted);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => told.store(true, std::sync::atomic::Ordering::Relaxed),
                _ = terminate.recv() => {}
            }
            stop.request();
        }
    });
    Ok(interrupted)
}
