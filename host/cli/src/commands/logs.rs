//! `windlass logs`.

use crate::{
    app::{App, find_run},
    args::LogsArgs,
    exit::{Exit, UsageError, coded},
    lines, style,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};
use windlass_contract::{RunId, StepName};
use windlass_driver::Host;
use windlass_engine::{Run, RunStatus, StepState, StepView};
use windlass_store::logs::LogStream;

pub(crate) async fn logs(app: &App, args: LogsArgs) -> anyhow::Result<Exit> {
    let host = app.host().await?;
    let id = find_run(&host, &args.run).await?;
    let run = host.read(&id).await.map_err(coded)?;
    let only = args.step.as_deref().map(|text| step_of(&run, text)).transpose()?;
    if let (true, Some(step)) = (args.raw, &only) {
        let attempt = args.attempt.unwrap_or_else(|| last_attempt(&run, step));
        let mut out = std::io::stdout().lock();
        host.logs().raw(&id, step, attempt, &mut out).map_err(coded)?;
        out.flush()?;
        return Ok(Exit::Success);
    }
    let names: Vec<StepName> = run.plan().steps().map(|step| step.name.clone()).collect();
    let printer = Arc::new(Printer { json: args.json, label: only.is_none(), names });
    if args.follow {
        follow(&host, &id, &printer, only.as_ref(), args.attempt).await?;
        return Ok(Exit::Success);
    }
    // Of one step, the last attempt; of a whole run, everything.
    let attempt = args.attempt.or_else(|| only.as_ref().map(|step| last_attempt(&run, step)));
    for (step, n) in attempts(&run) {
        if is_wanted(&step, n, only.as_ref(), attempt)
            && let Some(reader) = host.logs().reader(&id, &step, n).map_err(coded)?
        {
            lines::read(reader, |stream, at_ms, text| printer.line(&step, n, stream, at_ms, text)).map_err(coded)?;
        }
    }
    Ok(Exit::Success)
}

fn is_wanted(step: &StepName, attempt: u32, only: Option<&StepName>, only_attempt: Option<u32>) -> bool {
    only.is_none_or(|only| only == step) && only_attempt.is_none_or(|n| n == attempt)
}

fn step_of(run: &Run, text: &str) -> anyhow::Result<StepName> {
    let names = || run.plan().steps().map(|step| &step.name);
    names().find(|name| name.as_str() == text).cloned().ok_or_else(|| {
        let all: Vec<&str> = names().map(StepName::as_str).collect();
        UsageError(format!("the run has no step {text:?}; it has {}", all.join(", "))).into()
    })
}

fn last_attempt(run: &Run, step: &StepName) -> u32 {
    let of = |view: &StepView<'_>| (view.name == step).then(|| view.attempts.last().map(|last| last.attempt)).flatten();
    every_step(run).iter().filter_map(of).max().unwrap_or(1)
}

/// Every step of every visit of a state.
fn every_step(run: &Run) -> Vec<StepView<'_>> {
    run.visits().flat_map(|visit| visit.steps).collect()
}

/// Every attempt so far, in the order in which they began.
fn attempts(run: &Run) -> Vec<(StepName, u32)> {
    let mut all: Vec<(u64, StepName, u32)> = every_step(run)
        .into_iter()
        .flat_map(|step| {
            let name = step.name.clone();
            step.attempts.into_iter().map(move |attempt| (attempt.started_ms, name.clone(), attempt.attempt))
        })
        .collect();
    // Of those that began in the same millisecond, the plan's order stays.
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(_, step, attempt)| (step, attempt)).collect()
}

struct Printer {
    json: bool,
    label: bool,
    names: Vec<StepName>,
}

impl Printer {
    fn line(&self, step: &StepName, attempt: u32, stream: LogStream, at_ms: u64, text: &str) {
        let written = if self.json {
            let line =
                serde_json::json!({ "step": step, "attempt": attempt, "stream": stream, "at_ms": at_ms, "text": text });
            writeln!(std::io::stdout(), "{line}")
        } else if self.label {
            let n = self.names.iter().position(|name| name == step).unwrap_or(0);
            let width = self.names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
            let label = style::paint(style::step(n), format_args!("{:width$} │", step.as_str()));
            writeln!(anstream::stdout(), "{}", format!("{label} {text}").trim_end())
        } else {
            writeln!(anstream::stdout(), "{text}")
        };
        // A reader that has gone away (`| head`) is not an error.
        let _ = written;
    }
}

/// Prints attempts as they come, until the run has ended or nobody carries it out. Woken by commits and by the log files.
async fn follow(
    host: &Host,
    id: &RunId,
    printer: &Arc<Printer>,
    only: Option<&StepName>,
    only_attempt: Option<u32>,
) -> anyhow::Result<()> {
    let mut commits = host.store().commits().map_err(coded)?;
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut seen = BTreeSet::new();
    let mut following: BTreeMap<(StepName, u32), Option<oneshot::Sender<()>>> = BTreeMap::new();
    loop {
        let run = host.read(id).await.map_err(coded)?;
        for key in attempts(&run) {
            if !is_wanted(&key.0, key.1, only, only_attempt) || !seen.insert(key.clone()) {
                continue;
            }
            let follower = host.logs().follow(id, &key.0, key.1).map_err(coded)?;
            let (over, is_over) = oneshot::channel();
            following.insert(key.clone(), Some(over));
            let (printer, done) = (Arc::clone(printer), done.clone());
            tokio::spawn(async move {
                let (step, attempt) = &key;
                let each = |stream, at_ms, text: &str| printer.line(step, *attempt, stream, at_ms, text);
                lines::follow(follower, is_over, each).await;
                let _ = done.send(key);
            });
        }
        for ((step, attempt), over) in &mut following {
            if is_over(&run, step, *attempt)
                && let Some(over) = over.take()
            {
                let _ = over.send(());
            }
        }
        if run.status() == RunStatus::Finished && following.is_empty() {
            return Ok(());
        }
        if run.status() != RunStatus::Finished && !host.is_claimed(id) {
            anstream::eprintln!("nobody carries the run out any more; take it up again: windlass resume {id}");
            return Ok(());
        }
        tokio::select! {
            () = commits.changed() => {}
            Some(key) = ended.recv() => { following.remove(&key); }
        }
    }
}

/// Whether nothing more will come of an attempt.
fn is_over(run: &Run, step: &StepName, attempt: u32) -> bool {
    let is_it = |view: &StepView<'_>| view.name == step && view.attempts.iter().any(|each| each.attempt == attempt);
    let Some(view) = every_step(run).into_iter().find(is_it) else { return true };
    let of = view.attempts.iter().find(|each| each.attempt == attempt);
    of.is_some_and(|each| each.finished_ms.is_some()) || matches!(view.state, StepState::Undecided)
}
