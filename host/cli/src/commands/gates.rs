//! `windlass gates`, `approve`, `reject` and `answer`.

use super::{moment, print_json, run::ask, secret::header};
use crate::{
    app::{App, find_run, whoami},
    args::{AnswerArgs, GatesArgs, Global, VoteArgs},
    exit::{Exit, UsageError, coded},
    style,
};
use windlass_contract::{NameError, RunId, StepName};
use windlass_driver::{Asked, Host, Request};
use windlass_engine::Vote;

pub(crate) async fn gates(app: &App, args: GatesArgs) -> anyhow::Result<Exit> {
    let host = app.host().await?;
    let run = match &args.run {
        Some(text) => Some(find_run(&host, text).await?),
        None => None,
    };
    let open = host.store().gates(run.as_ref()).await.map_err(coded)?;
    if args.json {
        return print_json(&open);
    }
    if open.is_empty() {
        eprintln!("nothing waits for people or a time");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["RUN", "GATE", "WAITS FOR", "UNTIL", "ASKS"])];
    for gate in open {
        let whom = match gate.kind.as_str() {
            "scheduled" => moment(gate.due_ms),
            "question" => "an answer".to_owned(),
            _ => {
                let approvals = gate
                    .votes
                    .as_array()
                    .map_or(0, |votes| votes.iter().filter(|vote| vote["vote"] == "approve").count());
                let missing = usize::try_from(gate.quorum).unwrap_or(usize::MAX).saturating_sub(approvals);
                let of = if gate.approvers.is_empty() { "anybody".to_owned() } else { gate.approvers.join(", ") };
                format!("{missing} of {of}")
            }
        };
        let prompt = gate.prompt.unwrap_or_default();
        let prompt = windlass_report::words::bare(prompt.lines().next().unwrap_or_default());
        rows.push(vec![
            gate.run.to_string(),
            gate.step.to_string(),
            whom,
            moment(gate.expires_ms),
            style::paint(style::FAINT, prompt),
        ]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}

pub(crate) async fn vote(global: &Global, args: VoteArgs, vote: Vote) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    let run = find_run(&host, &args.run).await?;
    let step = match &args.step {
        Some(step) => step.parse().map_err(|error: NameError| UsageError(error.to_string()))?,
        None => the_only_gate(&host, &run).await?,
    };
    let request = Request::Vote { step, vote, comment: args.comment, email: None };
    ask(global, &host, &run, Asked { request, by: whoami() }, &args.carrying).await
}

pub(crate) async fn answer(global: &Global, args: AnswerArgs) -> anyhow::Result<Exit> {
    let host = App::new(global, None)?.host().await?;
    let run = find_run(&host, &args.run).await?;
    let step = args.step.parse().map_err(|error: NameError| UsageError(error.to_string()))?;
    let request = Request::Vote { step, vote: Vote::Answer(args.answer), comment: None, email: None };
    ask(global, &host, &run, Asked { request, by: whoami() }, &args.carrying).await
}

async fn the_only_gate(host: &Host, run: &RunId) -> anyhow::Result<StepName> {
    let mut open = host.store().gates(Some(run)).await.map_err(coded)?;
    match (open.pop(), open.len()) {
        (Some(only), 0) => Ok(only.step),
        (None, _) => {
            Err(UsageError(format!("no gate of run {run} is open; `windlass gates` lists those that are")).into())
        }
        (Some(last), _) => {
            let names: Vec<String> = open.iter().chain([&last]).map(|gate| gate.step.to_string()).collect();
            Err(UsageError(format!("several gates of run {run} are open, name one: {}", names.join(", "))).into())
        }
    }
}
