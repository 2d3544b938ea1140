//! One attempt of one step: the call of the plugin, what surrounds it, and what its result counts as.

use crate::{
    DriverError,
    clock::now_ms,
    log_file::LogFile,
    run::{Fact, Shared},
};
use async_trait::async_trait;
use futures::FutureExt as _;
use serde_json::{Map, Value};
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use windlass_capabilities::{
    CAPTURED_BYTES, Journal, Masker, StepScope, StepTools, Trouble,
    artifacts::{PLAIN_TEXT, RESERVED_KEYS},
};
use windlass_contract::{CodedError, EffectClass, NameError, Permissions, Recovery, StepCall, StepName};
use windlass_engine::{EventKind, Outcome, Reason, ReasonKind};
use windlass_manifest::plan::PluginWork;
use windlass_runtime::{CallError, CallLimits, Plugin, RunReport, StepErrorKind};
use windlass_store::StoreError;

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
    pub(crate) step: StepName,
    pub(crate) work: PluginWork,
    pub(crate) attempt: u32,
    pub(crate) config: Value,
    pub(crate) timeout_ms: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) again: Option<Again>,
    pub(crate) stop: CancellationToken,
    pub(crate) log: Result<Arc<LogFile>, StoreError>,
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

    fn cancelled() -> Self {
        let message = "the run was asked to stop".to_owned();
        Verdict::because(Outcome::Cancelled, ReasonKind::Cancelled, message, Map::new())
    }

    fn because(outcome: Outcome, kind: ReasonKind, message: String, outputs: Map<String, Value>) -> Self {
        Verdict { outcome, reason: Some(Reason { kind, code: None, message }), outputs }
    }
}

impl Attempt {
    /// Does the work and tells the run how it ended. Always tells, whatever happens: a run waits for it.
    pub(crate) async fn carry_out(self) {
        let mut tools = None;
        let mut end = or_panic(self.work(&mut tools)).await;
        if let (End::Verdict(_), Some(tools)) = (&end, &tools) {
            // Whatever the plugin has left running ends here and not beside the next step.
            tools.stop(Duration::ZERO).await;
        }
        if let Ok(log) = &self.log {
            match log.finish().await {
                Ok(printed) if printed > CAPTURED_BYTES => self.keep_log().await,
                Ok(_) => {}
                Err(error) => end = Verdict::error(ReasonKind::ResourceExhausted, &error).into(),
            }
        }
        let (step, attempt, masker) = (self.step.clone(), self.attempt, &self.shared.masker);
        let outcome = match &end {
            End::Undecided => "undecided",
            End::Verdict(verdict) => verdict.outcome.name(),
        };
        tracing::Span::current().record("outcome", outcome);
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
                outputs: mask_values(masker, verdict.outputs),
            },
        };
        // The receiver is gone only when the event log could not be written: the attempt is then taken up again later.
        let _ = self.shared.facts.send(Fact::Ended { kind, tools }).await;
    }

    /// Keeps what the containers printed as an artifact, where it is more than the step's results can hold: later steps and people
    /// can then have all of it.
    async fn keep_log(&self) {
        let (shared, step, attempt) = (Arc::clone(&self.shared), self.step.clone(), self.attempt);
        let keep = move || -> Result<(), String> {
            let key =
                format!("{RESERVED_KEYS}log/{step}/{attempt}").parse().map_err(|error: NameError| error.to_string())?;
            let parts = &shared.host.parts;
            let mut draft = parts.toolbox.artifacts().begin(&shared.run, &key).map_err(|error| error.to_string())?;
            parts.logs.raw(&shared.run, &step, attempt, &mut draft).map_err(|error| error.to_string())?;
            draft.finish(PLAIN_TEXT).map(drop).map_err(|error| error.to_string())
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        if let Err(error) = kept.map_err(|panic| panic.to_string()).and_then(|kept| kept) {
            // The log itself is there in any case.
            tracing::warn!("the log of {} is not among the run's artifacts: {error}", self.step);
        }
    }

    async fn work(&self, made: &mut Option<StepTools>) -> End {
        let (shared, plugin) = (&self.shared, &self.work.plugin);
        let log = match &self.log {
            Ok(log) => Arc::clone(log),
            Err(error) => return Verdict::error(ReasonKind::ResourceExhausted, error).into(),
        };
        for warning in &self.warnings {
            self.say(&format!("warning: {warning}"));
        }
        // Closed only when the host is gone, and this attempt has a share of it.
        let _place = tokio::select! {
            biased;
            place = shared.host.parts.places.acquire() => place.ok(),
            () = self.stop.cancelled() => return Verdict::cancelled().into(),
        };
        let Some(permissions) = shared.grants.of(plugin) else {
            let error = DriverError::NotInstalled(plugin.clone());
            return Verdict::error(ReasonKind::Denied, &error).into();
        };
        let loaded = match shared.host.parts.runtime.load(plugin.clone()) {
            Ok(loaded) => loaded,
            Err(error) => return Verdict::error(ReasonKind::Other, &error).into(),
        };
        if permissions.containers.is_some() || permissions.artifacts.is_some() {
            let filled = tokio::select! {
                biased;
                filled = self.fill_workspace() => filled,
                // Dropped in the middle, it is filled again when a step needs it.
                () = self.stop.cancelled() => return Verdict::cancelled().into(),
            };
            if let Err(error) = filled {
                return Verdict::error(ReasonKind::Unavailable, &error).into();
            }
        }
        let timeout = self.time_left();
        let call = self.call();
        let tools = match self.tools(permissions, call.clone(), log, timeout) {
            Ok(tools) => made.insert(tools),
            Err(error) => return Verdict::error(ReasonKind::Other, &error).into(),
        };
        self.call_plugin(&loaded, &call, tools, timeout).await
    }

    async fn fill_workspace(&self) -> Result<(), DriverError> {
        let mut filled = self.shared.workspace.lock().await;
        if !*filled {
            self.shared.host.uses_engine(&self.shared.run)?;
            let place = crate::traces::workspace_place(&self.shared.volumes);
            self.shared.host.fill_workspace(&self.shared.run, &place, self.shared.has_sub_runs).await?;
            *filled = true;
        }
        Ok(())
    }

    /// A line of the host's own in the step's log.
    fn say(&self, line: &str) {
        if let Ok(log) = &self.log {
            log.say(&windlass_capabilities::log::escape(&self.shared.masker.mask(line)));
        }
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
            plugin: self.work.plugin.clone(),
            step_type: self.work.step_type.clone(),
            run: self.shared.run.clone(),
            step: self.step.clone(),
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
            journal: Arc::new(Record { facts: shared.facts.clone(), step: self.step.clone(), attempt: self.attempt }),
            masker: shared.masker.clone(),
            state,
            deadline: Instant::now() + timeout,
            created_before: self.again.as_ref().map(|again| again.containers.clone()).unwrap_or_default(),
            volumes: shared.volumes.clone(),
            previous_run: shared.previous.clone(),
            environment: None,
            call,
        }))
    }

    async fn call_plugin(&self, plugin: &Plugin, call: &StepCall, tools: &StepTools, timeout: Duration) -> End {
        let runtime = &self.shared.host.parts.runtime;
        let capabilities = tools.capabilities();
        if self.again.is_some() && self.work.effect == EffectClass::AtMostOnce {
            match runtime.recover(plugin, call, capabilities.clone()).await {
                Ok(Recovery::Rerun) => {}
                Ok(Recovery::Succeeded) => {
                    return Verdict { outcome: Outcome::Succeeded, reason: None, outputs: Map::new() }.into();
                }
                Ok(Recovery::Failed) => {
                    let message = "the plugin says that it had taken effect in part and cannot go on".to_owned();
                    return Verdict::because(Outcome::Failed, ReasonKind::Other, message, Map::new()).into();
                }
                Ok(Recovery::Unknown) => {
                    self.say("the host died while this ran, and the plugin cannot tell whether it took effect");
                    return End::Undecided;
                }
                Err(error) => {
                    self.say(&format!("the host died while this ran, and the plugin cannot be asked: {error}"));
                    return End::Undecided;
                }
            }
        }
        // The sandbox's own deadline comes last: at the step's timeout its containers are stopped, and the plugin may tidy up.
        let limits = CallLimits::within(timeout + GRACE + TIDY);
        let running = runtime.run(plugin, call, capabilities, limits);
        tokio::pin!(running);
        let (outcome, kind, message) = tokio::select! {
            biased;
            report = &mut running => return classify(report, tools).into(),
            () = self.stop.cancelled() => return self.wind_up(Verdict::cancelled(), tools, running).await.into(),
            () = tokio::time::sleep(timeout) => {
                let words = format!("the step took longer than its timeout of {}", words(self.timeout_ms));
                (Outcome::TimedOut, ReasonKind::TimeoutExpired, words)
            }
        };
        self.wind_up(Verdict::because(outcome, kind, message, Map::new()), tools, running).await.into()
    }

    /// Stops the containers, with a grace unless there is none to give any more, and lets the plugin come to its end meanwhile
    /// and a moment longer: it may tidy up and set results.
    async fn wind_up(
        &self,
        mut verdict: Verdict,
        tools: &StepTools,
        mut running: Pin<&mut impl Future<Output = RunReport>>,
    ) -> Verdict {
        let at_once = &self.shared.at_once;
        let stopping = async {
            tokio::select! {
                () = tools.stop(GRACE) => {}
                () = at_once.cancelled() => tools.stop(Duration::ZERO).await,
            }
        };
        tokio::pin!(stopping);
        tokio::select! {
            report = &mut running => {
                verdict.outputs = report.outputs;
                stopping.await;
            }
            () = &mut stopping => tokio::select! {
                report = &mut running => verdict.outputs = report.outputs,
                () = tokio::time::sleep(TIDY) => {}
                () = at_once.cancelled() => {}
            },
        }
        verdict
    }
}

/// What a piece of work comes to. A panic in it is the end of the attempt and not of the run, which would wait for ever.
async fn or_panic(work: impl Future<Output = End>) -> End {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let error = DriverError::Panicked(panic_words(&*panic));
        Verdict::error(ReasonKind::Other, &error).into()
    })
}

fn panic_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it gives no reason").to_owned()
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
pub(crate) fn mask_values(masker: &Masker, outputs: Map<String, Value>) -> Map<String, Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_end_of_the_attempt() {
        let end = or_panic(async { panic!("at the {}", "disco") }).await;
        let End::Verdict(verdict) = end else { panic!("it is decided") };
        assert_eq!(verdict.outcome, Outcome::Error);
        insta::assert_snapshot!(verdict.reason.expect("a reason").message, @r"
        windlass itself failed while it carried the step out: at the disco
        this is a defect of windlass; please report it, with the step's configuration
        ");
    }
}
