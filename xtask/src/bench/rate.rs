//! Short runs, as many at once as plugins may run.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{CONCURRENCY, carry, plan, plan_of, step},
    noop::{self, NoopHome},
    shapes::{Shape, name},
    sqlite::Bare,
};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use std::time::{Duration, Instant};
use windlass_contract::{PluginRef, StepName};
use windlass_manifest::plan::{Condition, Gate, GateDefault, ManualGate, Plan, State, Step, Transition, Work};

/// Rounds, and how many runs each has.
const ROUNDS: usize = 5;
const RUNS: u32 = 1_000;
/// How many commits the floor makes are those of a fifth of the runs.
const BARE_RUNS: u32 = RUNS / 5;
/// What the design promises, in runs a second.
const PROMISED: f64 = 500.0;

/// A kind of run, each of three steps.
struct Kind {
    what: &'static str,
    plan: fn(&PluginRef) -> anyhow::Result<Plan>,
    /// How many commits one takes: its creation, and the end of each plugin's step.
    commits: u32,
}

const KINDS: [Kind; 3] = [
    Kind { what: "3-step runs", plan: |plugin| Shape::Chain.plan(plugin, 3), commits: 4 },
    Kind { what: "runs of 3 states", plan: states, commits: 4 },
    Kind { what: "runs of 2 steps and a gate that approves itself", plan: gated, commits: 3 },
];

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let bench = NoopHome::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let [mut ours, mut floors]: [[Samples; KINDS.len()]; 2] = Default::default();
    for _ in 0..ROUNDS {
        // In turns and in one home: what one kind leaves to the disk to do must not be paid by the next alone.
        for ((kind, ours), floor) in KINDS.iter().zip(&mut ours).zip(&mut floors) {
            ours.value(f64::from(RUNS) / carry_all(&bench, kind).await?.as_secs_f64());
            let alone = bare.commits(BARE_RUNS * kind.commits).await?;
            floor.value(f64::from(BARE_RUNS) / alone.as_secs_f64());
        }
    }
    for ((kind, ours), floor) in KINDS.iter().zip(&ours).zip(&floors) {
        let holds = ours.p50() >= PROMISED;
        let what = format!("{}, {CONCURRENCY} in flight", kind.what);
        let figure = Figure::new("many runs at once", what, Unit::PerSecond, ours);
        let figure = figure.over("as many commits, one after the other", floor).target("≥ 500/s", holds);
        report.add(figure.note("commits of several runs share a transaction, so this may be faster than its floor"));
    }
    Ok(())
}

async fn carry_all(bench: &NoopHome, kind: &Kind) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let runs = futures::stream::iter(0..RUNS).map(|_| {
        let plan = (kind.plan)(&bench.plugin);
        let (host, grants) = (bench.home.host.clone(), bench.grants());
        // A task of its own, so that all processors have work.
        let task = tokio::spawn(async move { carry(&host, plan?, grants, None).await });
        async move { task.await? }
    });
    runs.buffer_unordered(CONCURRENCY).try_for_each(|_| async { Ok(()) }).await?;
    Ok(began.elapsed())
}

/// Three states of one step, each after the one before it.
fn states(plugin: &PluginRef) -> anyhow::Result<Plan> {
    let state = |n: u32| {
        let steps = vec![step(&name(n), plugin, noop::STEP_TYPE, json!({}), &[])?];
        let next = Transition { condition: Condition::OnSuccess, target: n as usize + 1, feedback: None };
        let transitions = if n < 2 { vec![next] } else { Vec::new() };
        anyhow::Ok(State { transitions, ..State::of(format!("S{n}"), steps) })
    };
    Ok(plan_of("states", (0..3).map(state).collect::<anyhow::Result<_>>()?))
}

fn gated(plugin: &PluginRef) -> anyhow::Result<Plan> {
    with_gate(plugin, vec!["steps.s0.outcome == 'succeeded'".to_owned()])
}

/// A step, a gate, and a step after it. The gate waits for a person unless it has conditions, which approve it.
pub(crate) fn with_gate(plugin: &PluginRef, auto_approve: Vec<String>) -> anyhow::Result<Plan> {
    let [before, mut gate, after]: [Step; 3] = {
        let step = |n: u32, needs: &[&str]| {
            let needs = needs.iter().map(|need| need.parse()).collect::<Result<Vec<StepName>, _>>()?;
            step(&name(n), plugin, noop::STEP_TYPE, json!({}), &needs)
        };
        [step(0, &[])?, step(1, &["s0"])?, step(2, &["s1"])?]
    };
    gate.work = Work::Gate(Gate::Manual(ManualGate {
        prompt: Some("Ship it?".to_owned()),
        approvers: Vec::new(),
        quorum: 1,
        self_approval: true,
        auto_approve,
        on_timeout: GateDefault::Reject,
    }));
    gate.timeout_ms = windlass_manifest::plan::DEFAULT_WAIT_MS;
    Ok(plan("gated", vec![before, gate, after]))
}
