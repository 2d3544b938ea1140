//! Searching a registry of 10,000 and of 100,000 plugins, beside an answer of the same bytes from a bare server.

use super::{
    figures::{Figure, Report, Samples, Unit},
    served::{Served, registry_program},
};
use anyhow::ensure;
use std::{process::Command, time::Instant};

const SIZES: [usize; 2] = [10_000, 100_000];
/// How often each query is asked.
const ROUNDS: usize = 20;
/// What the design promises of the slow end, in seconds.
const PROMISED: f64 = 0.03;
/// Words that are everywhere, that are rare, that are none; the beginning of a word; with filters, in other orders, and all of it.
const QUERIES: [&str; 10] = [
    "q=plugin",
    "q=deploy",
    "q=deploy%20container",
    "q=dep",
    "q=s",
    "q=nothing-has-this-word",
    "q=deploy&kind=step",
    "q=deploy&capability=http",
    "q=deploy&sort=downloads",
    "",
];

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    for size in SIZES {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let mut command = Command::new(registry_program()?);
        let filled = command.args(["seed-bench", "--plugins", &size.to_string(), "--data"]).arg(&data).output()?;
        ensure!(filled.status.success(), "not filled: {}", String::from_utf8_lossy(&filled.stderr));
        let served = Served::ours(&data)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let [mut ours, mut floor]: [Samples; 2] = Default::default();
        let mut slowest = (0.0, "");
        for query in QUERIES {
            let url = format!("{}/api/v1/search?{query}", served.address);
            let body = http.get(&url).send().await?.error_for_status()?.bytes().await?;
            let bare = Served::bare(&body)?;
            let mut these = Samples::default();
            // The first of each opens a connection and warms up.
            for round in 0..=ROUNDS {
                let began = Instant::now();
                let answer = http.get(&url).send().await?.error_for_status()?.bytes().await?;
                let took = began.elapsed();
                ensure!(answer.len() == body.len(), "another answer to the same question");
                let began = Instant::now();
                http.get(&bare.address).send().await?.bytes().await?;
                if round > 0 {
                    ours.time(took);
                    these.time(took);
                    floor.time(began.elapsed());
                }
            }
            if these.p50() > slowest.0 {
                slowest = (these.p50(), query);
            }
        }
        let holds = ours.at(0.95) <= PROMISED;
        let what = format!("{size} plugins, {} queries in turns", QUERIES.len());
        let figure = Figure::new("search by HTTP, one after the other", what, Unit::Seconds, &ours);
        let figure = figure.over("the same bytes from a bare server", &floor).target("≤ 30 ms p95", holds);
        report.add(figure.note(format!("slowest query \"{}\": {:.1} ms p50", slowest.1, slowest.0 * 1e3)));
    }
    Ok(())
}
