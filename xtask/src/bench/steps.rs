//! Steps that do nothing: what a step costs when it is not the step that costs.

use super::{
    figures::{Figure, Report, Samples, Unit},
    noop::NoopHome,
    shapes::Shape,
    sqlite::{Bare, commits_in_log},
};
use anyhow::Context as _;
use std::time::Duration;

/// Rounds of the pipelines of 1, 40 and 500 steps.
const ROUNDS: usize = 9;

/// What each step after the first has cost.
pub(crate) fn per_step(whole: Duration, one: Duration, count: u32) -> Duration {
    whole.saturating_sub(one) / (count - 1)
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    in_sequence(report).await?;
    commits(report).await
}

async fn in_sequence(report: &mut Report) -> anyhow::Result<()> {
    const GROUP: &str = "no-op Wasm steps in sequence, durable";
    let bench = NoopHome::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let mut one = Samples::default();
    let [mut few, mut few_bare, mut many, mut many_bare]: [Samples; 4] = Default::default();
    bench.run(Shape::Chain, 40).await?;
    bare.commits(40).await?;
    for _ in 0..ROUNDS {
        let single = bench.run(Shape::Chain, 1).await?;
        one.time(single);
        few.time(per_step(bench.run(Shape::Chain, 40).await?, single, 40));
        few_bare.time(bare.commits(40).await? / 40);
        many.time(per_step(bench.run(Shape::Chain, 500).await?, single, 500));
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
    let bench = NoopHome::open().await?;
    let log = bench.home.path().join("windlass.db-wal");
    let count = || commits_in_log(&log).with_context(|| format!("cannot read {}", log.display()));
    let before = count()?;
    bench.run(Shape::Chain, 1).await?;
    let one = count()? - before;
    bench.run(Shape::Chain, STEPS).await?;
    let whole = count()? - before - one;
    let each = f64::from(whole - one) / f64::from(STEPS - 1);
    let figure = Figure::counted("no-op Wasm steps in sequence, durable", "commits of a step", Unit::Count, each);
    report
        .add(figure.target("≤ 2", each <= 2.0).note(format!("a run of 1 step takes {one}, of {STEPS} steps {whole}")));
    Ok(())
}
