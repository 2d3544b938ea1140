//! What a run looks like while it is carried out: its steps' lines as they come, what begins and ends, and a summary.
//!
//! The driver tells facts, the logs give lines; this only prints. On a terminal, the steps that run stand below the
//! lines with their time; elsewhere there are only lines.

use crate::{lines, style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use windlass_contract::{RunId, StepName};
use windlass_driver::{Host, Notice};
use windlass_engine::{Outcome, Run, RunStatus, Skip, StepState, StepView};
use windlass_store::logs::LogStream;

/// How lines and facts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For people, without the steps' lines.
    Quiet,
    /// One JSON document a line.
    Json,
}

/// The longest line that is shown on a screen, in characters; the log has the whole.
const SHOWN: usize = 4096;

/// Where everything is printed, one whole line at a time.
struct Screen {
    form: Form,
    /// The steps of the plan, in its order, and the widest name.
    names: Vec<StepName>,
    width: usize,
    /// Steps that run, on a terminal.
    bars: Option<MultiProgress>,
}

impl Screen {
    fn print(&self, line: &str) {
        let write = || {
            // A reader that has gone away is not an error of the run.
            let _ = writeln!(anstream::stdout(), "{line}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn label(&self, step: &StepName) -> String {
        let n = self.names.iter().position(|name| name == step).unwrap_or(0);
        style::paint(style::step(n), format_args!("{:width$} │", step.as_str(), width = self.width))
    }

    fn line(&self, step: &StepName, attempt: u32, stream: LogStream, at_ms: u64, text: &str) {
        match self.form {
            Form::Quiet => {}
            Form::Text => {
                let text: String = text.chars().take(SHOWN).collect();
                let text = match stream {
                    LogStream::System => style::paint(style::FAINT, &text),
                    _ => text,
                };
                self.print(format!("{} {text}", self.label(step)).trim_end());
            }
            Form::Json => self.print(
                &json!({ "type": "log", "step": step, "attempt": attempt, "stream": stream, "at_ms": at_ms, "text": text })
                    .to_string(),
            ),
        }
    }
}

/// Follows a step's log until it is told that the attempt is over.
struct Following {
    over: oneshot::Sender<()>,
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

/// Prints what a run tells.
pub(crate) struct Reporter {
    host: Host,
    run: RunId,
    screen: Arc<Mutex<Screen>>,
    following: HashMap<(StepName, u32), Following>,
    plugins: HashMap<StepName, String>,
}

impl Reporter {
    pub(crate) fn new(host: &Host, run: &Run, form: Form) -> Reporter {
        let steps: Vec<_> = run.plan().states.iter().flat_map(|state| &state.steps).collect();
        let names: Vec<StepName> = steps.iter().map(|step| step.name.clone()).collect();
        let plugins = steps.iter().map(|step| {
            (step.name.clone(), format!("{} {}", step.step_type, style::paint(style::FAINT, &step.plugin)))
        });
        let bars = (form != Form::Json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal())
            .then(MultiProgress::new);
        let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        Reporter {
            host: host.clone(),
            run: run.id().clone(),
            plugins: plugins.collect(),
            screen: Arc::new(Mutex::new(Screen { form, names, width, bars })),
            following: HashMap::new(),
        }
    }

    fn screen(&self) -> std::sync::MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints until the driver has told all.
    pub(crate) async fn watch(mut self, mut notices: mpsc::UnboundedReceiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            self.tell(notice).await;
        }
    }

    async fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Started { step, attempt, again } => {
                self.started(&step, attempt, again);
            }
            Notice::Ended { step, attempt, outcome, reason, retry_ms } => {
                self.stop_following(&step, attempt).await;
                let screen = self.screen();
                if screen.form == Form::Json {
                    let line = json!({ "type": "step-ended", "step": step, "attempt": attempt, "outcome": outcome, "reason": reason, "retry_ms": retry_ms });
                    screen.print(&line.to_string());
                    return;
                }
                let label = screen.label(&step);
                if let Some(reason) = &reason {
                    for line in reason.message.lines() {
                        let style = if outcome.is_failure() { style::ERROR } else { style::FAINT };
                        screen.print(&format!("{label} {}", style::paint(style, line)));
                    }
                }
                let again = if retry_ms.is_some() { " · it will be tried again" } else { "" };
                screen.print(&format!("{label} {} {outcome}{again}", mark(outcome)));
            }
            Notice::Undecided { step, attempt } => {
                self.stop_following(&step, attempt).await;
                let screen = self.screen();
                if screen.form == Form::Json {
                    screen.print(&json!({ "type": "step-undecided", "step": step, "attempt": attempt }).to_string());
                } else {
                    let words = "nobody can tell what became of it when the host died: a person decides";
                    screen.print(&format!("{} {}", screen.label(&step), style::paint(style::WARNING, words)));
                }
            }
            Notice::Cancelling { reason } => {
                let screen = self.screen();
                if screen.form == Form::Json {
                    screen.print(&json!({ "type": "cancelling", "reason": reason }).to_string());
                } else {
                    let words = format!("{reason}: stopping what runs (once more stops it at once)");
                    screen.print(&style::paint(style::WARNING, words));
                }
            }
            Notice::Finished { outcome } => {
                let screen = self.screen();
                if screen.form == Form::Json {
                    screen.print(&json!({ "type": "run-ended", "run": self.run, "outcome": outcome }).to_string());
                }
            }
        }
    }

    fn started(&mut self, step: &StepName, attempt: u32, again: bool) {
        let screen = self.screen();
        if screen.form == Form::Json {
            let line = json!({ "type": "step-started", "step": step, "attempt": attempt, "again": again });
            screen.print(&line.to_string());
        } else {
            let what = self.plugins.get(step).map(String::as_str).unwrap_or_default();
            let which = match (attempt, again) {
                (1, false) => String::new(),
                (n, false) => format!(" · attempt {n}"),
                (n, true) => format!(" · attempt {n}, taken up again"),
            };
            screen.print(&format!("{} {} {what}{which}", screen.label(step), style::paint(style::FAINT, "▶")));
        }
        let bar = screen.bars.as_ref().map(|bars| {
            let look = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
            let bar = bars.add(ProgressBar::new_spinner()).with_message(step.to_string());
            bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        drop(screen);
        // A log that cannot be followed is still written: the run goes on, and `windlass logs` says what is wrong.
        let Ok(follower) = self.host.logs().follow(&self.run, step, attempt) else { return };
        let (over, is_over) = oneshot::channel();
        let (screen, name) = (Arc::clone(&self.screen), step.clone());
        let task = tokio::spawn(async move {
            let each = |stream, at_ms, text: &str| {
                screen.lock().unwrap_or_else(PoisonError::into_inner).line(&name, attempt, stream, at_ms, text);
            };
            lines::follow(follower, is_over, each).await;
        });
        self.following.insert((step.clone(), attempt), Following { over, task, bar });
    }

    async fn stop_following(&mut self, step: &StepName, attempt: u32) {
        let Some(following) = self.following.remove(&(step.clone(), attempt)) else { return };
        let _ = following.over.send(());
        let _ = following.task.await;
        if let Some(bar) = following.bar {
            bar.finish_and_clear();
        }
    }
}

/// A sign for how something ended.
pub(crate) fn mark(outcome: Outcome) -> String {
    match outcome {
        Outcome::Succeeded => style::paint(style::GOOD, "✔"),
        Outcome::Skipped => style::paint(style::FAINT, "○"),
        Outcome::Cancelled => style::paint(style::WARNING, "■"),
        _ => style::paint(style::ERROR, "✘"),
    }
}

/// The steps of a run with how each ended and how long it took, and the run's own end.
pub(crate) fn summary(run: &Run) -> String {
    let steps: Vec<StepView<'_>> = run.steps().collect();
    let rows: Vec<Vec<String>> = steps.iter().enumerate().map(|(n, step)| row(n, step, run)).collect();
    let mut text = style::table(&rows);
    let took = run.finished_ms().map(|end| format!(" in {}", style::duration(end.saturating_sub(run.created_ms()))));
    let end = match (run.status(), run.outcome()) {
        (RunStatus::Finished, Some(outcome)) => {
            format!("{} {} {}{}", mark(outcome), run.plan().name, outcome, took.unwrap_or_default())
        }
        (status, _) => format!("… {} is {status}", run.plan().name),
    };
    text.push_str(&format!("{} {}\n", style::paint(style::STRONG, end), style::paint(style::FAINT, run.id())));
    text
}

fn row(n: usize, step: &StepView<'_>, run: &Run) -> Vec<String> {
    let took = match (step.started_ms, step.finished_ms) {
        (Some(start), Some(end)) => style::duration(end.saturating_sub(start)),
        _ => String::new(),
    };
    let (sign, words) = match (step.state, step.outcome) {
        (StepState::Finished, Some(outcome)) => (mark(outcome), outcome.to_string()),
        (StepState::Running { .. }, _) => ("▶".to_owned(), "running".to_owned()),
        (StepState::Retrying { .. }, _) => ("↻".to_owned(), "waits to be tried again".to_owned()),
        (StepState::Undecided, _) => (style::paint(style::WARNING, "?"), "waits for a decision".to_owned()),
        _ => {
            let names: Vec<_> = run.waits_for(step.name).into_iter().map(StepName::as_str).collect();
            let words = if names.is_empty() { "ready".to_owned() } else { format!("waits for {}", names.join(", ")) };
            ("·".to_owned(), words)
        }
    };
    let mut notes = Vec::new();
    if step.attempts.len() > 1 {
        notes.push(format!("{} attempts", step.attempts.len()));
    }
    if step.allowed_failure {
        notes.push("may fail".to_owned());
    }
    if let Some(skip) = step.skipped {
        notes.push(match skip {
            Skip::Condition => "its condition did not hold".to_owned(),
            Skip::RunFailed { by } => format!("{by} had failed"),
            Skip::RunCancelled => "the run was asked to stop".to_owned(),
        });
    }
    if let Some(reason) = step.reason {
        notes.push(reason.message.lines().next().unwrap_or_default().to_owned());
    }
    vec![
        format!("  {sign}"),
        style::paint(style::step(n), step.name),
        words,
        took,
        if notes.is_empty() { String::new() } else { style::paint(style::FAINT, notes.join(" · ")) },
    ]
}
