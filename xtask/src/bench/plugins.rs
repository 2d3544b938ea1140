//! The plugins in each language: how large, how long to compile, to load and to call.
//!
//! A call is always fresh: a new store and a new instance, gone afterwards. There is no warm one to measure, by design.

use super::{
    figures::{Figure, Report, Samples, Unit},
    home::{Home, reference, runtime},
    root,
};
use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use windlass_capabilities::{Journal, LogSink, LogStream, Masker, StepScope};
use windlass_contract::{
    Permissions, StepCall,
    capability::{Log, LogEntry},
    permissions::{ArtifactsScope, ContainersScope, HttpScope, Pattern},
};
use windlass_runtime::{CallError, CallLimits, Plugin, StepErrorKind};

/// Compilations, each into an empty cache.
const COMPILES: usize = 5;
/// Loads, each by a new sandbox.
const LOADS: usize = 100;
const CALLS: usize = 200;

/// No plugin has it; all refuse it, whatever the configuration.
const UNKNOWN: &str = "step.unknown";

/// Name, path from the top of the repository, and whether the file is one of `examples/plugins`.
const PLUGINS: [(&str, &str, bool); 6] = [
    ("windlass:shell", "plugins/target/wasm32-wasip2/release/windlass_shell.wasm", false),
    ("windlass:artifact", "plugins/target/wasm32-wasip2/release/windlass_artifact.wasm", false),
    ("examples:greet-rust", "examples/plugins/rust/dist/greet-rust.wasm", true),
    ("examples:greet-js", "examples/plugins/js/dist/greet-js.wasm", true),
    ("examples:greet-python", "examples/plugins/python/dist/greet-python.wasm", true),
    ("examples:greet-c", "examples/plugins/c/dist/greet-c.wasm", true),
];

/// The bytes of a component that `scripts/build-plugins.sh --all` makes.
pub(crate) fn component(path: &str) -> anyhow::Result<Vec<u8>> {
    let words = || format!("there is no {path}; run scripts/build-plugins.sh --all");
    std::fs::read(root().join(path)).with_context(words)
}

/// What the plugins of this repository ask for, or more.
pub(crate) fn permissions() -> Permissions {
    let from_config = || [Pattern::FromConfig].into();
    Permissions {
        containers: Some(ContainersScope {
            images: from_config(),
            network: true,
            detached: false,
            ports: false,
            memory_mib: MEMORY_MIB,
            cpu_millis: CPU_MILLIS,
        }),
        artifacts: Some(ArtifactsScope { read: true, write: true }),
        secrets: from_config(),
        http: Some(HttpScope { hosts: from_config(), methods: ["GET".to_owned()].into() }),
        ..Permissions::default()
    }
}

/// What `windlass:shell` asks for; a container that asks for nothing gets all of it.
pub(crate) const MEMORY_MIB: u32 = 8192;
pub(crate) const CPU_MILLIS: u32 = 4000;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let home = Home::open().await?;
    for (name, path, example) in PLUGINS {
        one(report, &home, name, path, example).await.with_context(|| name.to_owned())?;
    }
    Ok(())
}

async fn one(report: &mut Report, home: &Home, name: &'static str, path: &str, example: bool) -> anyhow::Result<()> {
    let wasm = component(path)?;
    let plugin = reference(name, &wasm)?;
    let file = root().join(path);
    let mut compile = Samples::default();
    let mut cache = PathBuf::new();
    let mut code = 0;
    for n in 0..COMPILES {
        cache = home.path().join(format!("{}-{n}", plugin.digest.short()));
        let done = runtime(cache.clone())?.compile(&file, plugin.digest).await?;
        compile.time(done.duration);
        code = done.cwasm_bytes;
    }
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let size = |what, bytes: u64| Figure::counted(name, what, Unit::Bytes, bytes as f64);
    report.add(size("component", wasm.len() as u64));
    report.add(size("compiled", code));
    report.add(Figure::new(name, "compile, in the child", Unit::Seconds, &compile));

    let [mut load, mut again, mut read]: [Samples; 3] = Default::default();
    let mut last = None;
    for _ in 0..LOADS {
        let fresh = runtime(cache.clone())?;
        let began = Instant::now();
        let loaded = fresh.load(plugin.clone())?;
        load.time(began.elapsed());
        let began = Instant::now();
        fresh.load(plugin.clone())?;
        again.time(began.elapsed());
        let began = Instant::now();
        std::hint::black_box(std::fs::read(compiled_file(&cache)?)?);
        read.time(began.elapsed());
        last = Some((fresh, loaded));
    }
    let (runtime, loaded) = last.context("no load")?;
    let holds = load.at(0.99) <= 1e-3;
    let figure = Figure::new(name, "load, by a new sandbox", Unit::Seconds, &load).over("reading the file", &read);
    report.add(figure.target("≤ 1 ms p99", holds));
    report.add(Figure::new(name, "load, mapped already", Unit::Seconds, &again));

    let descriptor = runtime.describe(&loaded).await?;
    let step_type = descriptor.steps.first().context("it has no step type")?.name.clone();
    let [mut describe, mut validate]: [Samples; 2] = Default::default();
    for _ in 0..CALLS {
        let began = Instant::now();
        runtime.describe(&loaded).await?;
        describe.time(began.elapsed());
        let began = Instant::now();
        runtime.validate(&loaded, &step_type, &json!({ "name": "bench" }), Arc::new(Nowhere)).await?;
        validate.time(began.elapsed());
    }
    let caller = Caller { home, runtime, loaded };
    let mut refused = Samples::default();
    for n in 0..CALLS {
        let (took, result) = caller.call(n, UNKNOWN, json!({})).await?;
        let expected = matches!(&result, Err(CallError::Step(error)) if error.kind == StepErrorKind::InvalidConfig);
        ensure!(expected, "an unknown step type gave {result:?}");
        refused.time(took);
    }
    report.add(Figure::new(name, "fresh call: run, refuses an unknown step type", Unit::Seconds, &refused));
    if example {
        let mut greet = Samples::default();
        for n in 0..CALLS {
            let (took, result) = caller.call(n, &step_type, json!({ "name": "bench" })).await?;
            ensure!(result.is_ok(), "greeting gave {result:?}");
            greet.time(took);
        }
        let figure = Figure::new(name, "fresh call: run, greets and keeps an artifact", Unit::Seconds, &greet);
        report.add(figure.note("of which the artifact's way to the disk is most"));
    }
    report.add(Figure::new(name, "fresh call: describe", Unit::Seconds, &describe));
    report.add(Figure::new(name, "fresh call: validate", Unit::Seconds, &validate));
    Ok(())
}

/// The one file of compiled code in a cache folder.
fn compiled_file(cache: &std::path::Path) -> anyhow::Result<PathBuf> {
    let mut files = std::fs::read_dir(cache)?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|ending| ending == "cwasm")).context("nothing was compiled")
}

/// Calls `run` with the real capabilities, and writes down nothing.
struct Caller<'a> {
    home: &'a Home,
    runtime: windlass_runtime::Runtime,
    loaded: Plugin,
}

impl Caller<'_> {
    async fn call(
        &self,
        n: usize,
        step_type: &str,
        config: Value,
    ) -> anyhow::Result<(Duration, Result<(), CallError>)> {
        let limits = CallLimits::within(Duration::from_secs(60));
        let call = StepCall {
            plugin: self.loaded.plugin().clone(),
            step_type: step_type.to_owned(),
            run: format!("r{n}").parse()?,
            step: "bench".parse()?,
            attempt: 1,
            config,
        };
        let tools = self.home.host.toolbox().for_step(StepScope {
            call: call.clone(),
            permissions: permissions(),
            log: Arc::new(Nowhere),
            journal: Arc::new(Nowhere),
            masker: Masker::new(),
            state: None,
            deadline: Instant::now() + limits.deadline,
            created_before: Vec::new(),
            volumes: Default::default(),
            previous_run: None,
            environment: None,
        });
        let began = Instant::now();
        let done = self.runtime.run(&self.loaded, &call, tools.capabilities(), limits).await;
        Ok((began.elapsed(), done.result))
    }
}

/// Where nothing is kept.
struct Nowhere;

impl Log for Nowhere {
    fn write(&self, _: LogEntry) {}
}

impl LogSink for Nowhere {
    fn append(&self, _: LogStream, _: &[u8]) {}
}

#[async_trait]
impl Journal for Nowhere {
    async fn container_created(&self, _: u32, _: &str) -> Result<(), String> {
        Err("the benchmark of calls starts no containers".to_owned())
    }
}
