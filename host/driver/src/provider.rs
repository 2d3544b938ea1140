//! Calls of providers: outside of any run, for an environment.
//!
//! To the container engine a call is what a run is: an id, under which everything is found that passes with it. Its mark and its
//! lock are a run's too, so what a process leaves that dies in a call, [`Host::sweep`] removes. What a provider detaches belongs to
//! the environment instead, and stays until the provider or [`Host::remove_deployments`] removes it.
//!
//! An environment is changed by one call at a time, in whatever process.
//!
//! A call goes on when nobody waits for its answer any more: a deployment must not end in the middle because a browser was closed.
//!
//! **Not here.** Whose environment it is, who may deploy there, and what came of it in the end: that is the caller's to keep.

use crate::{DriverError, Host, attempt::mask_values, host::new_run_id};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs::{File, TryLockError},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use windlass_capabilities::{
    Detached, Journal, Masker, StepScope,
    log::{LogSink, LogStream},
};
use windlass_contract::{
    Code, CodedError, Digest, EnvironmentName, Permissions, PluginRef, ProviderCall, RunId, StepCall,
    capability::{Log, LogEntry},
};
use windlass_runtime::{CallError, CallLimits, PluginDiagnostic, ProviderErrorKind};
use windlass_store::RunLock;

/// Lines of a call's log that are kept, the last ones: a page of them. A deployment's own log is the engine's.
pub const MAX_PROVIDER_LOG_LINES: usize = 200;

/// Bytes of one of these lines; what is over is left out. A line of a terminal, many times over.
pub const PROVIDER_LOG_LINE_BYTES: usize = 4096;

/// What came of a call of a provider.
#[derive(Debug, Clone)]
pub struct ProviderReport {
    /// The answer; `windlass_contract::provider` has the types of what verbs answer. Secrets are masked.
    pub result: Result<Map<String, Value>, ProviderFailure>,
    /// What the plugin and its containers wrote meanwhile: the last lines, masked.
    pub log: Vec<String>,
}

/// Why a provider did not answer. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderFailure {
    /// The case, where the provider itself reported it.
    pub kind: Option<ProviderErrorKind>,
    /// In words.
    pub message: String,
    code: Code,
    help: Option<String>,
    retryable: bool,
}

impl CodedError for ProviderFailure {
    fn code(&self) -> Code {
        self.code
    }
    fn help(&self) -> Option<String> {
        self.help.clone()
    }
    fn retryable(&self) -> bool {
        self.retryable
    }
}

impl ProviderFailure {
    fn of(error: &CallError, masker: &Masker) -> Self {
        let kind = match error {
            CallError::Provider(error) => Some(error.kind),
            _ => None,
        };
        ProviderFailure {
            kind,
            message: masker.mask(&error.to_string()),
            code: error.code(),
            help: error.help().map(|help| masker.mask(&help)),
            retryable: error.retryable(),
        }
    }
}

impl Host {
    /// Asks a provider to do something for an environment, within `deadline`.
    ///
    /// The configuration is one that `windlass_manifest::check_environment` finds no fault with: this is not checked here.
    ///
    /// `permissions` are what the plugin asks for and was granted. Where they say `from-config`, they mean what stands in the
    /// environment's configuration and in the call's arguments.
    ///
    /// # Errors
    /// When the call cannot begin: the plugin is not ready, or the home cannot be used. What the provider does not manage is in the
    /// report.
    pub async fn call_provider(
        &self,
        call: ProviderCall,
        permissions: Permissions,
        deadline: Duration,
    ) -> Result<ProviderReport, DriverError> {
        let host = self.clone();
        let work = tokio::spawn(async move { host.carry_out_call(call, permissions, deadline).await });
        work.await.unwrap_or_else(|panic| Err(DriverError::Panicked(panic.to_string())))
    }

    /// What the provider says about an environment's configuration beyond its schema, without side effects.
    ///
    /// # Errors
    /// When the plugin is not ready.
    pub async fn validate_environment(
        &self,
        plugin: PluginRef,
        config: &Value,
    ) -> Result<Result<Vec<PluginDiagnostic>, CallError>, DriverError> {
        let loaded = self.parts.runtime.load(plugin)?;
        Ok(self.parts.runtime.validate_environment(&loaded, config, Arc::new(Silence)).await)
    }

    /// What is deployed on the container engine, of one environment or of all, whichever plugin did it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn deployments(&self, environment: Option<&EnvironmentName>) -> Result<Vec<Detached>, DriverError> {
        Ok(self.parts.toolbox.detached(environment).await?)
    }

    /// Removes what an environment has on the container engine; answers how many containers. For when its provider cannot be asked any
    /// more.
    ///
    /// # Errors
    /// When the engine does not answer. Asking again removes what is still there.
    pub async fn remove_deployments(&self, environment: &EnvironmentName) -> Result<usize, DriverError> {
        Ok(self.parts.toolbox.remove_detached(environment).await?)
    }

    async fn carry_out_call(
        &self,
        call: ProviderCall,
        permissions: Permissions,
        deadline: Duration,
    ) -> Result<ProviderReport, DriverError> {
        let loaded = self.parts.runtime.load(call.plugin.clone())?;
        let state = permissions.state.then(|| self.parts.store.plugin_state(&call.plugin.name)).transpose()?;
        let _alone = call.verb.changes().then(|| self.change_alone(&call.environment)).transpose()?;
        let id = new_run_id();
        let lock = self.begin_call(&id)?;
        // Closed only when the host is gone, and this call has a share of it.
        let place = self.parts.places.acquire().await.ok();
        let (masker, log) = (Masker::default(), Arc::new(Lines::default()));
        let tools = self.parts.toolbox.for_step(StepScope {
            call: step_call(&call, &id),
            permissions: Permissions { artifacts: None, ..permissions },
            log: log.clone(),
            journal: Arc::new(Unrecorded),
            masker: masker.clone(),
            state,
            deadline: Instant::now() + deadline,
            created_before: Vec::new(),
            volumes: BTreeMap::new(),
            previous_run: None,
            environment: Some(call.environment.clone()),
        });
        let limits = CallLimits::within(deadline);
        let asked = self.parts.runtime.ask_provider(&loaded, &call, tools.capabilities(), limits).await;
        drop(place);
        tools.stop(Duration::ZERO).await;
        self.end_call(&id, lock).await;
        let result = match asked {
            Ok(answer) => Ok(mask_values(&masker, answer)),
            Err(error) => Err(ProviderFailure::of(&error, &masker)),
        };
        Ok(ProviderReport { result, log: log.taken() })
    }

    /// The right to change an environment, until this is dropped or the process dies. A lock file is never removed: two processes
    /// could otherwise hold a lock each.
    fn change_alone(&self, environment: &EnvironmentName) -> Result<File, DriverError> {
        let folder = self.parts.home.join("environments");
        // A digest, since names may differ in nothing but case, which not every file system tells apart.
        let path = folder.join(format!("{}.lock", Digest::of(environment.as_str().as_bytes()).hex()));
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let lock = std::fs::create_dir_all(&folder).and_then(|()| open());
        let lock = lock.map_err(|source| DriverError::Io { path: path.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(DriverError::EnvironmentBusy { environment: environment.clone() }),
            Err(TryLockError::Error(source)) => Err(DriverError::Io { path, source }),
        }
    }

    /// Notes that a call may have something at the engine from now on, under a lock that says that it goes on.
    fn begin_call(&self, id: &RunId) -> Result<RunLock, DriverError> {
        let lock = self.parts.store.lock_run(id)?;
        std::fs::create_dir_all(self.marks()).map_err(|source| DriverError::Io { path: self.marks(), source })?;
        self.uses_engine(id)?;
        Ok(lock)
    }

    /// Removes what has passed with a call.
    async fn end_call(&self, id: &RunId, lock: RunLock) {
        if !self.parts.toolbox.has_engine() {
            // Then nothing was asked of one, and none is needed to end.
            let _ = File::create(self.mark(id));
        }
        drop(lock);
        self.forget(id).await;
    }
}

/// A call as the capabilities know calls.
fn step_call(call: &ProviderCall, id: &RunId) -> StepCall {
    let step = match call.verb.name().parse() {
        Ok(step) => step,
        Err(error) => unreachable!("a verb is a step's name: {error}"),
    };
    StepCall {
        plugin: call.plugin.clone(),
        step_type: String::new(),
        run: id.clone(),
        step,
        attempt: 1,
        config: call.request(),
    }
}

/// A call is not taken up again, so there is nothing to find by a record.
struct Unrecorded;

#[async_trait]
impl Journal for Unrecorded {
    async fn container_created(&self, _: u32, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// For `validate`, whose findings are its answer.
struct Silence;

impl Log for Silence {
    fn write(&self, _: LogEntry) {}
}

/// The last lines of a call's log.
#[derive(Default)]
struct Lines(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    /// What of each stream is not a whole line yet.
    begun: HashMap<LogStream, Vec<u8>>,
}

impl Kept {
    fn keep(&mut self, line: &[u8]) {
        if self.lines.len() == MAX_PROVIDER_LOG_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(String::from_utf8_lossy(line).into_owned());
    }
}

impl LogSink for Lines {
    fn append(&self, stream: LogStream, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut begun = kept.begun.remove(&stream).unwrap_or_default();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = PROVIDER_LOG_LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                kept.keep(&begun);
                begun.clear();
            }
        }
        kept.begun.insert(stream, begun);
    }
}

impl Lines {
    /// What was kept, with what was not ended by a newline.
    fn taken(&self) -> Vec<String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = std::mem::take(&mut kept.begun);
        begun.values().filter(|line| !line.is_empty()).for_each(|line| kept.keep(line));
        kept.lines.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log() {
        let lines = Lines::default();
        lines.append(LogStream::Plugin, b"fir");
        lines.append(LogStream::Stdout, b"out 1\nout 2");
        lines.append(LogStream::Plugin, b"st\nsecond\n\n");
        assert_eq!(lines.taken(), ["out 1", "first", "second", "", "out 2"]);
        assert!(lines.taken().is_empty());

        lines.append(LogStream::Stdout, &b"x".repeat(PROVIDER_LOG_LINE_BYTES + 1));
        lines.append(LogStream::Stdout, b"y\n");
        for n in 0..MAX_PROVIDER_LOG_LINES - 1 {
            lines.append(LogStream::Plugin, format!("{n}\n").as_bytes());
        }
        let taken = lines.taken();
        assert_eq!((taken.len(), taken[0].len()), (MAX_PROVIDER_LOG_LINES, PROVIDER_LOG_LINE_BYTES));
        for n in 0..=MAX_PROVIDER_LOG_LINES {
            lines.append(LogStream::Plugin, format!("{n}\n").as_bytes());
        }
        assert_eq!(lines.taken().first().map(String::as_str), Some("1"));
    }
}
