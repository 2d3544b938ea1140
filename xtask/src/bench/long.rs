//! What a step costs in a run of 100, of 1,000 and of 10,000 steps, in each shape: the reducer alone, and whole.

use super::{
    figures::{Figure, Report, Samples, Unit},
    noop::{self, NoopHome},
    reduce::reduce,
    shapes::Shape,
    sqlite::Bare,
    steps::per_step,
};
use anyhow::ensure;
use windlass_engine::Outcome;

/// Rounds of the reducer alone.
const REDUCER_ROUNDS: usize = 9;
/// Whole rounds, of which one takes as long as twenty runs of 500 steps, in each shape.
const WHOLE_ROUNDS: usize = 5;
const SHORT: u32 = 100;
const LONGER: [u32; 2] = [1_000, 10_000];
/// Commits that a round makes for the floor.
const COMMITS: u32 = 500;
/// How much more a step may cost in a longer run than in one of 100 steps.
const MAX_RATIO: f64 = 1.3;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    for shape in Shape::ALL {
        engine_alone(report, shape)?;
    }
    for shape in Shape::ALL {
        whole(report, shape).await?;
    }
    Ok(())
}

/// Events in, commands out, nothing stored.
fn engine_alone(report: &mut Report, shape: Shape) -> anyhow::Result<()> {
    const GROUP: &str = "cost of a step in a long run, engine alone";
    let plugin = super::home::reference(noop::NAME, b"")?;
    let mut short = Samples::default();
    let mut longer: [Samples; LONGER.len()] = Default::default();
    let each = |count| {
        let reduced = reduce(shape.plan(&plugin, count)?)?;
        ensure!(reduced.outcome == Outcome::Succeeded, "the run ended as {}", reduced.outcome);
        anyhow::Ok(reduced.took / count)
    };
    each(SHORT)?;
    for _ in 0..REDUCER_ROUNDS {
        short.time(each(SHORT)?);
        for (count, samples) in LONGER.into_iter().zip(&mut longer) {
            samples.time(each(count)?);
        }
    }
    report.add(Figure::new(GROUP, what(shape, SHORT), Unit::Seconds, &short));
    for (count, samples) in LONGER.into_iter().zip(&longer) {
        report.add(beside_short(GROUP, shape, count, samples, &short));
    }
    Ok(())
}

async fn whole(report: &mut Report, shape: Shape) -> anyhow::Result<()> {
    const GROUP: &str = "cost of a step in a long run, whole";
    let bench = NoopHome::open().await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    let [mut short, mut floor]: [Samples; 2] = Default::default();
    let mut longer: [Samples; LONGER.len()] = Default::default();
    bench.run(shape, SHORT).await?;
    bare.commits(COMMITS).await?;
    for _ in 0..WHOLE_ROUNDS {
        let single = bench.run(shape, 1).await?;
        short.time(per_step(bench.run(shape, SHORT).await?, single, SHORT));
        floor.time(bare.commits(COMMITS).await? / COMMITS);
        for (count, samples) in LONGER.into_iter().zip(&mut longer) {
            samples.time(per_step(bench.run(shape, count).await?, single, count));
        }
    }
    report.add(Figure::new(GROUP, what(shape, SHORT), Unit::Seconds, &short).over("one commit of one row", &floor));
    for (count, samples) in LONGER.into_iter().zip(&longer) {
        let commits = samples.p50() / floor.p50();
        let figure = beside_short(GROUP, shape, count, samples, &short);
        report.add(figure.note(format!("{commits:.2} × one commit of one row")));
    }
    Ok(())
}

fn what(shape: Shape, count: u32) -> String {
    format!("{}, {count} steps, each", shape.name())
}

fn beside_short(group: &'static str, shape: Shape, count: u32, samples: &Samples, short: &Samples) -> Figure {
    let holds = samples.p50() <= MAX_RATIO * short.p50();
    let figure = Figure::new(group, what(shape, count), Unit::Seconds, samples);
    figure.over(&format!("the same, {SHORT} steps, each"), short).target("≤ 1.3 ×", holds)
}
