//! The list of 10,000 runs of a server, by HTTP: its first page, pages that are filtered, the one at its end, and the pipelines with how they fare.

use super::{
    figures::{Figure, Report, Samples, Unit},
    streams::Served,
    webhooks::Hook,
};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};

const GROUP: &str = "server: a list of 10,000 runs";
const RUNS: i64 = 10_000;
/// Runs of the pipeline that has few of them.
const FEW: i64 = 100;
/// So often each page is asked for.
const TIMES: usize = 300;
/// What the design promises of a page.
const PROMISED: Duration = Duration::from_millis(20);
/// The pipelines: they end at once and need no container; who is below 0 is rejected.
const STEPS: &str = "inputs:
  n: { type: number, required: true }
steps:
  - { name: check, type: step.gate, config: { type: automated, conditions: [\"inputs.n >= 0\"] } }
";

/// Measures all of it.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let served = tokio::task::block_in_place(Served::start)?;
    let (many, few) = (RUNS - FEW, FEW);
    for (name, count) in [("many", many), ("few", few)] {
        let hook = Hook::deploy(&served, name, STEPS).await?;
        hook.send((1..=count).map(|n| if n % 10 == 0 { -n } else { n })).await?;
        hook.begun(&served).await?;
    }
    while !page(&served, "/api/v1/runs?status=queued,running&limit=1").await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let end = walk(&served).await?;
    let pages = [
        ("the first page of 50", "/api/v1/runs?limit=50".to_owned(), 50),
        ("the rejected ones among them", "/api/v1/runs?outcome=rejected&limit=50".to_owned(), 50),
        ("the runs of one pipeline", "/api/v1/runs?workflow=few&limit=50".to_owned(), 50),
        ("none that is under way", "/api/v1/runs?status=running&limit=50".to_owned(), 0),
        ("the last page", end, 50),
        ("the pipelines, with how their last runs went", "/api/v1/workflows".to_owned(), 2),
    ];
    for (what, path, count) in pages {
        let [mut ours, mut floor]: [Samples; 2] = Default::default();
        for _ in 0..TIMES {
            let began = Instant::now();
            let items = page(&served, &path).await?;
            ours.time(began.elapsed());
            ensure!(items.len() == count, "{path} has {} entries", items.len());
            let began = Instant::now();
            served.http.get(format!("{}/health/live", served.url)).send().await?.bytes().await?;
            floor.time(began.elapsed());
        }
        let holds = ours.at(0.99) <= PROMISED.as_secs_f64();
        let figure = Figure::new(GROUP, what, Unit::Seconds, &ours).over("a request that asks nothing", &floor);
        report.add(figure.target("p99 ≤ 20 ms", holds));
    }
    Ok(())
}

/// The entries of a page.
async fn page(served: &Served, path: &str) -> anyhow::Result<Vec<Value>> {
    Ok(serde_json::from_value(whole(served, path).await?["items"].take())?)
}

async fn whole(served: &Served, path: &str) -> anyhow::Result<Value> {
    let answer = served.http.get(format!("{}{path}", served.url)).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{path} answered {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Goes through all pages: each run is there once. Gives the last page.
async fn walk(served: &Served) -> anyhow::Result<String> {
    let mut seen = std::collections::HashSet::new();
    let mut path = "/api/v1/runs?limit=50".to_owned();
    loop {
        let page = whole(served, &path).await?;
        for run in page["items"].as_array().context("a page has entries")? {
            ensure!(seen.insert(run["id"].to_string()), "a run is in the list twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/v1/runs?limit=50&cursor={next}"),
            None => break,
        }
    }
    ensure!(seen.len() as i64 == RUNS, "the list has {} runs", seen.len());
    Ok(path)
}
