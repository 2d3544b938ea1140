//! Runs and plans as the API shows them. Pure, but for the two that read a log or a folder.

use crate::{
    Problem,
    access::{Caller, Role},
    api::{
        gates::{GateRow, VoteRow},
        runs::{
            AttemptView, Culprit, Graph, GraphState, GraphStep, GraphTransition, ReasonView, RunRow, StepView, Visit,
        },
    },
};
use serde_json::{Map, Value};
use std::collections::HashSet;
use windlass_contract::{RunId, StepName};
use windlass_engine::{Asks, Event, Outcome, Reason, ReasonKind, Run, RunStatus, StepState, Vote};
use windlass_manifest::plan::{Gate, OnFailure, Plan, Step, Work};
use windlass_report::{EventId, Item, Projector, Told, why, words};
use windlass_store::{EndedRun, OpenGate, RunSummary, logs::LogStore};

/// How much of a text is shown among what a step gave, in bytes: a page shows dozens of steps, and a step may have given megabytes. All
/// of it is in the run's history.
pub(crate) const MAX_SHOWN_BYTES: usize = 16 * 1024;
/// How many of the last lines of a log are shown with what made a run fail: a screenful.
const CULPRIT_LINES: u64 = 20;
/// How long one of these lines may be, in bytes.
const CULPRIT_LINE_BYTES: usize = 4 * 1024;

impl From<RunSummary> for RunRow {
    fn from(run: RunSummary) -> Self {
        RunRow {
            id: run.id.to_string(),
            workflow: run.name,
            version: run.version,
            status: run.status.name().to_owned(),
            outcome: run.outcome.map(name),
            by: run.started_by,
            trigger: run.trigger,
            title: run.title,
            parent: run.parent.map(|parent| parent.to_string()),
            created_at_ms: run.created_at_ms,
            finished_at_ms: run.finished_at_ms,
        }
    }
}

fn name(outcome: Outcome) -> String {
    outcome.name().to_owned()
}

/// A run as its events tell it.
pub(crate) struct Seen {
    projector: Projector,
    /// What was told last.
    last: Option<EventId>,
    /// Why it left each of the states that it has left.
    because: Vec<Option<String>>,
}

impl Seen {
    /// # Errors
    /// When the events do not fit.
    pub(crate) fn of(events: &[Event]) -> Result<Seen, Problem> {
        let Some((created, rest)) = events.split_first() else {
            return Err(Problem::internal("a run without events"));
        };
        let (projector, told) =
            Projector::from_created(created, windlass_store::FIRST_SEQ).map_err(Problem::internal)?;
        let mut seen = Seen { projector, last: None, because: Vec::new() };
        seen.note(told);
        for (seq, event) in (windlass_store::FIRST_SEQ + 1..).zip(rest) {
            let told = seen.projector.push(seq, event).map_err(Problem::internal)?;
            seen.note(told);
        }
        Ok(seen)
    }

    fn note(&mut self, told: Vec<Told>) {
        for Told { run, seq, part, item, .. } in told {
            self.last = Some(EventId { run, seq, part });
            if let Item::StateEntered { from: Some(_), because, .. } = item {
                self.because.push(because);
            }
        }
    }

    pub(crate) fn run(&self) -> &Run {
        self.projector.run()
    }

    /// What to follow the run from.
    pub(crate) fn last_event_id(&self) -> String {
        self.last.as_ref().map(EventId::to_string).unwrap_or_default()
    }

    /// The run's stays in states; `logs` are the attempts that have printed something.
    pub(crate) fn visits(&self, logs: &HashSet<(StepName, u32)>) -> Vec<Visit> {
        let run = self.run();
        let last = run.visits().len();
        let visit = |(at, visit): (usize, windlass_engine::VisitView<'_>)| {
            let target = visit.transition.and_then(|taken| {
                let state = run.plan().states.iter().find(|state| state.name == visit.state)?;
                Some(run.plan().states.get(state.transitions.get(taken)?.target)?.name.clone())
            });
            let present = (at + 1 == last).then_some(run);
            Visit {
                state: visit.state.to_owned(),
                entered_ms: visit.entered_ms,
                ended_ms: visit.ended_ms,
                outcome: visit.outcome.map(name),
                left_for: target,
                because: self.because.get(at).cloned().flatten(),
                feedback: visit.feedback.map(str::to_owned),
                steps: visit.steps.into_iter().map(|view| step(view, present, logs)).collect(),
            }
        };
        run.visits().enumerate().map(visit).collect()
    }

    /// The first step that made the run fail, its last attempt, and how in one sentence.
    pub(crate) fn culprit(&self) -> Option<(StepName, u32, String)> {
        let run = self.run();
        run.outcome().filter(|outcome| outcome.is_failure() && run.finished_ms().is_some())?;
        let failed = |view: &windlass_engine::StepView<'_>| {
            view.outcome.is_some_and(Outcome::is_failure) && !view.allowed_failure && !view.attempts.is_empty()
        };
        let first = run.steps().filter(failed).min_by_key(|view| view.finished_ms)?;
        let attempt = first.attempts.last()?.attempt;
        let how = match first.outcome? {
            Outcome::Failed => "failed",
            Outcome::Error => "could not be done",
            Outcome::TimedOut => "took too long",
            Outcome::Cancelled => "was stopped",
            Outcome::Lost => "is lost",
            Outcome::Rejected => "was rejected",
            Outcome::Succeeded | Outcome::Skipped => return None,
        };
        let why = first.reason.and_then(|reason| reason.message.lines().next()).map(words::bare);
        let why = why.filter(|why| !why.is_empty()).map(|why| format!(": {why}")).unwrap_or_default();
        Some((first.name.clone(), attempt, format!("{} {how}{why}", first.name)))
    }

    /// What somebody may ask of the run now.
    pub(crate) fn actions(&self, role: Role) -> Vec<String> {
        let run = self.run();
        let over = run.status() == RunStatus::Finished;
        let asks = |gate: &windlass_engine::GateView<'_>| matches!(gate.gate, Gate::Question(_));
        let each = [
            ("cancel", !over),
            ("rerun", over),
            ("rerun-failed", over && run.outcome() != Some(Outcome::Succeeded)),
            ("signal", !over && run.gates().iter().any(asks)),
            ("decide", !over && run.steps().any(|step| step.state == StepState::Undecided)),
        ];
        let may = role >= Role::Operator;
        each.into_iter().filter(|(_, can)| *can && may).map(|(what, _)| what.to_owned()).collect()
    }
}

/// Why something did not succeed.
pub(crate) fn reason(reason: &Reason) -> ReasonView {
    let exit_code = match reason.kind {
        ReasonKind::NonZeroExit { code } => Some(code),
        _ => None,
    };
    let kind = match serde_json::to_value(reason.kind) {
        Ok(Value::String(kind)) => kind,
        Ok(Value::Object(kind)) => kind.into_iter().next().map(|(kind, _)| kind).unwrap_or_default(),
        _ => String::new(),
    };
    ReasonView { kind, exit_code, code: reason.code.clone(), message: reason.message.clone() }
}

/// A step of a visit; `present` where that is the run's present.
fn step(view: windlass_engine::StepView<'_>, present: Option<&Run>, logs: &HashSet<(StepName, u32)>) -> StepView {
    let (status, due_ms) = match (view.state, view.outcome) {
        (StepState::Finished, Some(outcome)) => (outcome.name(), None),
        (StepState::Waiting | StepState::Ready | StepState::Finished, _) => ("pending", None),
        (StepState::Running { .. }, _) => ("running", None),
        (StepState::Retrying { due_ms }, _) => ("retrying", Some(due_ms)),
        (StepState::Undecided, _) => ("undecided", None),
        (StepState::AtGate { due_ms, asks }, _) => (if asks { "blocked" } else { "waiting" }, Some(due_ms)),
    };
    let sentence = match view.skipped {
        Some(skip) => Some(why::why_skipped(skip)),
        None if view.state == StepState::Finished => None,
        None => present.and_then(|run| why::why_waiting(run, view.name)),
    };
    let attempts = view.attempts.iter().map(|attempt| AttemptView {
        attempt: attempt.attempt,
        started_ms: attempt.started_ms,
        finished_ms: attempt.finished_ms,
        outcome: attempt.outcome.map(name),
        reason: attempt.reason.map(reason),
        sub_run: attempt.sub_run.map(RunId::to_string),
        has_log: logs.contains(&(view.name.clone(), attempt.attempt)),
    });
    StepView {
        attempts: attempts.collect(),
        name: view.name.to_string(),
        status: status.to_owned(),
        outcome: view.outcome.map(name),
        reason: view.reason.map(reason),
        sentence,
        allowed_failure: view.allowed_failure,
        carried: view.carried,
        outputs: view.outputs.map(shown),
        started_ms: view.started_ms,
        finished_ms: view.finished_ms,
        due_ms,
    }
}

/// What a step gave, its texts cut to what can be shown.
fn shown(outputs: &Map<String, Value>) -> Map<String, Value> {
    fn cut(value: &Value) -> Value {
        match value {
            Value::String(text) if text.len() > MAX_SHOWN_BYTES => {
                let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
                Value::from(format!("{}… ({} bytes in all)", &text[..end], text.len()))
            }
            Value::Array(items) => items.iter().map(cut).collect(),
            Value::Object(fields) => Value::Object(shown(fields)),
            value => value.clone(),
        }
    }
    outputs.iter().map(|(name, value)| (name.clone(), cut(value))).collect()
}

/// The states and steps of a plan.
pub(crate) fn graph(plan: &Plan) -> Graph {
    let state_name = |at: usize| plan.states.get(at).map(|state| state.name.clone()).unwrap_or_default();
    let states = plan.states.iter().map(|state| GraphState {
        name: state.name.clone(),
        steps: state.steps.iter().map(graph_step).collect(),
        transitions: state
            .transitions
            .iter()
            .map(|way| GraphTransition { to: state_name(way.target), when: words::condition(&way.condition) })
            .collect(),
    });
    Graph { initial: state_name(plan.initial), states: states.collect() }
}

fn graph_step(step: &Step) -> GraphStep {
    let (kind, step_type, plugin, workflow) = match &step.work {
        Work::Plugin(work) => ("plugin", work.step_type.clone(), Some(work.plugin.to_string()), None),
        Work::Gate(_) => ("gate", "step.gate".to_owned(), None, None),
        Work::SubRun(sub) => ("sub-run", "step.workflow".to_owned(), None, Some(sub.workflow.clone())),
        Work::Absent { step_type } => ("absent", step_type.clone(), None, None),
    };
    GraphStep {
        name: step.name.to_string(),
        kind: kind.to_owned(),
        step_type,
        plugin,
        workflow,
        needs: step.needs.iter().map(ToString::to_string).collect(),
        condition: step.condition.clone(),
        continues: step.on_failure == OnFailure::Continue,
    }
}

/// How the last runs of a pipeline went.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// The share that succeeded, 0 to 1.
    pub(crate) success_rate: Option<f64>,
    /// The median of how long they took.
    pub(crate) median_ms: Option<u64>,
    /// And the 95th percentile, the nearest rank.
    pub(crate) p95_ms: Option<u64>,
}

/// Figures of runs that have ended.
pub(crate) fn figures<'a>(ended: impl Iterator<Item = &'a EndedRun>) -> Figures {
    let (mut took, mut succeeded) = (Vec::new(), 0u32);
    for run in ended {
        succeeded += u32::from(run.outcome == Outcome::Succeeded);
        took.push(run.took_ms);
    }
    took.sort_unstable();
    let rank = |percent: usize| took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let count = u32::try_from(took.len()).unwrap_or(u32::MAX);
    Figures {
        success_rate: (count > 0).then(|| f64::from(succeeded) / f64::from(count)),
        median_ms: rank(50),
        p95_ms: rank(95),
    }
}

/// A gate as somebody sees it.
pub(crate) fn gate(open: OpenGate, caller: &Caller, email: Option<&str>) -> GateRow {
    let decision = if open.gate.kind == "question" { Vote::Answer(String::new()) } else { Vote::Approve };
    let why_not = why_not(&open, caller, email, &decision);
    let may_reject = self::why_not(&open, caller, email, &Vote::Reject).is_none();
    let OpenGate { gate, name, .. } = open;
    GateRow {
        run: gate.run.to_string(),
        workflow: name,
        step: gate.step.to_string(),
        attempt: gate.attempt,
        kind: gate.kind,
        prompt: gate.prompt,
        approvers: gate.approvers,
        quorum: gate.quorum,
        opened_ms: gate.opened_ms,
        expires_ms: gate.expires_ms,
        due_ms: gate.due_ms,
        otherwise: gate.otherwise,
        votes: votes(&gate.votes),
        may_decide: why_not.is_none(),
        may_reject,
        why_not,
    }
}

/// Why somebody may not vote so at a gate, in words: the engine's rule, for those whose role lets them vote at all.
fn why_not(open: &OpenGate, caller: &Caller, email: Option<&str>, vote: &Vote) -> Option<String> {
    if caller.role < Role::Operator {
        return Some("this needs the role operator".to_owned());
    }
    let gate = &open.gate;
    let asks = match gate.kind.as_str() {
        "manual" => Asks::Approval {
            approvers: &gate.approvers,
            self_approval: gate.self_approval,
            started_by: open.started_by.as_deref(),
        },
        "question" => Asks::Answer,
        _ => Asks::Nothing,
    };
    asks.refused(&caller.name, email, vote)
}

fn votes(stored: &Value) -> Vec<VoteRow> {
    let row = |cast: &Value| {
        let text = |key: &str| cast[key].as_str().map(str::to_owned);
        let vote = text("vote").or_else(|| cast["vote"]["answer"].as_str().map(str::to_owned));
        Some(VoteRow { by: text("by")?, vote: vote?, comment: text("comment"), at_ms: cast["at_ms"].as_u64()? })
    };
    stored.as_array().into_iter().flatten().filter_map(row).collect()
}

/// What made a run fail, with the last lines of its log. Reads the log: not for a thread that others wait for.
pub(crate) fn culprit(logs: &LogStore, run: &RunId, (step, attempt, sentence): (StepName, u32, String)) -> Culprit {
    let (first_line, lines) = tail(logs, run, &step, attempt).unwrap_or_else(|error| {
        tracing::warn!(%run, "the log of {step} cannot be read: {error}");
        (1, Vec::new())
    });
    Culprit { step: step.to_string(), attempt, sentence, first_line, lines }
}

/// The last lines of a log and the number of the first of them.
fn tail(
    logs: &LogStore,
    run: &RunId,
    step: &StepName,
    attempt: u32,
) -> Result<(u64, Vec<String>), windlass_store::StoreError> {
    let Some(log) = logs.lines(run, step, attempt)? else { return Ok((1, Vec::new())) };
    let first = log.end().total().saturating_sub(CULPRIT_LINES - 1).max(1);
    let mut lines = Vec::new();
    log.read(first, true, |line| {
        let kept = &line.bytes[..line.bytes.len().min(CULPRIT_LINE_BYTES)];
        lines.push(String::from_utf8_lossy(kept).trim_end_matches('\r').to_owned());
        true
    })?;
    Ok((first, lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use windlass_store::GateRow as Stored;

    #[test]
    fn figures_of_runs() {
        let ended = |outcome, took_ms| EndedRun { name: "ci".to_owned(), outcome, took_ms };
        assert_eq!(figures([].iter()), Figures::default());
        let one = [ended(Outcome::Failed, 7)];
        assert_eq!(figures(one.iter()), Figures { success_rate: Some(0.0), median_ms: Some(7), p95_ms: Some(7) });
        // The order in which they come plays no part.
        let many: Vec<EndedRun> = (1..=100).rev().map(|took| ended(Outcome::Succeeded, took)).collect();
        assert_eq!(figures(many.iter()), Figures { success_rate: Some(1.0), median_ms: Some(50), p95_ms: Some(95) });
        let two = [ended(Outcome::Succeeded, 10), ended(Outcome::Cancelled, 30)];
        assert_eq!(figures(two.iter()), Figures { success_rate: Some(0.5), median_ms: Some(10), p95_ms: Some(30) });
    }

    #[test]
    fn long_texts_are_cut_where_a_character_ends() {
        let long = "ä".repeat(MAX_SHOWN_BYTES);
        let given = json!({ "short": "x", "long": long, "list": [long], "n": 1, "deep": { "long": long } });
        let shown = Value::Object(shown(given.as_object().expect("an object")));
        let cut = format!("{}… ({} bytes in all)", "ä".repeat(MAX_SHOWN_BYTES / 2), 2 * MAX_SHOWN_BYTES);
        assert_eq!(shown, json!({ "short": "x", "long": cut, "list": [cut], "n": 1, "deep": { "long": cut } }));
        let fits = json!({ "a": "x".repeat(MAX_SHOWN_BYTES) });
        let fits = fits.as_object().expect("an object");
        assert_eq!(super::shown(fits), *fits);
    }

    #[test]
    fn reasons() {
        let of = |kind| reason(&Reason { kind, code: None, message: String::new() });
        let exit = of(ReasonKind::NonZeroExit { code: 3 });
        assert_eq!((exit.kind.as_str(), exit.exit_code), ("non-zero-exit", Some(3)));
        let memory = of(ReasonKind::OutOfMemory);
        assert_eq!((memory.kind.as_str(), memory.exit_code), ("out-of-memory", None));
    }

    #[test]
    fn who_may_decide() {
        let open = |kind: &str, approvers: &[&str], self_approval| OpenGate {
            gate: Stored {
                run: "r1".parse().expect("an id"),
                step: "ok".parse().expect("a name"),
                attempt: 1,
                kind: kind.to_owned(),
                prompt: None,
                approvers: approvers.iter().map(|&who| who.to_owned()).collect(),
                quorum: 1,
                opened_ms: 1,
                expires_ms: 2,
                due_ms: 2,
                votes: json!([
                    { "by": "bob", "vote": "approve", "comment": null, "at_ms": 5 },
                    { "by": "eve", "vote": { "answer": "yes" }, "comment": "so", "at_ms": 6 },
                ]),
                self_approval,
                otherwise: None,
            },
            name: "ci".to_owned(),
            started_by: Some("ada".to_owned()),
        };
        let who = |name: &str, role| Caller { user: 1, name: name.to_owned(), role, via: "session".to_owned() };
        // Whether the caller may reject it, and why she may not approve it or answer.
        let table = [
            (open("manual", &[], false), "bob", None, Role::Operator, true, None),
            (open("manual", &[], false), "bob", None, Role::Viewer, false, Some("needs the role operator")),
            (open("manual", &[], false), "ada", None, Role::Admin, true, Some("who began a run")),
            (open("manual", &[], true), "ada", None, Role::Operator, true, None),
            (open("manual", &["BOB"], false), "bob", None, Role::Operator, true, None),
            (open("manual", &["eve"], false), "bob", Some("bob@x.test"), Role::Operator, false, Some("decided by eve")),
            (open("manual", &["Bob@X.test"], false), "bob", Some("bob@x.test"), Role::Operator, true, None),
            // Named by an address, she has still begun it.
            (
                open("manual", &["ada@x.test"], false),
                "ada",
                Some("ada@x.test"),
                Role::Operator,
                true,
                Some("who began"),
            ),
            (open("manual", &["eve"], false), "ada", None, Role::Operator, false, Some("decided by eve")),
            (open("question", &[], false), "ada", None, Role::Operator, false, None),
            (open("question", &[], false), "ada", None, Role::Viewer, false, Some("needs the role operator")),
            (open("scheduled", &[], false), "bob", None, Role::Admin, false, Some("not for people")),
        ];
        for (gate, name, email, role, may_reject, expect) in table {
            let row = super::gate(gate.clone(), &who(name, role), email);
            assert_eq!(row.may_reject, may_reject, "{name} {gate:?}");
            assert_eq!(row.may_decide, expect.is_none(), "{name} {gate:?}");
            match (expect, &row.why_not) {
                (None, why) => assert_eq!(*why, None, "{name} {gate:?}"),
                (Some(words), why) => assert!(why.as_ref().is_some_and(|why| why.contains(words)), "{why:?} {gate:?}"),
            }
        }
        let row = super::gate(open("manual", &[], false), &who("bob", Role::Operator), None);
        let votes: Vec<_> = row.votes.iter().map(|vote| (vote.by.as_str(), vote.vote.as_str())).collect();
        assert_eq!(votes, [("bob", "approve"), ("eve", "yes")]);
    }
}
