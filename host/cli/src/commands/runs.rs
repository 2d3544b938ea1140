//! `windlass runs`.

use super::{moment, print_json, secret::header};
use crate::{
    app::{App, find_run},
    args::RunsArgs,
    exit::{Exit, coded},
    report::{mark, summary},
    style,
};
use windlass_contract::RunId;
use windlass_driver::Host;
use windlass_engine::RunStatus;
use windlass_store::RunFilter;

pub(crate) async fn runs(app: &App, args: RunsArgs) -> anyhow::Result<Exit> {
    let host = app.host().await?;
    if let Some(run) = &args.run {
        let id = find_run(&host, run).await?;
        let run = host.read(&id).await.map_err(coded)?;
        if args.json {
            let steps: Vec<_> = run.steps().collect();
            let (visits, gates): (Vec<_>, _) = (run.visits().collect(), run.gates());
            let sub_runs = host.store().sub_runs(&id).await.map_err(coded)?;
            return print_json(&serde_json::json!({
                "run": run.id(),
                "pipeline": run.plan().name,
                "file": run.file(),
                "status": run.status(),
                "outcome": run.outcome().filter(|_| run.status() == RunStatus::Finished),
                "created_at_ms": run.created_ms(),
                "finished_at_ms": run.finished_ms(),
                "reason": run.reason().filter(|_| run.status() == RunStatus::Finished),
                "inputs": run.inputs(),
                "by": run.origin().by,
                "parent": run.origin().parent,
                "rerun_of": run.origin().rerun.as_ref().map(|rerun| &rerun.of),
                "state": run.state_name(),
                "steps": steps,
                "visits": visits,
                "gates": gates,
                "sub_runs": sub_runs,
            }));
        }
        anstream::print!("{}", summary(&run));
        for sub_run in host.store().sub_runs(&id).await.map_err(coded)? {
            anstream::println!("{}", style::paint(style::FAINT, format_args!("sub-run {sub_run}")));
        }
        for gate in run.gates() {
            if let Some(why) = windlass_report::why::why_waiting(&run, gate.step) {
                anstream::println!("{}: {why}", gate.step);
            }
        }
        if run.status() == RunStatus::Running && !host.is_claimed(&id) {
            match open_sub_run(&host, &id).await? {
                Some(sub_run) => anstream::println!("it goes on when its sub-run {sub_run} has ended"),
                None => anstream::println!("nobody carries it out; take it up again: windlass resume {id}"),
            }
        }
        return Ok(Exit::Success);
    }
    let all = host.store().runs(RunFilter { limit: Some(args.limit), ..RunFilter::default() }).await.map_err(coded)?;
    if args.json {
        return print_json(&all);
    }
    if all.is_empty() {
        eprintln!("no runs yet; `windlass run FILE` begins one");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["RUN", "PIPELINE", "STATE", "BEGAN", "TOOK"])];
    for run in all {
        let state = match run.outcome {
            Some(outcome) => format!("{} {outcome}", mark(outcome)),
            None if host.is_claimed(&run.id) => format!("▶ {}", run.status),
            None if matches!(run.status, RunStatus::Blocked | RunStatus::Waiting) => {
                style::paint(style::WARNING, format_args!("? {} (windlass gates)", run.status))
            }
            None => match open_sub_run(&host, &run.id).await? {
                Some(sub_run) => style::paint(style::WARNING, format_args!("? waits for {sub_run}")),
                None => style::paint(style::WARNING, "? left unfinished"),
            },
        };
        let took = run.finished_at_ms.map(|end| style::duration(end.saturating_sub(run.created_at_ms)));
        rows.push(vec![run.id.to_string(), run.name, state, moment(run.created_at_ms), took.unwrap_or_default()]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

/// A sub-run of a run that has not ended: what the run waits for, or leaves behind.
async fn open_sub_run(host: &Host, run: &RunId) -> anyhow::Result<Option<RunId>> {
    for sub_run in host.store().sub_runs(run).await.map_err(coded)? {
        if host.store().run(&sub_run).await.map_err(coded)?.outcome.is_none() {
            return Ok(Some(sub_run));
        }
    }
    Ok(None)
}
