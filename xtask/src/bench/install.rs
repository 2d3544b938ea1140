//! Installing a plugin: from nothing, and when all of it is there.
//!
//! When all is there the registry does not run: an install from the lock file that asked for anything would fail.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::runtime,
    plugins::component,
    registry::{publish_shell, token},
    served::Served,
};
use sha2::{Digest as _, Sha256};
use std::{path::Path, time::Instant};
use windlass_contract::Digest;
use windlass_package::{Consent, Home, Request, install, install::Options};

const GROUP: &str = "install the shell plugin";
const COLD: usize = 5;
const WARM: usize = 100;

async fn run(home: &Home, project: &Path, runtime: &windlass_runtime::Runtime, locked: bool) -> anyhow::Result<()> {
    let request: Request = "windlass:shell".parse()?;
    let options = Options { locked, ..Options::default() };
    install(home, project, runtime, &[request], options, Consent::Given).await?;
    Ok(())
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let token = token(&data)?;
    let served = Served::ours(&data)?;
    let publisher = Home::new(folder.path().join("publisher")).with_registry(&served.address);
    publish_shell(&publisher, &token, &folder.path().join("cache")).await?;
    let wasm = component("plugins/target/wasm32-wasip2/release/windlass_shell.wasm")?;

    let [mut cold, mut compile]: [Samples; 2] = Default::default();
    let mut last = None;
    for _ in 0..COLD {
        let place = tempfile::tempdir()?;
        let (home, project) = (place.path().join("home"), place.path().join("project"));
        std::fs::create_dir(&project)?;
        let home = Home::new(home).with_registry(&served.address);
        let sandbox = runtime(place.path().join("cache"))?;
        let began = Instant::now();
        run(&home, &project, &sandbox, false).await?;
        cold.time(began.elapsed());

        let alone = runtime(place.path().join("other-cache"))?;
        let file = place.path().join("alone.wasm");
        std::fs::write(&file, &wasm)?;
        let began = Instant::now();
        alone.compile(&file, Digest::of(&wasm)).await?;
        compile.time(began.elapsed());
        last = Some((place, home, project, sandbox));
    }
    drop(served);
    let figure = Figure::new(GROUP, "from nothing, with its compilation", Unit::Seconds, &cold);
    report.add(figure.over("compiling it", &compile));

    let Some((place, home, project, sandbox)) = last else { return Ok(()) };
    let [mut warm, mut hash]: [Samples; 2] = Default::default();
    for _ in 0..WARM {
        let began = Instant::now();
        run(&home, &project, &sandbox, true).await?;
        warm.time(began.elapsed());
        let began = Instant::now();
        let read = std::fs::read(place.path().join("alone.wasm"))?;
        std::hint::black_box(Sha256::digest(&read));
        hash.time(began.elapsed());
    }
    let holds = warm.p50() <= 5e-3;
    let figure = Figure::new(GROUP, "locked, all of it there: no request", Unit::Seconds, &warm);
    report.add(figure.over("reading and hashing the component", &hash).target("≤ 5 ms p50", holds));
    Ok(())
}
