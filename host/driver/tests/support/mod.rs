//! A home, a sandbox with one small guest, and runs of it. Real SQLite, real files, real wasmtime; no container engine.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test programs")]

use serde_json::{Map, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use windlass_capabilities::{DockerSettings, EgressPolicy, KeySource, ToolboxSettings};
use windlass_contract::{Digest, EffectClass, Permissions, PluginRef, StepName};
use windlass_driver::{
    Asked, Claim, DriverError, Ending, Grants, Host, HostSettings, Labels, NewRun, Notice, Request, Stop, Terms,
    Workspace, carry_out,
};
use windlass_engine::{Decision, Origin, Run};
use windlass_manifest::plan::{DEFAULT_TRANSITIONS, OnFailure, Plan, PluginWork, Retry, State, Step, Volume, Work};
use windlass_runtime::{Runtime, Settings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// What `recover` answers, by its place in `wit/`.
pub const RERUN: u32 = 0;
pub const SUCCEEDED: u32 = 1;
pub const FAILED: u32 = 2;
pub const UNKNOWN: u32 = 3;

/// What `run` does.
pub const ENDS: &str = "";
pub const SPINS: &str = "(loop $again (br $again))";

/// A step plugin that imports nothing.
fn guest(run: &str, recover: u32) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).expect("the contract");
    let world = resolve.select_world(&[package], Some("step-plugin")).expect("a world");
    let descriptor =
        r#"{"steps":[{"name":"step.test","summary":"A test.","effect":"at-most-once","config_schema":{}}]}"#;
    let (text, length) = (descriptor.replace('"', "\\\""), descriptor.len());
    let core = format!(
        r#"(module
        (memory (export "memory") 1)
        (global $heap (mut i32) (i32.const 32768))
        (data (i32.const 512) "{text}")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "windlass:plugin/step@0.1.0#describe") (result i32)
            (i32.store (i32.const 1024) (i32.const 512))
            (i32.store (i32.const 1028) (i32.const {length}))
            (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32) {run} (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const {recover})))"#
    );
    let mut module = wat::parse_str(core).expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default().validate(true).module(&module).expect("a module").encode().expect("a component")
}

/// A home with a host on it. Another host on the same folder is what comes after a crash.
pub struct Home {
    pub folder: Arc<tempfile::TempDir>,
    pub host: Host,
    /// The guests, each of which is granted nothing; none of them imports anything.
    known: BTreeSet<Digest>,
}

impl Home {
    pub async fn new() -> Home {
        Home::with_places(8).await
    }

    /// With so many places in the sandbox.
    pub async fn with_places(places: usize) -> Home {
        Home::open(Arc::new(tempfile::tempdir().expect("a folder")), places).await
    }

    /// The next host on the same home, after this one has let go of it or has died.
    pub async fn again(&self) -> Home {
        let mut again = Home::open(Arc::clone(&self.folder), 8).await;
        again.known = self.known.clone();
        again
    }

    async fn open(folder: Arc<tempfile::TempDir>, concurrency: usize) -> Home {
        let path = folder.path().to_owned();
        let compiler = env!("CARGO_BIN_EXE_windlass-driver-compile-child").into();
        let runtime =
            Runtime::new(Settings { cache_dir: path.join("cache"), compiler, concurrency }).expect("a runtime");
        let toolbox = ToolboxSettings {
            data_dir: path.clone(),
            vault_key: KeySource::File(path.join("key")),
            // Nobody answers there, and nobody is to be asked.
            docker: DockerSettings { host: Some(format!("unix://{}", path.join("no-engine").display())) },
            egress: EgressPolicy::default(),
            owner: "test".to_owned(),
        };
        let host = Host::open(HostSettings { home: path, toolbox }, runtime).await.expect("a host");
        Home { folder, host, known: BTreeSet::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A step of a guest that does this, compiled and granted nothing, which is all it asks for.
    pub async fn step(&mut self, name: &str, run: &str, recover: u32) -> Step {
        let wasm = guest(run, recover);
        let digest = Digest::of(&wasm);
        let path = self.path().join(format!("{}.wasm", digest.hex()));
        std::fs::write(&path, &wasm).expect("a file");
        self.host.runtime().compile(&path, digest).await.expect("it compiles");
        self.known.insert(digest);
        Step {
            name: self::name(name),
            work: Work::Plugin(PluginWork {
                plugin: PluginRef {
                    name: "acme:x".parse().expect("a name"),
                    version: "0.1.0".parse().expect("a version"),
                    digest,
                },
                step_type: "step.test".to_owned(),
                effect: EffectClass::AtMostOnce,
                config: json!({}),
                treatment: BTreeMap::new(),
                typed: BTreeMap::new(),
            }),
            needs: Vec::new(),
            condition: None,
            timeout_ms: 60_000,
            retry: Retry::default(),
            on_failure: OnFailure::Stop,
        }
    }

    pub async fn create(&self, steps: Vec<Step>) -> Claim {
        self.host.create(new_run(steps)).await.expect("a run")
    }

    /// Carries a run out; fails rather than hang.
    pub async fn carry_out(
        &self,
        claim: Claim,
        asked: Vec<Asked>,
        stop: Stop,
    ) -> (Result<Ending, DriverError>, Vec<Notice>) {
        let (tell, mut told) = mpsc::unbounded_channel();
        let terms = Terms { asked, stop, ..self.terms(tell) };
        let carried = carry_out(&self.host, claim, terms);
        let ending = tokio::time::timeout(Duration::from_secs(60), carried).await.expect("it ends");
        let mut notices = Vec::new();
        while let Ok(notice) = told.try_recv() {
            notices.push(notice);
        }
        (ending, notices)
    }

    /// Every guest is granted nothing, and the run is left where it waits.
    pub fn terms(&self, notices: mpsc::UnboundedSender<Notice>) -> Terms {
        let grants: Grants = self.known.iter().map(|digest| (*digest, Permissions::default())).collect();
        Terms { grants, asked: Vec::new(), stop: Stop::default(), wait: false, notices }
    }

    pub async fn finish(&self, claim: Claim) -> Ending {
        self.carry_out(claim, Vec::new(), Stop::default()).await.0.expect("an ending")
    }
}

pub fn new_run(steps: Vec<Step>) -> NewRun {
    new_run_of(plan(vec![State::of("main", steps)]))
}

pub fn new_run_of(plan: Plan) -> NewRun {
    let origin = Origin { by: Some("starter".to_owned()), ..Origin::default() };
    NewRun { plan, inputs: Map::new(), file: None, workspace: Workspace::Empty, origin, labels: Labels::default() }
}

pub fn plan(states: Vec<State>) -> Plan {
    Plan {
        name: "demo".to_owned(),
        inputs: BTreeMap::new(),
        open_inputs: false,
        env: BTreeMap::new(),
        blackboard: Map::new(),
        volumes: BTreeMap::from([("workspace".to_owned(), Volume::default())]),
        states,
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency: None,
        workflows: BTreeMap::new(),
        strict: false,
    }
}

pub fn decide(step: &str, decision: Decision) -> Asked {
    Asked { request: Request::Decide { step: name(step), decision }, by: "me".to_owned() }
}

pub fn name(text: &str) -> StepName {
    text.parse().expect("a step name")
}

/// `STEP OUTCOME xATTEMPTS` for each step, and the run's own.
pub fn summary(run: &Run) -> String {
    let mut parts: Vec<String> = run
        .steps()
        .map(|step| {
            let outcome = step.outcome.map_or_else(|| format!("{:?}", step.state), |outcome| outcome.to_string());
            format!("{} {outcome} x{}", step.name, step.attempts.len())
        })
        .collect();
    parts.push(format!("= {}", run.outcome().map_or_else(|| run.status().to_string(), |outcome| outcome.to_string())));
    parts.join(", ")
}

pub fn set_effect(step: &mut Step, effect: EffectClass) {
    let Work::Plugin(work) = &mut step.work else { panic!("a step of a plugin") };
    work.effect = effect;
}

/// Whether an event of this kind has been told.
pub fn is_recorded(notice: &Notice, kind: &str) -> bool {
    matches!(notice, Notice::Recorded { event, .. } if event.kind.name() == kind)
}
