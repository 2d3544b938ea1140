//! Steps that do nothing: what a step costs when it is not the step that costs.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{CONCURRENCY, Home, carry, grants, plan, step},
    noop,
    sqlite::{Bare, commits_in_log},
};
use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Map, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use windlass_contract::{Permissions, PluginRef};
use windlass_engine::{Command, Event, EventKind, Outcome, Run};
use windlass_manifest::plan::Plan;

/// Rounds of the pipelines of 1, 40 and 500 steps.
const ROUNDS: usize = 9;
/// Rounds of the long pipeline, which takes as long as twenty of 500 steps.
const LONG_ROUNDS: usize = 5;
const LONG: u32 = 10_000;
const SHORT: u32 = 100;
/// Rounds of many runs at once, and how many runs each has.
const RATE_ROUNDS: usize = 5;
const RUNS: u32 = 1_000;
const STEPS_OF_A_RUN: u32 = 3;

/// `count` steps, each after the one before it.
fn sequence(plugin: &PluginRef, count: u32) -> anyhow::Result<Plan> {
    let mut steps = Vec::with_capacity(count as usize);
    let mut before = Vec::new();
    for n in 0..count {
        let next = step(&format!("s{n}"), plugin, noop::STEP_TYPE, json!({}), &before)?;
        before = vec![next.name.clone()];
        steps.push(next);
    }
    Ok(plan(&format!("sequence-{count}"), steps))
}

/// A home with the plugin that does nothing.
struct Bench {
    home: Home,
    plugin: PluginRef,
}

impl Bench {
    async fn open() -> anyhow::Result<Bench> {
        let home = Home::open().await?;
        let plugin = home.install("bench:noop", &noop::component()?).await?;
        Ok(Bench { home, plugin })
    }

    /// The time of one run of `count` steps, from its creation to its end.
    async fn sequence(&self, count: u32) -> anyhow::Result<Duration> {
        let plan = sequence(&self.plugin, count)?;
        let began = Instant::now();
        carry(&self.home.host, plan, grants(&self.plugin, Permissions::default()), None).await?;
        Ok(began.elapsed())
    }
}

/// What each step after the first has cost.
fn per_step(whole: Duration, one: Duration, count: u32) -> Duration {
    whole.saturating_sub(one) / (count - 1)
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    in_sequence(report).await?;
    commits(report).await?;
    reducer(report)?;
    long(report).await?;
    rate(report).await
}

async fn in_sequence(report: &mut Report) -> anyhow::Result<()> {
    const GROUP: &str = "no-op Wasm steps in sequence, durable";
    let bench = Bench::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let mut one = Samples::default();
    let [mut few, mut few_bare, mut many, mut many_bare]: [Samples; 4] = Default::default();
    bench.sequence(40).await?;
    bare.commits(40).await?;
    for _ in 0..ROUNDS {
        let single = bench.sequence(1).await?;
        one.time(single);
        few.time(per_step(bench.sequence(40).await?, single, 40));
        few_bare.time(bare.commits(40).await? / 40);
        many.time(per_step(bench.sequence(500).await?, single, 500));
        many_bare.time(bare.commits(500).await? / 500);
    }
    report.add(Figure::new(GROUP, "a run of 1 step, whole", Unit::Seconds, &one));
    for (what, ours, floor) in [("40 steps, each", few, few_bare), ("500 steps, each", many, many_bare)] {
        let holds = ours.p50() <= 1e-3;
        let figure = Figure::new(GROUP, what, Unit::Seconds, &ours).over("one commit of one row", &floor);
        report.add(figure.target("≤ 1.0 ms p50", holds));
    }
    Ok(())
}

/// Counts the commits of a run of 40 steps in the write-ahead log of a home that has done nothing else.
async fn commits(report: &mut Report) -> anyhow::Result<()> {
    const STEPS: u32 = 40;
    let bench = Bench::open().await?;
    let log = bench.home.path().join("windlass.db-wal");
    let count = || commits_in_log(&log).with_context(|| format!("cannot read {}", log.display()));
    let before = count()?;
    bench.sequence(1).await?;
    let one = count()? - before;
    bench.sequence(STEPS).await?;
    let whole = count()? - before - one;
    let each = f64::from(whole - one) / f64::from(STEPS - 1);
    let figure = Figure::counted("no-op Wasm steps in sequence, durable", "commits of a step", Unit::Count, each);
    report
        .add(figure.target("≤ 2", each <= 2.0).note(format!("a run of 1 step takes {one}, of {STEPS} steps {whole}")));
    Ok(())
}

/// The engine alone: events in, commands out, nothing stored.
fn reducer(report: &mut Report) -> anyhow::Result<()> {
    const GROUP: &str = "cost of a step in a long run";
    let plugin = super::home::reference("bench:noop", b"")?;
    let [mut short, mut long]: [Samples; 2] = Default::default();
    reduce(sequence(&plugin, SHORT)?)?;
    for _ in 0..ROUNDS {
        short.time(reduce(sequence(&plugin, SHORT)?)? / SHORT);
        long.time(reduce(sequence(&plugin, LONG)?)? / LONG);
    }
    let holds = long.p50() <= 1.3 * short.p50();
    let figure = Figure::new(GROUP, format!("engine alone, {LONG} steps, each"), Unit::Seconds, &long);
    report.add(figure.over(&format!("the same, {SHORT} steps, each"), &short).target("≤ 1.3 ×", holds));
    Ok(())
}

fn reduce(plan: Plan) -> anyhow::Result<Duration> {
    let kind = EventKind::RunCreated {
        run: "r1".parse()?,
        plan: Box::new(plan),
        inputs: Map::new(),
        previous: None,
        file: None,
    };
    let began = Instant::now();
    let (mut run, commands) = Run::create(&Event { at_ms: 0, kind })?;
    let mut queue = VecDeque::from(commands);
    while let Some(command) = queue.pop_front() {
        let kinds = match command {
            Command::StartStep { step, attempt, .. } => {
                let finished = EventKind::StepFinished {
                    step: step.clone(),
                    attempt,
                    outcome: Outcome::Succeeded,
                    reason: None,
                    outputs: Map::new(),
                };
                vec![EventKind::StepStarted { step, attempt }, finished]
            }
            Command::Finish { outcome } => vec![EventKind::RunFinished { outcome }],
            _ => Vec::new(),
        };
        for kind in kinds {
            queue.extend(run.apply(&Event { at_ms: 0, kind })?);
        }
    }
    let took = began.elapsed();
    ensure!(run.outcome() == Some(Outcome::Succeeded), "the run did not end");
    Ok(took)
}

async fn long(report: &mut Report) -> anyhow::Result<()> {
    const GROUP: &str = "cost of a step in a long run";
    let bench = Bench::open().await?;
    let [mut short, mut long]: [Samples; 2] = Default::default();
    bench.sequence(SHORT).await?;
    for _ in 0..LONG_ROUNDS {
        let single = bench.sequence(1).await?;
        short.time(per_step(bench.sequence(SHORT).await?, single, SHORT));
        long.time(per_step(bench.sequence(LONG).await?, single, LONG));
    }
    let holds = long.p50() <= 1.3 * short.p50();
    let figure = Figure::new(GROUP, format!("whole, {LONG} steps, each"), Unit::Seconds, &long);
    report.add(figure.over(&format!("the same, {SHORT} steps, each"), &short).target("≤ 1.3 ×", holds));
    Ok(())
}

/// Short runs, as many at once as plugins may run.
async fn rate(report: &mut Report) -> anyhow::Result<()> {
    let bench = Bench::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let [mut ours, mut floor]: [Samples; 2] = Default::default();
    for _ in 0..RATE_ROUNDS {
        let began = Instant::now();
        let runs = futures::stream::iter(0..RUNS).map(|_| {
            let plan = sequence(&bench.plugin, STEPS_OF_A_RUN);
            let (host, grants) = (bench.home.host.clone(), grants(&bench.plugin, Permissions::default()));
            // A task of its own, so that all processors have work.
            let task = tokio::spawn(async move { carry(&host, plan?, grants, None).await });
            async move { task.await? }
        });
        runs.buffer_unordered(CONCURRENCY).try_for_each(|_| async { Ok(()) }).await?;
        ours.value(f64::from(RUNS) / began.elapsed().as_secs_f64());
        // One commit creates a run, one ends each step.
        let alone = bare.commits(RUNS / 5 * (STEPS_OF_A_RUN + 1)).await?;
        floor.value(f64::from(RUNS / 5) / alone.as_secs_f64());
    }
    let holds = ours.p50() >= 500.0;
    let what = format!("{STEPS_OF_A_RUN}-step runs, {CONCURRENCY} in flight");
    let figure = Figure::new("many runs at once", what, Unit::RunsPerSecond, &ours);
    let figure = figure.over("as many commits, one after the other", &floor).target("≥ 500/s", holds);
    report.add(figure.note("commits of several runs share a transaction, so this may be faster than its floor"));
    Ok(())
}
