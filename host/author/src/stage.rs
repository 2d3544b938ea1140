//! Where a case is played: the real sandbox, and capabilities that are rehearsed.
//!
//! The log, the masker and the plugin's own store are the real ones, over a folder that ends with the case. Everything that
//! reaches outside is answered from the case's session; with [`Mode::Record`] it is real, and written down.

use crate::{
    AuthorError,
    build::{self, Built},
    case::{Found, Outcome, Ran},
};
use async_trait::async_trait;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use windlass_capabilities::{
    DockerSettings, EgressPolicy, Journal, Keep, KeySource, LogSink, LogStream, Masker, StepScope, StepTools, Toolbox,
    ToolboxSettings,
};
use windlass_contract::{
    Capabilities, Descriptor, Digest, Permissions, PluginRef, RunId, SecretValue, StepCall, StepType, capability::State,
};
use windlass_package::manifest::Manifest;
use windlass_rehearse::{Recorder, Redactor, Replayer, Session};
use windlass_runtime::{CallError, CallLimits, Plugin, Runtime, Severity};
use windlass_store::Store;

/// How long a replayed case may take, wall clock: nothing is waited for, so what takes longer does not end.
pub const REPLAY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a recorded case may take, wall clock: it may fetch an image and run it.
pub const RECORD_DEADLINE: Duration = Duration::from_secs(600);
/// How much of a plugin's log a case keeps, in bytes; what comes after it is not compared.
pub const LOG_KEPT_BYTES: usize = 4 << 20;

/// The run and the step that a plugin sees itself in: the same each time, so that a session can hold what it makes of them.
const RUN: &str = "rehearsal";
const STEP: &str = "rehearsal";

/// What a plugin may really reach while a case is recorded.
#[derive(Debug, Clone)]
pub struct RealWorld {
    /// The folder of the vault whose secrets are used.
    pub home: PathBuf,
    /// Its key.
    pub vault_key: KeySource,
    /// Which container engine.
    pub docker: DockerSettings,
    /// What requests may reach beyond the public internet.
    pub egress: EgressPolicy,
}

/// Whether a case's calls are answered or written down.
#[derive(Debug, Clone)]
pub enum Mode {
    /// From the session, reaching nothing.
    Replay,
    /// By the real capabilities, into the session.
    Record(RealWorld),
}

/// A built plugin that can be called.
pub struct Subject {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its component.
    pub built: Built,
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// How long its compilation took; as long as reading the cache where it had been compiled.
    pub compile: Duration,
    plugin: Plugin,
}

impl Subject {
    /// Compiles the component that the manifest in `folder` names, and asks it what it provides.
    ///
    /// # Errors
    /// When it is not built, not a plugin, or does not describe itself.
    pub async fn open(runtime: &Runtime, folder: &Path, manifest: Manifest) -> Result<Self, AuthorError> {
        let built = build::look(folder, &manifest)?;
        let report = runtime.compile(&built.path, built.digest).await?;
        let plugin = PluginRef { name: manifest.name.clone(), version: manifest.version.clone(), digest: built.digest };
        let plugin = runtime.load(plugin)?;
        let descriptor = runtime.describe(&plugin).await?;
        Ok(Subject { manifest, built, descriptor, compile: report.duration, plugin })
    }

    /// Which plugin it is.
    pub fn plugin(&self) -> &PluginRef {
        self.plugin.plugin()
    }

    fn step(&self, found: &Found) -> Result<&StepType, AuthorError> {
        let bad = |why| AuthorError::BadCase { file: found.file.clone(), why };
        let names = || self.descriptor.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
        match (&found.case.step, self.descriptor.steps.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(bad(format!("the plugin has several step types ({}); say which with `step`", names()))),
            (Some(name), steps) => steps
                .iter()
                .find(|step| step.name == *name)
                .ok_or_else(|| bad(format!("the plugin has no step type {name}; it has {}", names()))),
        }
    }
}

/// Plays one case.
///
/// # Errors
/// When it cannot be played: it is not valid, its session cannot be read or written, or what it is played with is not there. A
/// plugin that fails or traps is no error but what came of it.
pub async fn play(runtime: &Runtime, subject: &Subject, found: &Found, mode: &Mode) -> Result<Ran, AuthorError> {
    let step = subject.step(found)?;
    let config = Value::Object(found.case.config.clone());
    let mut schema = against(&step.config_schema, &config, "config");
    let diagnostics = validate(runtime, subject, step, &config).await?;

    let place = tempfile::tempdir().map_err(|error| AuthorError::io("make", "a temporary folder", error))?;
    let lines = Arc::new(Lines::default());
    let (report, difference) = match mode {
        Mode::Replay => {
            let session = match found.session_file() {
                file if file.is_file() || found.case.session.is_some() => Some(Session::load(&file)?),
                _ => None,
            };
            let permissions = Permissions { state: subject.manifest.permissions.state, ..Permissions::default() };
            let scene = Scene::open(place.path(), subject, found, &lines, permissions, None).await?;
            let values = found.case.secrets.iter();
            let values: BTreeMap<_, _> =
                values.map(|(name, value)| (name.to_string(), SecretValue::new(value.clone().into_bytes()))).collect();
            let replayer = Replayer::new(session, Arc::new(Veiled(scene.masker.clone())), values);
            let interfaces = subject.manifest.permissions.interfaces();
            let capabilities = replayer.stand_in(&interfaces, scene.tools.capabilities());
            let report = scene.call(runtime, subject, step, found, capabilities, REPLAY_DEADLINE).await?;
            (report, replayer.difference())
        }
        Mode::Record(world) => {
            let permissions = subject.manifest.permissions.clone();
            let scene = Scene::open(place.path(), subject, found, &lines, permissions, Some(world)).await?;
            let recorder = Recorder::new(Arc::new(Veiled(scene.masker.clone())));
            let capabilities = recorder.wrap(scene.tools.capabilities());
            let report = scene.call(runtime, subject, step, found, capabilities, RECORD_DEADLINE).await;
            scene.strike().await?;
            let session = recorder.session();
            let file = found.session_file();
            // A plugin that asks for nothing needs no file to say so.
            if !session.calls().is_empty() || file.is_file() {
                session.save(&file)?;
            }
            (report?, None)
        }
    };
    let (outcome, error) = match report.result {
        Ok(()) => (Outcome::Succeeded, String::new()),
        Err(CallError::Step(error)) => (Outcome::of(error.kind), error.message),
        Err(error @ CallError::DeadlineExceeded { .. }) => (Outcome::TimedOut, error.to_string()),
        Err(error) => (Outcome::Trapped, error.to_string()),
    };
    let outputs = Value::Object(report.outputs.clone());
    if outcome == Outcome::Succeeded && !step.output_schema.is_null() {
        schema.extend(against(&step.output_schema, &outputs, "outputs"));
    }
    let log = lines.text();
    Ok(Ran { outcome, error, outputs: report.outputs, log, diagnostics, schema, difference })
}

/// Where a value does not satisfy a schema of the plugin, or the schema is none.
fn against(schema: &Value, value: &Value, what: &str) -> Vec<String> {
    match jsonschema::validator_for(schema) {
        Err(error) => vec![format!("the plugin's schema of {what} is not a JSON Schema: {error}")],
        Ok(validator) => {
            let place = |path: String| if path.is_empty() { what.to_owned() } else { format!("{what}{path}") };
            validator.iter_errors(value).map(|e| format!("{}: {e}", place(e.instance_path().to_string()))).collect()
        }
    }
}

async fn validate(
    runtime: &Runtime,
    subject: &Subject,
    step: &StepType,
    config: &Value,
) -> Result<Vec<(bool, String)>, AuthorError> {
    struct Silent;
    impl windlass_contract::capability::Log for Silent {
        fn write(&self, _: windlass_contract::capability::LogEntry) {}
    }
    let found = runtime.validate(&subject.plugin, &step.name, config, Arc::new(Silent)).await?;
    let text =
        |path: &str, message: &str| if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") };
    Ok(found.into_iter().map(|each| (each.severity == Severity::Error, text(&each.path, &each.message))).collect())
}

/// The host's parts of one case.
struct Scene {
    toolbox: Toolbox,
    tools: StepTools,
    masker: Masker,
    run: RunId,
    /// Whether something real may have been made.
    is_real: bool,
}

impl Scene {
    async fn open(
        place: &Path,
        subject: &Subject,
        found: &Found,
        lines: &Arc<Lines>,
        permissions: Permissions,
        world: Option<&RealWorld>,
    ) -> Result<Scene, AuthorError> {
        let bad = |error: windlass_contract::NameError| AuthorError::BadCase {
            file: found.file.clone(),
            why: error.to_string(),
        };
        let nowhere = || KeySource::File(place.join("vault.key"));
        let settings = ToolboxSettings {
            data_dir: place.to_owned(),
            vault_key: world.map_or_else(nowhere, |world| world.vault_key.clone()),
            docker: world.map(|world| world.docker.clone()).unwrap_or_default(),
            egress: world.map(|world| world.egress.clone()).unwrap_or_default(),
            // One name for each plugin's folder, and none that a host has: nobody else sweeps what is made here.
            owner: format!("rehearsal-{}", Digest::of(found.file.as_os_str().as_encoded_bytes()).short()),
        };
        // The rehearsal's artifacts end with it; its secrets are those of the home, read where they are.
        if let Some(world) = world {
            let (vault, link) = (world.home.join("vault.json"), place.join("vault.json"));
            if vault.is_file() {
                let vault = vault.canonicalize().map_err(|error| AuthorError::io("find", &vault, error))?;
                std::os::unix::fs::symlink(&vault, &link).map_err(|error| AuthorError::io("link", link, error))?;
            }
        }
        let toolbox = Toolbox::new(settings)?;
        // A run of its own on the engine: what an earlier recording left there is not adopted.
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let run: RunId = format!("r{unique}").parse().map_err(bad)?;
        if world.is_some() && permissions.containers.is_some() {
            // Removes what a recording left that was killed. Where no engine answers, there is nothing, and a plugin that asks for one
            // is told.
            let _ = toolbox.sweep(|_| Keep::Nothing).await;
        }
        let state: Option<Arc<dyn State>> = if permissions.state {
            let store = Store::open(&place.join("store")).await?;
            Some(store.plugin_state(&subject.manifest.name)?)
        } else {
            None
        };
        let masker = Masker::new();
        let step = subject.step(found)?;
        let tools = toolbox.for_step(StepScope {
            call: StepCall { run: run.clone(), ..call(subject, step, found).map_err(bad)? },
            permissions,
            log: lines.clone(),
            journal: Arc::new(NoJournal),
            masker: masker.clone(),
            state,
            deadline: Instant::now() + RECORD_DEADLINE,
            created_before: Vec::new(),
            volumes: BTreeMap::new(),
            previous_run: None,
            environment: None,
        });
        Ok(Scene { toolbox, tools, masker, run, is_real: world.is_some() })
    }

    async fn call(
        &self,
        runtime: &Runtime,
        subject: &Subject,
        step: &StepType,
        found: &Found,
        capabilities: Capabilities,
        deadline: Duration,
    ) -> Result<windlass_runtime::RunReport, AuthorError> {
        let call = call(subject, step, found)
            .map_err(|error| AuthorError::BadCase { file: found.file.clone(), why: error.to_string() })?;
        Ok(runtime.run(&subject.plugin, &call, capabilities, CallLimits::within(deadline)).await)
    }

    /// Removes what was made on the container engine.
    async fn strike(&self) -> Result<(), AuthorError> {
        if self.is_real && self.toolbox.has_engine() {
            self.tools.stop(Duration::ZERO).await;
            self.tools.remove().await?;
            self.toolbox.remove_run(&self.run, Keep::Nothing).await?;
        }
        Ok(())
    }
}

/// The call as the plugin sees it.
fn call(subject: &Subject, step: &StepType, found: &Found) -> Result<StepCall, windlass_contract::NameError> {
    Ok(StepCall {
        plugin: subject.plugin().clone(),
        step_type: step.name.clone(),
        run: RUN.parse()?,
        step: STEP.parse()?,
        attempt: found.case.attempt,
        config: Value::Object(found.case.config.clone()),
    })
}

/// Keeps what the plugin itself wrote; what containers printed is theirs, and not there in a replay.
#[derive(Default)]
struct Lines(Mutex<Vec<u8>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl LogSink for Lines {
    fn append(&self, stream: LogStream, bytes: &[u8]) {
        if stream == LogStream::Plugin {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LOG_KEPT_BYTES.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
    }
}

/// A rehearsal is not taken up after a crash.
struct NoJournal;

#[async_trait]
impl Journal for NoJournal {
    async fn container_created(&self, _: u32, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// The host's masker, as sessions need it.
struct Veiled(Masker);

impl Redactor for Veiled {
    fn learn(&self, value: &SecretValue) {
        self.0.add(value);
    }
    fn redact(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut stream, mut out) = (self.0.stream(), Vec::with_capacity(bytes.len()));
        stream.push(bytes, &mut out);
        stream.finish(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_too_long_is_cut() {
        let lines = Lines::default();
        lines.append(LogStream::Stdout, b"a container's");
        lines.append(LogStream::Plugin, &vec![b'x'; LOG_KEPT_BYTES - 1]);
        lines.append(LogStream::Plugin, b"yz");
        assert_eq!(lines.text().len(), LOG_KEPT_BYTES);
        assert!(lines.text().ends_with("xy"));
    }

    #[test]
    fn what_a_schema_says() {
        let schema =
            serde_json::json!({ "type": "object", "required": ["who"], "properties": { "who": { "type": "string" } } });
        let check = |value: Value| against(&schema, &value, "config").join("; ");
        assert_eq!(check(serde_json::json!({ "who": "Ada" })), "");
        assert_eq!(check(serde_json::json!({ "who": 1 })), "config/who: 1 is not of type \"string\"");
        assert_eq!(check(serde_json::json!({})), "config: \"who\" is a required property");
        assert!(against(&serde_json::json!({ "type": 3 }), &Value::Null, "config")[0].contains("not a JSON Schema"));
    }
}
