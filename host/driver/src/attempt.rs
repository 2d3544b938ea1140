//! One attempt of one step: the call of the plugin, what surrounds it, and what its result counts as.

use crate::{
    DriverError,
    clock::now_ms,
    run::{Fact, Shared},
};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use windlass_capabilities::{Journal, LogSink, Masker, StepScope, StepTools, Trouble};
use windlass_contract::{CodedError, EffectClass, Permissions, Recovery, StepCall, StepName};
use windlass_engine::{EventKind, Outcome, Reason, ReasonKind};
use windlass_manifest::plan::Step;
use windlass_runtime::{CallError, CallLimits, Plugin, RunReport, StepErrorKind};
use windlass_store::{
    StoreError,
    logs::{LogStream, LogWriter},
};

/// How long a step that is asked to stop may take to do so, before it is ended: 10 s, what `docker stop` gives too.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long the plugin may go on after its containers have stopped: it has its results to set and nothing to wait for.
const TIDY: Duration = Duration::from_secs(2);

/// What an attempt that is executed again has at least, however long the host was down: enough to collect a container that has ended.
const RECOVERY_FLOOR: Duration = Duration::from_secs(10);

/// What is known of an attempt that was in flight when the host died.
pub(crate) struct Again {
    pub(crate) started_ms: u64,
    pub(crate) containers: Vec<(u32, String)>,
}

/// One attempt, to be carried out.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) step: Step,
    pub(crate) attempt: u32,
    pub(crate) config: Value,
    pub(crate) timeout_ms: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) again: Option<Again>,
    pub(crate) stop: CancellationToken,
}

/// What an attempt came to.
struct Verdict {
    outcome: Outcome,
    reason: Option<Reason>,
    outputs: Map<String, Value>,
}

/// How an attempt ended, or that nobody can tell.
enum End {
    Verdict(Verdict),
    Undecided,
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> Self {
        End::Verdict(verdict)
    }
}

impl Verdict {
    fn error(kind: ReasonKind, error: &dyn CodedError) -> Self {
        let message = match error.help() {
            Some(help) => format!("{error}\n{help}"),
            None => error.to_string(),
        };
        let reason = Reason { kind, code: Some(error.code().to_string()), message };
        Verdict { outcome: Outcome::Error, reason: Some(reason), outputs: Map::new() }
    }

    fn because(outcome: Outcome, kind: ReasonKind, message: String, outputs: Map<String, Value>) -> Self {
        Verdict { outcome, reason: Some(Reason { kind, code: None, message }), outputs }
    }
}

impl Attempt {
    /// Does the work and tells the run how it ended. Always tells, whatever happens.
    pub(crate) async fn carry_out(self) {
        let (step, attempt) = (self.step.name.clone(), self.attempt);
        let facts = self.shared.facts.clone();
        let masker = self.shared.masker.clone();
        let (end, tools) = self.work().await;
        let kind = match end {
            End::Undecided => EventKind::StepUndecided { step, attempt },
            End::Verdict(verdict) => EventKind::StepFinished {
                step,
                attempt,
                outcome: verdict.outcome,
                reason: verdict.reason.map(|mut reason| {
                    reason.message = masker.mask(&reason.message);
                    reason
                }),
                outputs: mask_values(&masker, verdict.outputs),
            },
        };
        // The receiver is gone only when the event log could not be written: the attempt is then taken up again later.
        let _ = facts.send(Fact::Ended { kind, tools }).await;
    }

    async fn work(self) -> (End, Option<StepTools>) {
        let shared = &self.shared;
        let plugin = &self.step.plugin;
        let log = match shared.host.parts.logs.writer(&shared.run, &self.step.name, self.attempt) {
            Ok(writer) => Arc::new(LogFile(Mutex::new(Some(writer)))),
            Err(error) => return (Verdict::error(ReasonKind::ResourceExhausted, &error).into(), None),
        };
        for warning in &self.warnings {
            log.say(&format!("warning: {warning}"));
        }
        let Some(permissions) = shared.grants.of(plugin) else {
            let error = DriverError::NotInstalled(plugin.clone());
            return (Verdict::error(ReasonKind::Denied, &error).into(), None);
        };
        let loaded = match shared.host.parts.runtime.load(plugin.clone()) {
            Ok(loaded) => loaded,
            Err(error) => return (Verdict::error(ReasonKind::Other, &error).into(), None),
        };
        if (permissions.containers.is_some() || permissions.artifacts.is_some())
            && let Err(error) = self.fill_workspace().await
        {
            return (Verdict::error(ReasonKind::Unavailable, &error).into(), None);
        }
        let timeout = self.time_left();
        let call = self.call();
        let tools = match self.tools(permissions, call.clone(), Arc::clone(&log), timeout) {
            Ok(tools) => tools,
            Err(error) => return (Verdict::error(ReasonKind::Other, &error).into(), None),
        };
        let end = self.call_plugin(&loaded, &call, &tools, timeout).await;
        if let Err(error) = log.finish().await {
            return (Verdict::error(ReasonKind::ResourceExhausted, &error).into(), Some(tools));
        }
        (end, Some(tools))
    }

    async fn fill_workspace(&self) -> Result<(), DriverError> {
        let _one_at_a_time = self.shared.workspace.lock().await;
        self.shared.host.fill_workspace(&self.shared.run).await
    }

    fn time_left(&self) -> Duration {
        let timeout = Duration::from_millis(self.timeout_ms);
        match &self.again {
            None => timeout,
            Some(again) => {
                let elapsed = Duration::from_millis(now_ms().saturating_sub(again.started_ms));
                timeout.saturating_sub(elapsed).max(RECOVERY_FLOOR.min(timeout))
            }
        }
    }

    fn call(&self) -> StepCall {
        StepCall {
            plugin: self.step.plugin.clone(),
            step_type: self.step.step_type.clone(),
            run: self.shared.run.clone(),
            step: self.step.name.clone(),
            attempt: self.attempt,
            config: self.config.clone(),
        }
    }

    fn tools(
        &self,
        permissions: &Permissions,
        call: StepCall,
        log: Arc<LogFile>,
        timeout: Duration,
    ) -> Result<StepTools, StoreError> {
        let shared = &self.shared;
        let state = permissions.state.then(|| shared.host.parts.store.plugin_state(&call.plugin.name)).transpose()?;
        Ok(shared.host.parts.toolbox.for_step(StepScope {
            permissions: permissions.clone(),
            log,
            journal: Arc::new(Record {
                facts: shared.facts.clone(),
                step: self.step.name.clone(),
                attempt: self.attempt,
            }),
            masker: shared.masker.clone(),
            state,
            deadline: Instant::now() + timeout,
            created_before: self.again.as_ref().map(|again| again.containers.clone()).unwrap_or_default(),
            previous_run: shared.previous.clone(),
            call,
        }))
    }

    async fn call_plugin(&self, plugin: &Plugin, call: &StepCall, tools: &StepTools, timeout: Duration) -> End {
        let runtime = &self.shared.host.parts.runtime;
        let capabilities = tools.capabilities();
        let cancelled = Arc::clone(&capabilities.cancelled);
        if self.again.is_some() && self.step.effect == EffectClass::AtMostOnce {
            match runtime.recover(plugin, call, capabilities.clone()).await {
                Ok(Recovery::Rerun) => {}
                Ok(Recovery::Succeeded) => {
                    return Verdict { outcome: Outcome::Succeeded, reason: None, outputs: Map::new() }.into();
                }
                Ok(Recovery::Failed) => {
                    let message = "the plugin says that it had taken effect in part and cannot go on".to_owned();
                    return Verdict::because(Outcome::Failed, ReasonKind::Other, message, Map::new()).into();
                }
                Ok(Recovery::Unknown) | Err(_) => return End::Undecided,
            }
        }
        // The sandbox's own deadline comes last: at the step's timeout its containers are stopped, and the plugin may tidy up.
        let limits = CallLimits::within(timeout + GRACE + TIDY);
        let running = runtime.run(plugin, call, capabilities, limits);
        tokio::pin!(running);
        let (outcome, kind, message) = tokio::select! {
            report = &mut running => return classify(report, tools).into(),
            () = tokio::time::sleep(timeout) => {
                let words = format!("the step took longer than its timeout of {}", words(self.timeout_ms));
                (Outcome::TimedOut, ReasonKind::TimeoutExpired, words)
            }
            () = self.stop.cancelled() => {
                (Outcome::Cancelled, ReasonKind::Cancelled, "the run was asked to stop".to_owned())
            }
        };
        cancelled.store(true, Ordering::Relaxed);
        let stopping = async {
            tokio::select! {
                () = tools.stop(GRACE) => {}
                () = self.shared.at_once.cancelled() => tools.stop(Duration::ZERO).await,
            }
        };
        let tidying = async {
            tokio::select! {
                report = &mut running => report.outputs,
                () = async { stopping.await; tokio::time::sleep(TIDY).await } => Map::new(),
            }
        };
        let outputs = tidying.await;
        // Whatever the plugin did meanwhile, nothing of it is left running.
        tools.stop(Duration::ZERO).await;
        Verdict::because(outcome, kind, message, outputs).into()
    }
}

fn words(ms: u64) -> String {
    match ms {
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

/// What the plugin's answer counts as. What the host itself has seen of the containers goes before what the plugin says.
fn classify(report: RunReport, tools: &StepTools) -> Verdict {
    let outputs = report.outputs;
    let error = match report.result {
        Ok(()) => return Verdict { outcome: Outcome::Succeeded, reason: None, outputs },
        Err(error) => error,
    };
    let seen = tools.seen();
    let code = Some(error.code().to_string());
    let message = match error.help() {
        Some(help) => format!("{error}\n{help}"),
        None => error.to_string(),
    };
    let (outcome, kind) = match &error {
        CallError::DeadlineExceeded { .. } => (Outcome::TimedOut, ReasonKind::TimeoutExpired),
        CallError::Step(step) => match (step.kind, seen.trouble, seen.exit) {
            (StepErrorKind::Cancelled, ..) => (Outcome::Cancelled, ReasonKind::Cancelled),
            (_, Some(kind), _) => match kind {
                Trouble::Lost => (Outcome::Lost, ReasonKind::Lost),
                Trouble::ImagePullFailed => (Outcome::Error, ReasonKind::ImagePullFailed),
                Trouble::VolumeMountFailed => (Outcome::Error, ReasonKind::VolumeMountFailed),
                Trouble::ResourceExhausted => (Outcome::Error, ReasonKind::ResourceExhausted),
                Trouble::Unavailable => (Outcome::Error, ReasonKind::Unavailable),
            },
            (StepErrorKind::InvalidConfig, ..) => (Outcome::Error, ReasonKind::InvalidConfig),
            (StepErrorKind::Denied, ..) => (Outcome::Error, ReasonKind::Denied),
            (StepErrorKind::Unavailable, ..) => (Outcome::Error, ReasonKind::Unavailable),
            (_, None, Some(exit)) if exit.out_of_memory => (Outcome::Failed, ReasonKind::OutOfMemory),
            (_, None, Some(exit)) if exit.timed_out => (Outcome::TimedOut, ReasonKind::TimeoutExpired),
            (StepErrorKind::Failed, None, Some(exit)) if exit.code != 0 => {
                (Outcome::Failed, ReasonKind::NonZeroExit { code: exit.code })
            }
            (StepErrorKind::Failed, ..) => (Outcome::Failed, ReasonKind::Other),
            (StepErrorKind::Other, ..) => (Outcome::Error, ReasonKind::Other),
        },
        CallError::NotGranted { .. } => (Outcome::Error, ReasonKind::Denied),
        _ => (Outcome::Error, ReasonKind::PluginTrapped),
    };
    Verdict { outcome, reason: Some(Reason { kind, code, message }), outputs }
}

/// Masks every text in a step's results, names included.
fn mask_values(masker: &Masker, outputs: Map<String, Value>) -> Map<String, Value> {
    fn mask(masker: &Masker, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(masker.mask(&text)),
            Value::Array(items) => items.into_iter().map(|item| mask(masker, item)).collect(),
            Value::Object(map) => Value::Object(mask_values(masker, map)),
            other => other,
        }
    }
    outputs.into_iter().map(|(name, value)| (masker.mask(&name), mask(masker, value))).collect()
}

/// A step's log file, as the capabilities write to it. Holds nothing once it is finished.
struct LogFile(Mutex<Option<LogWriter>>);

impl LogFile {
    fn say(&self, line: &str) {
        self.append(windlass_capabilities::LogStream::System, format!("{line}\n").as_bytes());
    }

    fn writer(&self) -> MutexGuard<'_, Option<LogWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was written is on the disk when it returns; what could not be written is said here, once.
    async fn finish(&self) -> Result<(), StoreError> {
        let writer = self.writer().take();
        match writer {
            Some(writer) => writer.finish().await.map(|_| ()),
            None => Ok(()),
        }
    }
}

impl LogSink for LogFile {
    fn append(&self, stream: windlass_capabilities::LogStream, bytes: &[u8]) {
        use windlass_capabilities::LogStream as From;
        let stream = match stream {
            From::Stdout => LogStream::Stdout,
            From::Stderr => LogStream::Stderr,
            From::Plugin => LogStream::Plugin,
            From::System => LogStream::System,
        };
        if let Some(writer) = self.writer().as_mut() {
            // Each piece is flushed: it comes from an engine's socket or a guest's call and is as large as it will be, and
            // who follows wants to see it now. An error stays in the writer, and `finish` says it.
            let _ = writer.append(stream, now_ms(), bytes).and_then(|()| writer.flush());
        }
    }
}

/// Makes what an attempt is about to begin durable, through its run.
struct Record {
    facts: mpsc::Sender<Fact>,
    step: StepName,
    attempt: u32,
}

#[async_trait]
impl Journal for Record {
    async fn container_created(&self, index: u32, name: &str) -> Result<(), String> {
        let (durable, answer) = oneshot::channel();
        let kind = EventKind::ContainerCreated {
            step: self.step.clone(),
            attempt: self.attempt,
            index,
            name: name.to_owned(),
        };
        let gone = || "the event log cannot be written".to_owned();
        self.facts.send(Fact::Record { kind, durable }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
