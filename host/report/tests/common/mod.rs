//! Stories: a plan and what happened in it, briefly written, and what a projector tells of it.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

#[path = "../../../engine/tests/common/mod.rs"]
mod plans;

pub(crate) use plans::{broken, configured, created_by, end, name, plan, plan_of, states, step};

use serde_json::Map;
use std::collections::HashMap;
use windlass_engine::{Command, Decision, Event, EventKind, Origin, Run, StepState, Vote};
use windlass_manifest::plan::{
    Condition, Gate, GateDefault, ManualGate, Plan, Question, ResultShape, State, Step, SubRun, Transition, Treatment,
    Work,
};
use windlass_report::{LogLine, Projector, Stream, Told};

/// How much later each event comes than the one before it, in milliseconds.
const PACE_MS: u64 = 100;

/// What was played, and what was told of it.
pub(crate) struct Story {
    pub(crate) plan: Plan,
    pub(crate) history: Vec<Event>,
    pub(crate) told: Vec<Told>,
    pub(crate) projector: Projector,
    lines: HashMap<(String, u32), u64>,
}

impl Story {
    pub(crate) fn begin(plan: Plan, origin: Origin) -> Story {
        let first = created_by(plan.clone(), origin);
        let (projector, told) = Projector::from_created(&first, 1).expect("a sound plan");
        let mut story = Story { plan, history: vec![first], told, projector, lines: HashMap::new() };
        story.answer();
        story
    }

    /// Plays a script of one line for each thing that happens; what follows by itself does so.
    pub(crate) fn play(plan: Plan, origin: Origin, script: &str) -> Story {
        let mut story = Story::begin(plan, origin);
        story.go_on(script);
        story
    }

    pub(crate) fn go_on(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.happen(line);
            self.answer();
        }
    }

    pub(crate) fn run(&self) -> &Run {
        self.projector.run()
    }

    fn now(&self) -> u64 {
        self.history.last().map_or(0, |event| event.at_ms)
    }

    fn record(&mut self, at_ms: u64, kind: EventKind) {
        let event = Event { at_ms, kind };
        let seq = self.history.len() as u64 + 1;
        let told = self.projector.push(seq, &event).unwrap_or_else(|error| panic!("{event:?}: {error}"));
        self.told.extend(told);
        self.history.push(event);
    }

    /// Whatever is commanded and needs nobody.
    fn answer(&mut self) {
        let next = |command| match command {
            Command::StartStep { step, attempt, .. } => Some((0, EventKind::StepStarted { step, attempt })),
            Command::OpenGate { step, attempt } => Some((0, EventKind::GateOpened { step, attempt })),
            Command::StartSubRun { step, attempt, .. } => {
                Some((0, EventKind::SubRunStarted { step, attempt, run: "r2".parse().expect("a run id") }))
            }
            Command::EnterState { state, transition, feedback } => {
                Some((0, EventKind::StateEntered { state, transition, feedback }))
            }
            Command::StartTimer { step, attempt, due_ms } => Some((due_ms, EventKind::RetryDue { step, attempt })),
            Command::Finish { outcome } => Some((0, EventKind::RunFinished { outcome })),
            _ => None,
        };
        while let Some((at_ms, kind)) = self.run().outstanding().into_iter().find_map(next) {
            self.record(at_ms.max(self.now() + PACE_MS), kind);
        }
    }

    fn happen(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let attempt = |text: &str| {
            let view = self.run().step(&name(text)).unwrap_or_else(|| panic!("{text} is not in this state"));
            view.attempts.last().map_or(0, |last| last.attempt)
        };
        let at_ms = self.now() + PACE_MS;
        let kind = match verb {
            "end" => {
                let (how, outputs) = rest.split_once(' ').unwrap_or((rest, "{}"));
                let (outcome, reason) = end(how);
                let outputs: Map<_, _> = serde_json::from_str(outputs).expect("JSON");
                EventKind::StepFinished { step: name(first), attempt: attempt(first), outcome, reason, outputs }
            }
            "approve" | "reject" | "answer" => {
                let (by, words) = rest.split_once(' ').unwrap_or((rest, ""));
                let (vote, comment) = match verb {
                    "approve" => (Vote::Approve, words),
                    "reject" => (Vote::Reject, words),
                    _ => (Vote::Answer(words.to_owned()), ""),
                };
                let comment = (!comment.is_empty()).then(|| comment.to_owned());
                EventKind::GateVoted {
                    step: name(first),
                    attempt: attempt(first),
                    by: by.to_owned(),
                    vote,
                    comment,
                    email: None,
                }
            }
            "due" => {
                let due = self.run().gates().iter().find(|gate| gate.step.as_str() == first).map(|gate| gate.due_ms);
                let kind = EventKind::GateDue { step: name(first), attempt: attempt(first) };
                return self.record(due.expect("an open gate"), kind);
            }
            "log" => {
                let (stream, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let stream = match stream {
                    "out" => Stream::Stdout,
                    "err" => Stream::Stderr,
                    "plugin" => Stream::Plugin,
                    _ => Stream::System,
                };
                let (attempt, at_ms) = (attempt(first), self.now());
                let line = self.lines.entry((first.to_owned(), attempt)).or_default();
                *line += 1;
                let line = LogLine { step: name(first), attempt, line: *line, stream, text: text.to_owned() };
                return self.told.push(self.projector.log(at_ms, line));
            }
            "container" => {
                let called = format!("wl-{first}");
                EventKind::ContainerCreated { step: name(first), attempt: attempt(first), index: 0, name: called }
            }
            "unsure" => EventKind::StepUndecided { step: name(first), attempt: attempt(first) },
            "decide" => {
                let decision = match rest {
                    "rerun" => Decision::Rerun,
                    "succeeded" => Decision::Succeeded,
                    _ => Decision::Failed,
                };
                EventKind::StepDecided { step: name(first), attempt: attempt(first), decision, by: "ada".to_owned() }
            }
            "turn" => EventKind::GroupEntered {},
            "cancel" => EventKind::CancelRequested { reason: first.to_owned() },
            _ => panic!("{line:?} is nothing that happens"),
        };
        self.record(at_ms, kind);
    }
}

pub(crate) fn state(called: &str, steps: Vec<Step>, ways: &[(Condition, usize)]) -> State {
    let transitions = ways.iter().map(|(condition, target)| Transition {
        condition: condition.clone(),
        target: *target,
        feedback: None,
    });
    let result = if steps.len() == 1 { ResultShape::Single } else { ResultShape::default() };
    State { transitions: transitions.collect(), result, ..State::of(called, steps) }
}

/// BUILD, which FIX repairs until it passes, then DONE.
pub(crate) fn fix_loop() -> Plan {
    let one = |called: &str, ways: &[(Condition, usize)]| state(called, vec![step(called, &[])], ways);
    let mut build = one("BUILD", &[(Condition::ExitCodeZero, 2), (Condition::ExitCodeNonZero, 1)]);
    build.transitions[1].feedback = Some("exit {{ BUILD.output.exit_code }}: {{ BUILD.output.stderr }}".to_owned());
    let fix = state(
        "FIX",
        vec![configured(
            step("FIX", &[]),
            serde_json::json!({ "script": "fix {{ state.feedback }}" }),
            Treatment::Lenient,
        )],
        &[(Condition::Custom { expression: "FIX.output.patched == true".to_owned() }, 0)],
    );
    states(vec![build, fix, one("DONE", &[])])
}

pub(crate) fn manual(approvers: &[&str], quorum: u32) -> ManualGate {
    ManualGate {
        prompt: Some("Deploy {{ run.id }} to production?".to_owned()),
        approvers: approvers.iter().map(|who| (*who).to_owned()).collect(),
        quorum,
        self_approval: false,
        auto_approve: Vec::new(),
        on_timeout: GateDefault::Reject,
    }
}

pub(crate) fn gate(called: &str, needs: &[&str], gate: Gate) -> Step {
    Step { work: Work::Gate(gate), ..step(called, needs) }
}

pub(crate) fn question(called: &str, prompt: &str) -> Step {
    gate(called, &[], Gate::Question(Question { prompt: prompt.to_owned(), default_response: None }))
}

pub(crate) fn sub_run(called: &str, needs: &[&str], wait: bool) -> Step {
    let sub = SubRun { workflow: "other".to_owned(), wait, inputs: Map::new(), input: None, result_key: None };
    Step { work: Work::SubRun(sub), ..step(called, needs) }
}

pub(crate) fn started_by(who: &str) -> Origin {
    Origin { by: Some(who.to_owned()), ..Origin::default() }
}

/// Whether a step is over.
pub(crate) fn is_over(run: &Run, called: &str) -> bool {
    run.step(&name(called)).is_some_and(|step| step.state == StepState::Finished)
}
