//! A workflow that goes round: what a transition costs, and how many commits it takes.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{carry_claim, new_run, plan_of, step},
    noop::{self, NoopHome},
    reduce::reduce,
    shapes::name,
    sqlite::{Bare, commits_in_log},
    steps::per_step,
};
use anyhow::{Context as _, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use windlass_contract::PluginRef;
use windlass_driver::{Ending, Workspace};
use windlass_engine::Outcome;
use windlass_manifest::plan::{Condition, MAX_TRANSITIONS, Plan, State, Transition};

const GROUP: &str = "a workflow of 2 states that goes round, a step in each";
const ROUNDS: usize = 9;
/// The few transitions that the many are compared with.
const FEW: u32 = 10;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    engine_alone(report)?;
    whole(report).await?;
    commits(report).await
}

/// Two states that lead to each other until the run may take no more transitions. A file may let a state be entered 20
/// times; here it is as often as it takes.
fn going_round(plugin: &PluginRef, transitions: u32) -> anyhow::Result<Plan> {
    let state = |n: u32| {
        let steps = vec![step(&name(n), plugin, noop::STEP_TYPE, json!({}), &[])?];
        let target = usize::from(n == 0);
        let on = Transition { condition: Condition::OnSuccess, target, feedback: Some("again".to_owned()) };
        let max_visits = transitions + 1;
        anyhow::Ok(State { transitions: vec![on], max_visits, ..State::of(format!("S{n}"), steps) })
    };
    let plan = plan_of(&format!("round-{transitions}"), vec![state(0)?, state(1)?]);
    Ok(Plan { max_transitions: transitions, ..plan })
}

/// The limit of transitions is what ends such a run.
const END: Outcome = Outcome::Failed;

fn engine_alone(report: &mut Report) -> anyhow::Result<()> {
    let plugin = super::home::reference(noop::NAME, b"")?;
    let [mut few, mut many]: [Samples; 2] = Default::default();
    let each = |transitions: u32| {
        let reduced = reduce(going_round(&plugin, transitions)?)?;
        ensure!(reduced.outcome == END, "the run ended as {}", reduced.outcome);
        anyhow::Ok(reduced.took / (transitions + 1))
    };
    each(FEW)?;
    for _ in 0..ROUNDS {
        few.time(each(FEW)?);
        many.time(each(MAX_TRANSITIONS)?);
    }
    let what = format!("engine alone, {MAX_TRANSITIONS} transitions, each");
    let figure = Figure::new(GROUP, what, Unit::Seconds, &many);
    report.add(figure.over(&format!("the same, {FEW} transitions, each"), &few));
    Ok(())
}

async fn go_round(bench: &NoopHome, transitions: u32) -> anyhow::Result<Duration> {
    let plan = going_round(&bench.plugin, transitions)?;
    let began = Instant::now();
    let host = &bench.home.host;
    let claim = host.create(new_run(plan, Workspace::Empty)).await?;
    let ending = carry_claim(host, claim, bench.grants(), Vec::new()).await?;
    let took = began.elapsed();
    ensure!(ending == Ending::Finished(END), "the run ended as {ending:?}");
    Ok(took)
}

async fn whole(report: &mut Report) -> anyhow::Result<()> {
    let bench = NoopHome::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let [mut ours, mut floor]: [Samples; 2] = Default::default();
    go_round(&bench, MAX_TRANSITIONS).await?;
    bare.commits(MAX_TRANSITIONS).await?;
    for _ in 0..ROUNDS {
        let none = go_round(&bench, 0).await?;
        ours.time(per_step(go_round(&bench, MAX_TRANSITIONS).await?, none, MAX_TRANSITIONS + 1));
        floor.time(bare.commits(MAX_TRANSITIONS).await? / MAX_TRANSITIONS);
    }
    let what = format!("whole, {MAX_TRANSITIONS} transitions, each with its step");
    report.add(Figure::new(GROUP, what, Unit::Seconds, &ours).over("one commit of one row", &floor));
    Ok(())
}

/// Counts the commits of a run in the write-ahead log of a home that has done nothing else.
async fn commits(report: &mut Report) -> anyhow::Result<()> {
    let bench = NoopHome::open().await?;
    let log = bench.home.path().join("windlass.db-wal");
    let count = || commits_in_log(&log).with_context(|| format!("cannot read {}", log.display()));
    let before = count()?;
    go_round(&bench, 0).await?;
    let none = count()? - before;
    go_round(&bench, MAX_TRANSITIONS).await?;
    let whole = count()? - before - none;
    let each = f64::from(whole - none) / f64::from(MAX_TRANSITIONS);
    let figure = Figure::counted(GROUP, "commits of a transition and its step", Unit::Count, each);
    let figure = figure.target("≤ 1", each <= 1.0);
    report.add(figure.note(format!("a run of no transition takes {none}, of {MAX_TRANSITIONS} {whole}")));
    Ok(())
}
