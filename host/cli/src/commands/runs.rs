//! `windlass runs`.

use super::{moment, print_json, secret::header};
use crate::{
    app::{App, find_run},
    args::RunsArgs,
    exit::{Exit, coded},
    report::{mark, summary},
    style,
};
use windlass_engine::RunStatus;
use windlass_store::RunFilter;

pub(crate) async fn runs(app: &App, args: RunsArgs) -> anyhow::Result<Exit> {
    let host = app.host().await?;
    if let Some(run) = &args.run {
        let id = find_run(&host, run).await?;
        let run = host.read(&id).await.map_err(coded)?;
        if args.json {
            let steps: Vec<_> = run.steps().collect();
            return print_json(&serde_json::json!({
                "run": run.id(),
                "pipeline": run.plan().name,
                "file": run.file(),
                "status": run.status(),
                "outcome": run.outcome().filter(|_| run.status() == RunStatus::Finished),
                "created_at_ms": run.created_ms(),
                "finished_at_ms": run.finished_ms(),
                "steps": steps,
            }));
        }
        anstream::print!("{}", summary(&run));
        if run.status() != RunStatus::Finished && !host.is_claimed(&id) {
            anstream::println!("nobody carries it out; take it up again: windlass resume {id}");
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
            None if run.status == RunStatus::Waiting => style::paint(style::WARNING, "? waits for a decision"),
            None => style::paint(style::WARNING, "? left unfinished"),
        };
        let took = run.finished_at_ms.map(|end| style::duration(end.saturating_sub(run.created_at_ms)));
        rows.push(vec![run.id.to_string(), run.name, state, moment(run.created_at_ms), took.unwrap_or_default()]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}
