//! A host that is made to die. It takes one pipeline of the corpus to its end, however often it is killed on the way and started again,
//! and prints what came of it.
//!
//!     crash-host prepare CACHE                 compiles the guests
//!     crash-host go CACHE HOME PIPELINE.yaml   begins the pipeline, or goes on with it
//!
//! Where it dies is said by `FAILPOINTS`, as for `windlass` itself. It has no container engine and no network: what its steps do is a
//! line in their log, and to fail until a given attempt. People are played by it too, in a fixed way: `ada` and `bob` approve, a gate
//! whose name begins with `refuse` is rejected, one that begins with `cancel` has the run cancelled, and questions get their answers
//! from the visit's number.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a helper of tests, whose output is read by one")]

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, process::ExitCode};
use tokio::sync::mpsc;
use windlass_capabilities::{DockerSettings, EgressPolicy, KeySource, ToolboxSettings};
use windlass_contract::{Digest, EffectClass, Permissions, PluginRef, RunId, StepType};
use windlass_driver::{
    Asked, Ending, Grants, Host, HostSettings, Labels, NewRun, Request, Stop, Terms, Workspace, carry_out,
};
use windlass_engine::{EventKind, Origin, Run, Vote};
use windlass_manifest::{Catalogue, InstalledStep, Loading, Source, Workflows, plan::Gate};
use windlass_runtime::{Runtime, Settings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The guests: `t:until1` succeeds at its first attempt, `t:until3` finds something unavailable before its third, which a retry is
/// for, and `t:never` always fails.
const GUESTS: [(&str, u32); 4] = [("t:until1", 1), ("t:until2", 2), ("t:until3", 3), ("t:never", u32::MAX)];

/// A step plugin that logs a line, and fails before an attempt.
fn guest(until: u32) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).expect("the contract");
    let world = resolve.select_world(&[package], Some("step-plugin")).expect("a world");
    // The cases `failed` and `unavailable` of the contract's step-error, by their places.
    let error = if until == u32::MAX { 1 } else { 3 };
    let until = until.cast_signed();
    let core = format!(
        r#"(module
        (import "windlass:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
        (import "windlass:plugin/inputs@0.1.0" "attempt" (func $attempt (result i32)))
        (memory (export "memory") 1)
        (global $heap (mut i32) (i32.const 32768))
        (data (i32.const 512) "the work is done")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "windlass:plugin/step@0.1.0#describe") (result i32) (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32)
            (call $log (i32.const 1) (i32.const 512) (i32.const 16) (i32.const 0) (i32.const 0))
            (if (i32.lt_u (call $attempt) (i32.const {until})) (then
                (i32.store8 (i32.const 1024) (i32.const 1))
                (i32.store8 (i32.const 1028) (i32.const {error}))
                (i32.store (i32.const 1032) (i32.const 512))
                (i32.store (i32.const 1036) (i32.const 16))))
            (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const 0)))"#
    );
    let mut module = wat::parse_str(core).expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default().validate(true).module(&module).expect("a module").encode().expect("a component")
}

/// What `prepare` has compiled.
fn plugins(cache: &Path) -> anyhow::Result<Vec<PluginRef>> {
    Ok(serde_json::from_slice(&std::fs::read(cache.join("plugins.json"))?)?)
}

async fn prepare(cache: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(cache)?;
    let runtime = runtime(cache)?;
    let mut plugins = Vec::new();
    for (name, until) in GUESTS {
        let wasm = guest(until);
        let plugin = PluginRef { name: name.parse()?, version: "0.1.0".parse()?, digest: Digest::of(&wasm) };
        let file = cache.join(format!("{}.wasm", plugin.digest.hex()));
        std::fs::write(&file, wasm)?;
        runtime.compile(&file, plugin.digest).await?;
        plugins.push(plugin);
    }
    Ok(std::fs::write(cache.join("plugins.json"), serde_json::to_vec(&plugins)?)?)
}

/// Each guest provides what containers and agents are in the states dialect too, so that the corpus can be written in both.
fn catalogue(plugins: &[PluginRef]) -> Catalogue {
    let step = |plugin: &PluginRef, name: &str| InstalledStep {
        plugin: plugin.clone(),
        step: StepType {
            name: name.to_owned(),
            summary: "Fails until an attempt.".to_owned(),
            docs: String::new(),
            effect: EffectClass::Idempotent,
            config_schema: json!({ "type": "object", "additionalProperties": true }),
            output_schema: Value::Null,
        },
    };
    let names = ["step.work", "step.container_run", "step.agent"];
    let each = plugins.iter().flat_map(|plugin| names.map(|name| step(plugin, name)));
    Catalogue::new(each.collect())
}

fn runtime(cache: &Path) -> anyhow::Result<Runtime> {
    let compiler = std::env::current_exe()?;
    Ok(Runtime::new(Settings { cache_dir: cache.to_owned(), compiler, concurrency: 16 })?)
}

async fn host(cache: &Path, home: &Path) -> anyhow::Result<Host> {
    let toolbox = ToolboxSettings {
        data_dir: home.to_owned(),
        vault_key: KeySource::File(home.join("key")),
        // Nobody answers there, and nobody is to be asked.
        docker: DockerSettings { host: Some(format!("unix://{}", home.join("no-engine").display())) },
        egress: EgressPolicy::default(),
        owner: "crash".to_owned(),
    };
    Ok(Host::open(HostSettings { home: home.to_owned(), toolbox }, runtime(cache)?).await?)
}

/// The pipeline with the workflows that stand beside it, as many runs of it as its first line says (`# runs: 2`).
async fn begin(host: &Host, plugins: &[PluginRef], file: &Path) -> anyhow::Result<()> {
    let read = |path: &Path| -> anyhow::Result<Source> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Source { name: path.display().to_string(), text })
    };
    let source = read(file)?;
    let mut workflows = Workflows::default();
    let mut open = windlass_manifest::references(&source);
    while let Some(id) = open.pop() {
        if !workflows.knows(&id) {
            let found = read(&file.with_file_name(format!("{id}.yaml")))?;
            open.extend(windlass_manifest::references(&found));
            workflows.insert(id, found);
        }
    }
    let catalogue = catalogue(plugins);
    let loading = Loading { catalogue: &catalogue, workflows: &workflows, pipeline: None };
    let loaded = windlass_manifest::load_with(&source, &loading);
    let plan = loaded.plan.with_context(|| windlass_manifest::render(&loaded.diagnostics, &source, false))?;
    let runs = source.text.lines().next().and_then(|line| line.strip_prefix("# runs: ")?.parse().ok()).unwrap_or(1);
    let there = host.store().runs(Default::default()).await?.iter().filter(|run| run.parent.is_none()).count();
    for _ in there..runs {
        let origin = Origin { by: Some("starter".to_owned()), ..Origin::default() };
        let inputs =
            windlass_manifest::bind_inputs(&plan, &BTreeMap::new()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        host.create(NewRun {
            plan: plan.clone(),
            inputs,
            file: None,
            workspace: Workspace::Empty,
            origin,
            labels: Labels::default(),
        })
        .await?;
    }
    Ok(())
}

/// What people ask of a run as it stands.
fn asked(run: &Run) -> Option<Asked> {
    let gate = run.gates().into_iter().next()?;
    let visit = run.visits().filter(|visit| visit.state == run.state_name()).count();
    let voted: Vec<&str> = gate.votes.iter().map(|vote| vote.by.as_str()).collect();
    let (vote, by) = match gate.gate {
        _ if gate.step.as_str().starts_with("cancel") => {
            return Some(Asked { request: Request::Cancel { reason: "enough".to_owned() }, by: "ada".to_owned() });
        }
        Gate::Question(_) => (Vote::Answer(if visit < 3 { "again" } else { "yes" }.to_owned()), "ada"),
        _ if gate.step.as_str().starts_with("refuse") => (Vote::Reject, "ada"),
        _ => (Vote::Approve, if voted.contains(&"ada") { "bob" } else { "ada" }),
    };
    Some(Asked {
        request: Request::Vote { step: gate.step.clone(), vote, comment: None, email: None },
        by: by.to_owned(),
    })
}

/// Takes every run to its end: always the oldest that can go on.
async fn finish(host: &Host, plugins: &[PluginRef]) -> anyhow::Result<()> {
    let grants: Grants = plugins.iter().map(|plugin| (plugin.digest, Permissions::default())).collect();
    for _ in 0..1000 {
        let unfinished = host.store().unfinished_runs().await?;
        if unfinished.is_empty() {
            return Ok(());
        }
        for id in unfinished {
            let claim = host.take_up(&id).await?;
            let asked: Vec<Asked> = asked(claim.run()).into_iter().collect();
            let waits_for_others = asked.is_empty();
            let (notices, _told) = mpsc::unbounded_channel();
            let terms = Terms { grants: grants.clone(), asked, stop: Stop::default(), wait: false, notices };
            match carry_out(host, claim, terms).await? {
                // A sub-run has to go on first.
                Ending::Waiting(waits) if waits_for_others && waits.gates.is_empty() => {}
                Ending::Waiting(_) | Ending::Finished(_) => break,
            }
        }
    }
    anyhow::bail!("the runs do not end")
}

/// What came of every run, with nothing in it that depends on when or how often the host has died; and that its logs are whole.
async fn record(host: &Host) -> anyhow::Result<Value> {
    let runs = host.store().runs(Default::default()).await?;
    let names: BTreeMap<&RunId, &str> = runs.iter().map(|run| (&run.id, run.name.as_str())).collect();
    let mut told = Vec::new();
    for summary in &runs {
        let run = host.read(&summary.id).await?;
        let events = host.store().events(&summary.id).await?;
        for visit in run.visits() {
            for step in &visit.steps {
                for attempt in &step.attempts {
                    let began = |kind: &EventKind| match kind {
                        EventKind::StepStarted { step: of, attempt: n }
                        | EventKind::GateOpened { step: of, attempt: n } => of == step.name && *n == attempt.attempt,
                        EventKind::SubRunStarted { step: of, attempt: n, .. } => {
                            of == step.name && *n == attempt.attempt
                        }
                        _ => false,
                    };
                    let times = events.iter().filter(|event| began(&event.kind)).count();
                    ensure!(
                        times == 1,
                        "{} attempt {} of {} began {times} times",
                        step.name,
                        attempt.attempt,
                        summary.id
                    );
                    let plugin =
                        run.plan().steps().any(|planned| planned.name == *step.name && planned.plugin().is_some());
                    if plugin && attempt.outcome.is_some_and(|outcome| outcome.name() != "cancelled") {
                        let mut lines = Vec::new();
                        let reader = host.logs().reader(&summary.id, step.name, attempt.attempt)?;
                        let mut reader = reader.context("a log is lost")?;
                        while let Some(frame) = reader.next_frame()? {
                            lines.extend_from_slice(&frame.bytes);
                        }
                        let lines = String::from_utf8_lossy(&lines).matches("the work is done").count();
                        ensure!(lines == 1, "the log of {} has its line {lines} times", step.name);
                    }
                }
            }
        }
        let visits: Vec<Value> = run
            .visits()
            .map(|visit| {
                let steps: Vec<Value> = visit
                    .steps
                    .iter()
                    .map(|step| {
                        let attempts: Vec<u32> = step.attempts.iter().map(|attempt| attempt.attempt).collect();
                        json!([step.name, step.outcome, step.reason.map(|reason| reason.kind.name()), attempts])
                    })
                    .collect();
                json!({ "state": visit.state, "outcome": visit.outcome, "feedback": visit.feedback, "steps": steps })
            })
            .collect();
        told.push(json!({
            "pipeline": summary.name,
            "parent": summary.parent.as_ref().and_then(|parent| names.get(parent)),
            "status": run.status(),
            "outcome": run.outcome(),
            "reason": run.reason().map(|reason| reason.kind.name()),
            "visits": visits,
        }));
    }
    // Two runs may be created in one millisecond: their order is not part of the record.
    told.sort_by_key(Value::to_string);
    ensure!(host.store().gates(None).await?.is_empty(), "a gate is still open");
    Ok(Value::from(told))
}

async fn go(args: &[String]) -> anyhow::Result<()> {
    match args {
        [command, cache] if command == "prepare" => prepare(Path::new(cache)).await,
        [command, cache, home, file] if command == "go" => {
            let host = host(Path::new(cache), Path::new(home)).await?;
            let plugins = plugins(Path::new(cache))?;
            begin(&host, &plugins, Path::new(file)).await?;
            finish(&host, &plugins).await?;
            println!("{}", record(&host).await?);
            Ok(())
        }
        _ => anyhow::bail!("crash-host prepare CACHE | go CACHE HOME PIPELINE.yaml"),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == windlass_runtime::CHILD_ARGUMENT) {
        return ExitCode::from(u8::try_from(windlass_runtime::compile_child_main(&args)).unwrap_or(1));
    }
    let _scenario = fail::FailScenario::setup();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(go(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
