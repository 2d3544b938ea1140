//! What runs look like while they are carried out. What is told comes from the event log ([`windlass_report`]); this joins it with the
//! lines of logs and prints both. On a terminal, the steps that run stand below the lines with their time.

use crate::{exit::coded, lines, style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use windlass_contract::{RunId, StepName};
use windlass_driver::{Claim, Host, Notice};
use windlass_engine::{Outcome, Run};
use windlass_report::{Item, LogLine, Projector, Stream, Told, console::Console, json_lines, junit, summary as table};
use windlass_store::logs::{Follower, LogStream};

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

/// How wide a screen is where nobody can tell.
const WIDTH: usize = 100;

/// Where everything is printed, one whole line at a time.
struct Screen {
    form: Form,
    /// Steps that run, on a terminal.
    bars: Option<MultiProgress>,
    /// Everything that was told, for the test report; logs only where there is one.
    kept: Option<Vec<Told>>,
}

impl Screen {
    fn tell(&mut self, console: &Console<style::Painter>, inset: &str, told: Told) {
        let shown: Vec<String> = match (self.form, &told.item) {
            (Form::Json, _) => vec![json_lines::line(&told)],
            (Form::Quiet, Item::Log(_)) => Vec::new(),
            _ => console.lines(&told).into_iter().map(|line| format!("{inset}{line}")).collect(),
        };
        if let Some(kept) = &mut self.kept {
            kept.push(told);
        }
        let write = || {
            for line in &shown {
                // A reader that has gone away is not an error of the run.
                let _ = writeln!(anstream::stdout(), "{line}");
            }
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// One run on the screen: the first one, or a sub-run.
struct Shown {
    projector: Arc<Mutex<Projector>>,
    console: Arc<Console<style::Painter>>,
    inset: String,
}

/// Follows a step's log until it is told that the attempt is over.
struct Following {
    over: oneshot::Sender<()>,
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

type Attempt = (RunId, StepName, u32);

/// What the run told before it was taken up again; without its logs, which `windlass logs` has.
async fn earlier(host: &Host, claim: &Claim) -> anyhow::Result<Vec<Told>> {
    let events = host.store().events(claim.run().id()).await.map_err(coded)?;
    let mut numbered = (windlass_store::FIRST_SEQ..claim.next_seq()).zip(&events);
    let Some((seq, created)) = numbered.next() else { return Ok(Vec::new()) };
    let (mut projector, mut told) = Projector::from_created(created, seq).map_err(coded)?;
    for (seq, event) in numbered {
        told.extend(projector.push(seq, event).map_err(coded)?);
    }
    Ok(told)
}

/// Prints what runs tell.
pub(crate) struct Reporter {
    host: Host,
    first: RunId,
    screen: Arc<Mutex<Screen>>,
    shown: HashMap<RunId, Shown>,
    /// Logs that have begun, and whose beginning is not told yet.
    begun: HashMap<Attempt, Follower>,
    following: HashMap<Attempt, Following>,
    junit: Option<PathBuf>,
}

impl Reporter {
    /// Of a run that is about to be carried out. What a new run's creation led to is told by the driver, from its first event on.
    ///
    /// # Errors
    /// When the run's events cannot be read.
    pub(crate) async fn new(
        host: &Host,
        claim: &Claim,
        form: Form,
        junit: Option<PathBuf>,
    ) -> anyhow::Result<Reporter> {
        let run = claim.run();
        let bars = (form != Form::Json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal())
            .then(MultiProgress::new);
        let kept = match junit {
            Some(_) if claim.is_taken_up() => Some(earlier(host, claim).await?),
            Some(_) => Some(Vec::new()),
            None => None,
        };
        let mut reporter = Reporter {
            host: host.clone(),
            first: run.id().clone(),
            screen: Arc::new(Mutex::new(Screen { form, bars, kept })),
            shown: HashMap::new(),
            begun: HashMap::new(),
            following: HashMap::new(),
            junit,
        };
        if claim.is_taken_up() {
            reporter.show(run, Projector::new(run, claim.next_seq()));
        }
        Ok(reporter)
    }

    fn show(&mut self, run: &Run, projector: Projector) {
        let inset = if *run.id() == self.first { String::new() } else { "    ".to_owned() };
        let console =
            Console::new(run.plan(), style::width().unwrap_or(WIDTH).saturating_sub(inset.len()), style::Painter);
        let shown = Shown { projector: Arc::new(Mutex::new(projector)), console: Arc::new(console), inset };
        self.shown.insert(run.id().clone(), shown);
    }

    /// Prints until the driver has told all; then writes the test report, where one is wanted.
    pub(crate) async fn watch(mut self, mut notices: mpsc::UnboundedReceiver<Notice>) -> std::io::Result<()> {
        while let Some(notice) = notices.recv().await {
            self.take(notice).await;
        }
        let kept = self.screen.lock().unwrap_or_else(PoisonError::into_inner).kept.take();
        match (self.junit, kept) {
            (Some(file), Some(kept)) => {
                let own: Vec<&Told> = kept.iter().filter(|told| told.run == self.first).collect();
                std::fs::write(file, junit::render(own))
            }
            _ => Ok(()),
        }
    }

    async fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Began { run, step, attempt, again } => {
                // A log that cannot be followed is still written: the run goes on, and `windlass logs` says what is wrong.
                let Ok(follower) = self.host.logs().follow(&run, &step, attempt) else { return };
                self.begun.insert((run.clone(), step.clone(), attempt), follower);
                if again {
                    self.note(&run, &format!("{step} · attempt {attempt}, taken up again"));
                    self.follow((run, step, attempt));
                }
            }
            Notice::Recorded { run, seq, event } => {
                if !self.shown.contains_key(&run) && !self.begin_to_show(&run, seq, &event).await {
                    return;
                }
                let told = {
                    let Some(shown) = self.shown.get(&run) else { return };
                    let mut projector = shown.projector.lock().unwrap_or_else(PoisonError::into_inner);
                    projector.push(seq, &event)
                };
                match told {
                    Ok(told) => self.tell(told).await,
                    Err(error) => tracing::warn!("what run {run} tells cannot be shown: {error}"),
                }
            }
            Notice::Queued { run, group, behind } => {
                self.note(&run, &format!("waits for its turn in the group `{group}`, behind {}", behind.join(", ")));
            }
            Notice::Answered { .. } | Notice::Left { .. } => {}
        }
    }

    /// A sub-run, told of for the first time.
    async fn begin_to_show(&mut self, run: &RunId, seq: u64, event: &windlass_engine::Event) -> bool {
        let begun = if seq == windlass_store::FIRST_SEQ {
            Projector::from_created(event, seq).ok()
        } else {
            // Taken up again: shown from here on.
            let read = self.host.store().events(run).await.ok();
            let before = read.and_then(|events| {
                let known = usize::try_from(seq - windlass_store::FIRST_SEQ).ok()?;
                Run::replay(events.get(..known)?).ok()
            });
            before.map(|state| (Projector::new(&state, seq), Vec::new()))
        };
        let Some((projector, told)) = begun else { return false };
        let state = projector.run().clone();
        self.show(&state, projector);
        self.tell(told).await;
        true
    }

    async fn tell(&mut self, told: Vec<Told>) {
        for told in told {
            let run = told.run.clone();
            if let Some((step, attempt)) =
                told.item.ended().and_then(|ended| Some((ended.step.clone(), ended.attempt?)))
            {
                self.stop_following(&(run.clone(), step, attempt)).await;
            } else if let Item::StepUndecided { step, attempt, .. } = &told.item {
                self.stop_following(&(run.clone(), step.clone(), *attempt)).await;
            }
            let began = told.item.began().map(|(step, attempt)| (run.clone(), step.clone(), attempt));
            if let Some(shown) = self.shown.get(&run) {
                let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
                screen.tell(&shown.console, &shown.inset, told);
            }
            if let Some(key) = began {
                self.follow(key);
            }
        }
    }

    /// A line of this program's own, which no event is about.
    fn note(&self, run: &RunId, words: &str) {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let inset = self.shown.get(run).map_or("", |shown| shown.inset.as_str());
        let line = match screen.form {
            Form::Json => serde_json::json!({ "run": run, "type": "note", "text": words }).to_string(),
            _ => format!("{inset}{}", style::paint(style::FAINT, words)),
        };
        let write = || drop(writeln!(anstream::stdout(), "{line}"));
        match &screen.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn follow(&mut self, key: Attempt) {
        let Some(follower) = self.begun.remove(&key) else { return };
        let Some(shown) = self.shown.get(&key.0) else { return };
        let (_, step, attempt) = key.clone();
        let bar = self.screen.lock().unwrap_or_else(PoisonError::into_inner).bars.as_ref().map(|bars| {
            let look = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
            let bar = bars.add(ProgressBar::new_spinner()).with_message(step.to_string());
            bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let (over, is_over) = oneshot::channel();
        let (projector, console) = (Arc::clone(&shown.projector), Arc::clone(&shown.console));
        let (screen, inset) = (Arc::clone(&self.screen), shown.inset.clone());
        let task = tokio::spawn(async move {
            let mut number = 0;
            let each = |stream, at_ms, text: &str| {
                number += 1;
                let line = LogLine {
                    step: step.clone(),
                    attempt,
                    line: number,
                    stream: stream_of(stream),
                    text: text.to_owned(),
                };
                let told = projector.lock().unwrap_or_else(PoisonError::into_inner).log(at_ms, line);
                screen.lock().unwrap_or_else(PoisonError::into_inner).tell(&console, &inset, told);
            };
            lines::follow(follower, is_over, each).await;
        });
        self.following.insert(key, Following { over, task, bar });
    }

    async fn stop_following(&mut self, key: &Attempt) {
        self.begun.remove(key);
        let Some(following) = self.following.remove(key) else { return };
        let _ = following.over.send(());
        let _ = following.task.await;
        if let Some(bar) = following.bar {
            bar.finish_and_clear();
        }
    }
}

fn stream_of(stream: LogStream) -> Stream {
    match stream {
        LogStream::Stdout => Stream::Stdout,
        LogStream::Stderr => Stream::Stderr,
        LogStream::Plugin => Stream::Plugin,
        LogStream::System => Stream::System,
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

/// The states and steps of a run with how each ended and how long it took, and the run's own end.
pub(crate) fn summary(run: &Run) -> String {
    table::table(&table::summary(run), &style::Painter)
}
