//! Runs that wait at a gate: what each holds of the machine, and how soon one goes on.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{CONCURRENCY, carry_claim, new_run},
    noop::NoopHome,
    process::{memory, threads},
    rate::with_gate,
    sqlite::{Bare, Database},
};
use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use windlass_contract::RunId;
use windlass_driver::{Asked, Ending, Request, Workspace};
use windlass_engine::{Outcome, Vote};

const GROUP: &str = "10,000 runs that wait at a gate";
const RUNS: u32 = 10_000;
/// Runs that wait before it is first looked at, so that buffers and pools are there.
const WARM_UP: u32 = 1_000;
/// How long idle threads of tokio's pool stay: 10 s, and a moment.
const QUIET: Duration = Duration::from_secs(11);
/// What the design promises that a run holds, in bytes.
const PROMISED: f64 = 4096.0;
const LISTS: usize = 100;
const APPROVALS: usize = 200;

/// What the process and the disk hold.
struct Held {
    memory: f64,
    tasks: usize,
    threads: u64,
    database: f64,
    folders: f64,
}

impl Held {
    async fn now(bench: &NoopHome, database: &mut Database) -> anyhow::Result<Held> {
        tokio::time::sleep(QUIET).await;
        Ok(Held {
            memory: memory("VmRSS:")? as f64,
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: threads()?,
            database: database.bytes().await?,
            folders: on_disk(&bench.home.path().join("runs"))? + on_disk(&bench.home.path().join("open"))?,
        })
    }
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let bench = NoopHome::open().await?;
    let mut database = Database::open(&bench.home.path().join("windlass.db")).await?;
    let mut bare = Bare::open(bench.home.path()).await?;
    park(&bench, WARM_UP).await?;
    let before = Held::now(&bench, &mut database).await?;
    let began = Instant::now();
    park(&bench, RUNS).await?;
    let took = began.elapsed();
    let after = Held::now(&bench, &mut database).await?;

    let each = |before: f64, after: f64| (after - before) / f64::from(RUNS);
    let grown = each(before.memory, after.memory);
    let figure = Figure::counted(GROUP, "memory of one (growth of VmRSS)", Unit::Bytes, grown);
    let note = format!("idle host {:.1} MB, with them {:.1} MB", before.memory / 1e6, after.memory / 1e6);
    report.add(figure.target("≤ 4096 B", grown <= PROMISED).note(note));
    let count = |what: &str, before: u64, after: u64| {
        let more = after as f64 - before as f64;
        let figure = Figure::counted(GROUP, format!("{what} more than an idle host has"), Unit::Count, more);
        figure.target("0", more <= 0.0).note(format!("idle host {before}, with them {after}"))
    };
    report.add(count("tasks", before.tasks as u64, after.tasks as u64));
    report.add(count("threads", before.threads, after.threads));
    let stored = each(before.database, after.database);
    report.add(Figure::counted(GROUP, "database of one", Unit::Bytes, stored));
    let folder = each(before.folders, after.folders);
    report.add(Figure::counted(GROUP, "folder of one, in blocks of the disk", Unit::Bytes, folder));
    let rate = f64::from(RUNS) / took.as_secs_f64();
    let what = format!("runs made, carried out as far as the gate and left, {CONCURRENCY} in flight");
    report.add(Figure::counted(GROUP, what, Unit::PerSecond, rate));

    list(report, &bench, &mut database).await?;
    approve(report, &bench, &mut bare).await
}

/// Has so many runs wait.
async fn park(bench: &NoopHome, count: u32) -> anyhow::Result<()> {
    let runs = futures::stream::iter(0..count).map(|_| {
        let plan = with_gate(&bench.plugin, Vec::new());
        let (host, grants) = (bench.home.host.clone(), bench.grants());
        let task = tokio::spawn(async move {
            let claim = host.create(new_run(plan?, Workspace::Empty)).await?;
            let ending = carry_claim(&host, claim, grants, Vec::new()).await?;
            ensure!(matches!(&ending, Ending::Waiting(waits) if waits.gates.len() == 1), "it ended as {ending:?}");
            anyhow::Ok(())
        });
        async move { task.await? }
    });
    runs.buffer_unordered(CONCURRENCY).try_for_each(|()| async { Ok(()) }).await
}

async fn list(report: &mut Report, bench: &NoopHome, database: &mut Database) -> anyhow::Result<()> {
    let [mut ours, mut floor]: [Samples; 2] = Default::default();
    let expected = (WARM_UP + RUNS) as usize;
    for _ in 0..LISTS {
        let began = Instant::now();
        let gates = bench.home.host.store().gates(None).await?;
        ours.time(began.elapsed());
        ensure!(gates.len() == expected, "{} gates are open", gates.len());
        let began = Instant::now();
        let rows = database.gates().await?;
        floor.time(began.elapsed());
        ensure!(rows == expected, "the floor reads {rows} gates");
    }
    let figure = Figure::new(GROUP, format!("list {expected} open gates"), Unit::Seconds, &ours);
    report.add(figure.over("the same query, rows not read", &floor));
    Ok(())
}

async fn approve(report: &mut Report, bench: &NoopHome, bare: &mut Bare) -> anyhow::Result<()> {
    let host = &bench.home.host;
    let waiting: Vec<RunId> = host.store().gates(None).await?.into_iter().map(|gate| gate.run).collect();
    let [mut ours, mut floor]: [Samples; 2] = Default::default();
    // Spread over all of them.
    for run in waiting.iter().step_by(waiting.len() / APPROVALS).take(APPROVALS) {
        let request = Request::Vote { step: "s1".parse()?, vote: Vote::Approve, comment: None, email: None };
        let asked = vec![Asked { request, by: "bench".to_owned() }];
        let began = Instant::now();
        let claim = host.take_up(run).await?;
        let ending = carry_claim(host, claim, bench.grants(), asked).await?;
        ours.time(began.elapsed());
        ensure!(ending == Ending::Finished(Outcome::Succeeded), "it ended as {ending:?}");
        // The vote with the intent of the step after it, and that step's end with the run's.
        floor.time(bare.commits(2).await?);
    }
    let figure = Figure::new(GROUP, "take one up, approve it, and carry out what follows", Unit::Seconds, &ours);
    report.add(figure.over("two commits of one row", &floor));
    Ok(())
}

/// What a folder with all that is in it takes of the disk, in bytes.
fn on_disk(folder: &Path) -> anyhow::Result<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut folders = vec![folder.to_owned()];
    let mut blocks = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let (path, meta) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            blocks += meta.blocks();
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    // The kernel counts in units of 512 bytes, whatever the file system's are.
    Ok((blocks * 512) as f64)
}
