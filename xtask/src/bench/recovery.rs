//! A thousand runs in flight when their process is killed, until a new one has taken all up and finished them.
//!
//! The process that is killed is this program, started again with `__leave`: it records the runs, the first step of each as
//! begun, holds their claims, says so, and waits to be killed. It also ends when its standard input does, so that none is left
//! behind by a benchmark that was interrupted.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{Home, grants, install, new_run, open_host},
    noop,
    shapes::Shape,
    sqlite::Database,
};
use anyhow::{Context as _, ensure};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use windlass_contract::{Permissions, PluginRef, RunId};
use windlass_driver::{Ending, Host, Notice, Stop, Terms, Workspace, carry_out};
use windlass_engine::Outcome;

const GROUP: &str = "kill -9 with 1,000 runs in flight";
const RUNS: usize = 1_000;
const STEPS_OF_A_RUN: u32 = 3;
const ROUNDS: usize = 5;
/// What the design promises, in seconds.
const PROMISED: f64 = 2.0;
/// What the child says when all runs are recorded.
const READY: &str = "ready";

/// The child: records runs in a home, and waits to be killed.
pub(crate) async fn leave(home: &Path) -> anyhow::Result<()> {
    let host = open_host(home).await?;
    let plugin = install(&host, home, noop::NAME, &noop::component()?).await?;
    let mut claims = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let plan = Shape::Chain.plan(&plugin, STEPS_OF_A_RUN)?;
        claims.push(host.create(new_run(plan, Workspace::Empty)).await?);
    }
    println!("{READY}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A home whose process was killed.
fn killed() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("__leave")
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = child.stdout.take().context("its output")?;
    let mut line = String::new();
    let heard = BufReader::new(said).read_line(&mut line);
    // SIGKILL: it has no last word.
    child.kill()?;
    child.wait()?;
    heard?;
    ensure!(line.trim() == READY, "the process to be killed said {line:?}");
    Ok(folder)
}

/// When, from the opening of the home on.
struct Recovered {
    /// The last run had its step under way again.
    taken_up: Duration,
    finished: Duration,
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let [mut taken_up, mut finished, mut floor]: [Samples; 3] = Default::default();
    for _ in 0..ROUNDS {
        let folder = tokio::task::spawn_blocking(killed).await??;
        floor.time(read_alone(folder.path()).await?);
        let recovered = recover(folder).await?;
        taken_up.time(recovered.taken_up);
        finished.time(recovered.finished);
    }
    let holds = taken_up.p50() <= PROMISED;
    let figure = Figure::new(GROUP, "until all of them go on", Unit::Seconds, &taken_up);
    let figure = figure.over("reading their events", &floor).target("≤ 2 s p50", holds);
    report.add(figure.note(format!("{:.2} ms a run", taken_up.p50() / RUNS as f64 * 1e3)));
    let figure = Figure::new(GROUP, "until all of them have ended", Unit::Seconds, &finished);
    let figure = figure.over("reading their events", &floor);
    report.add(figure.note(format!("{:.2} ms a run, of {STEPS_OF_A_RUN} steps", finished.p50() / RUNS as f64 * 1e3)));
    Ok(())
}

/// The floor, on a copy, so that nothing is repaired or read ahead for the one that counts.
async fn read_alone(home: &Path) -> anyhow::Result<Duration> {
    let copy = tempfile::tempdir()?;
    for file in ["windlass.db", "windlass.db-wal"] {
        std::fs::copy(home.join(file), copy.path().join(file))?;
    }
    let began = Instant::now();
    let mut database = Database::open(&copy.path().join("windlass.db")).await?;
    let (runs, bytes) = database.events().await?;
    let took = began.elapsed();
    ensure!(runs == RUNS && bytes > 0, "{runs} runs were left behind");
    Ok(took)
}

async fn recover(folder: TempDir) -> anyhow::Result<Recovered> {
    let began = Instant::now();
    let home = Home::at(folder).await?;
    let plugin = super::home::reference(noop::NAME, &noop::component()?)?;
    let runs = home.host.store().unfinished_runs().await?;
    ensure!(runs.len() == RUNS, "{} runs are to be taken up", runs.len());
    let (on, mut going) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for run in runs {
        tasks.spawn(finish(home.host.clone(), plugin.clone(), run, on.clone()));
    }
    drop(on);
    let mut taken_up = Duration::ZERO;
    let mut seen = 0;
    while let Some(at) = going.recv().await {
        taken_up = taken_up.max(at.duration_since(began));
        seen += 1;
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let finished = began.elapsed();
    ensure!(seen == RUNS, "{seen} runs had a step in flight");
    let left = home.host.store().unfinished_runs().await?;
    ensure!(left.is_empty(), "{} runs have not ended", left.len());
    Ok(Recovered { taken_up, finished })
}

/// Takes a run up and carries it out; says when its first step is under way again.
async fn finish(
    host: Host,
    plugin: PluginRef,
    run: RunId,
    going: mpsc::UnboundedSender<Instant>,
) -> anyhow::Result<()> {
    let claim = host.take_up(&run).await?;
    let (notices, mut told) = mpsc::unbounded_channel();
    let grants = grants(&plugin, Permissions::default());
    let terms = Terms { grants, asked: Vec::new(), stop: Stop::default(), wait: false, notices };
    let watch = tokio::spawn(async move {
        while let Some(notice) = told.recv().await {
            if matches!(notice, Notice::Began { again: true, .. }) {
                let _ = going.send(Instant::now());
            }
        }
    });
    let ending = carry_out(&host, claim, terms).await?;
    watch.await?;
    ensure!(ending == Ending::Finished(Outcome::Succeeded), "it ended as {ending:?}");
    Ok(())
}
