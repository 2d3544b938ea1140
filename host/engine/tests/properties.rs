//! What holds for every plan and every history: random workflows of states, steps, gates and sub-runs; random ends, cancels, retries,
//! votes and decisions; replayed at each prefix, as after a crash there.

mod common;

use common::{broken, created_by, end, name, plan, states, step, summary};
use proptest::prelude::*;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::{Command, Decision, Event, EventKind, Group, Origin, Outcome, Run, RunStatus, StepState, Vote};
use windlass_manifest::plan::{
    Completion, Condition, Gate, GateDefault, ManualGate, OnFailure, Plan, Question, ResultShape, RetryOn, State, Step,
    SubRun, Transition, Work,
};

const CONDITIONS: [Option<&str>; 6] =
    [None, Some("always()"), Some("failure()"), Some("cancelled()"), Some("1 == 1"), Some("1 == 2")];
const ENDS: [&str; 9] = ["ok", "ok", "fail", "exit", "pull", "denied", "timeout", "lost", "cancelled"];
/// No history is longer than this: five states, at most eight transitions, few steps each.
const MAX_EVENTS: usize = 4000;

type Drawn = (u16, usize, u32, u64, bool, u8, u8);

fn work(kind: u8, quorum: u32) -> Option<Work> {
    Some(match kind {
        0..=5 => return None,
        6 => Work::Gate(Gate::Manual(ManualGate {
            prompt: Some("go on?".to_owned()),
            approvers: Vec::new(),
            quorum,
            self_approval: false,
            auto_approve: if quorum == 3 { vec!["1 == 1".to_owned()] } else { Vec::new() },
            on_timeout: GateDefault::Approve,
        })),
        7 => Work::Gate(Gate::Question(Question { prompt: "which?".to_owned(), default_response: None })),
        8 => Work::Gate(Gate::Automated { conditions: vec![format!("{quorum} == 1")] }),
        _ => Work::SubRun(SubRun {
            workflow: "other".to_owned(),
            wait: quorum != 2,
            inputs: Map::new(),
            input: None,
            result_key: (quorum == 1).then(|| "kept".to_owned()),
        }),
    })
}

/// Steps, each of which may need any of those before it.
fn steps(state: usize, drawn: Vec<Drawn>) -> Vec<Step> {
    let of = |(i, (needs, condition, attempts, backoff, on_exit, rest, kind)): (usize, Drawn)| {
        let called = |n: usize| format!("s{state}-{n}");
        let needs: Vec<String> = (0..i).filter(|n| needs & (1 << n) != 0).map(called).collect();
        let mut made = step(&called(i), &needs.iter().map(String::as_str).collect::<Vec<_>>());
        made.condition = CONDITIONS.get(condition).copied().flatten().map(str::to_owned);
        made.retry.max_attempts = attempts;
        made.retry.backoff_ms = backoff;
        if on_exit {
            made.retry.on.insert(RetryOn::NonZeroExit);
        }
        if rest < 5 {
            made.on_failure = OnFailure::Continue;
        }
        match work(kind, attempts) {
            Some(work) => Step { work, ..made },
            None if rest == 19 => broken(made),
            None => made,
        }
    };
    drawn.into_iter().enumerate().map(of).collect()
}

fn one_step() -> impl Strategy<Value = Drawn> {
    (any::<u16>(), 0..12_usize, 1..4_u32, prop::sample::select(vec![0_u64, 1000]), any::<bool>(), 0..20_u8, 0..10_u8)
}

fn way_out() -> impl Strategy<Value = (Condition, usize, bool)> {
    let condition = prop::sample::select(vec![
        Condition::Always,
        Condition::OnSuccess,
        Condition::OnFailure,
        Condition::OnError,
        Condition::OnTimeout,
        Condition::ExitCodeNonZero,
        Condition::InputEqualsYes,
        Condition::Custom { expression: "contains('abc', 'b')".to_owned() },
        Condition::Custom { expression: "1".to_owned() },
    ]);
    (condition, any::<usize>(), any::<bool>())
}

/// A graph of steps, or a workflow of up to five states.
fn plans() -> impl Strategy<Value = Plan> {
    let graph = prop::collection::vec(one_step(), 1..9).prop_map(|drawn| plan(steps(0, drawn)));
    let state = (
        prop::collection::vec(one_step(), 0..4),
        prop::collection::vec(way_out(), 0..4),
        0..3_u8,
        1..4_u32,
        prop::bool::weighted(0.2),
    );
    let workflow = (prop::collection::vec(state, 1..5), 1..9_u32).prop_map(|(drawn, max_transitions)| {
        let count = drawn.len();
        let made = drawn.into_iter().enumerate().map(|(at, (drawn, ways, completion, max_visits, fails))| {
            let steps = steps(at, drawn);
            let transitions = ways.into_iter().map(|(condition, target, feedback)| Transition {
                condition,
                target: target % count,
                feedback: feedback.then(|| format!("from {{{{ S{at}.status }}}}")),
            });
            State {
                completion: [Completion::AllSucceed, Completion::AnySucceed, Completion::BestEffort]
                    [usize::from(completion)],
                result: if steps.len() == 1 { ResultShape::Single } else { ResultShape::default() },
                transitions: transitions.collect(),
                fails,
                max_visits,
                ..State::of(format!("S{at}"), steps)
            }
        });
        Plan { max_transitions, ..states(made.collect()) }
    });
    prop_oneof![graph, workflow]
}

/// Everything that may happen next, legally. The choices that make no progress are bounded by `spare`.
fn possible(run: &Run, choice: u8, spare: bool) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    for command in run.outstanding() {
        match command {
            Command::StartStep { step, attempt, .. } => kinds.push(EventKind::StepStarted { step, attempt }),
            Command::StartTimer { step, attempt, .. } => kinds.push(EventKind::RetryDue { step, attempt }),
            Command::AskFate { step, attempt } => {
                let decision = match choice % 3 {
                    0 => Decision::Succeeded,
                    1 if spare => Decision::Rerun,
                    _ => Decision::Failed,
                };
                kinds.push(EventKind::StepDecided { step, attempt, decision, by: "ada".to_owned() });
            }
            Command::OpenGate { step, attempt } => kinds.push(EventKind::GateOpened { step, attempt }),
            Command::AwaitGate { step, attempt, .. } => {
                kinds.push(EventKind::GateDue { step: step.clone(), attempt });
                let question =
                    run.gates().iter().any(|gate| *gate.step == step && matches!(gate.gate, Gate::Question(_)));
                let vote = match choice % 3 {
                    _ if question => Vote::Answer(["yes", "no", "blue"][usize::from(choice % 3)].to_owned()),
                    0 => Vote::Reject,
                    _ => Vote::Approve,
                };
                // One identity may vote again and again, which changes nothing: only with choices to spare.
                let voters = run.gates().iter().find(|gate| *gate.step == step).map_or(0, |gate| gate.votes.len());
                if spare || voters < 4 {
                    let by = format!("voter-{}", if spare { usize::from(choice % 4) } else { voters });
                    kinds.push(EventKind::GateVoted { step, attempt, by, vote, comment: None, email: None });
                }
            }
            Command::StartSubRun { step, attempt, .. } => {
                kinds.push(EventKind::SubRunStarted { step, attempt, run: "r2".parse().expect("a run id") });
            }
            Command::EnterGroup { .. } => kinds.push(EventKind::GroupEntered {}),
            Command::EnterState { state, transition, feedback } => {
                kinds.push(EventKind::StateEntered { state, transition, feedback });
            }
            Command::Finish { outcome } => kinds.push(EventKind::RunFinished { outcome }),
            Command::CancelStep { .. } => {}
        }
    }
    for flight in run.in_flight() {
        let (step, attempt) = (flight.step.name.clone(), flight.attempt);
        let (outcome, reason) = end(ENDS[choice as usize % ENDS.len()]);
        let outputs = Map::from_iter([("exit_code".to_owned(), (choice % 3).into())]);
        kinds.push(EventKind::StepFinished { step: step.clone(), attempt, outcome, reason, outputs });
        if spare && flight.step.plugin().is_some() {
            let index = flight.containers.len() as u32;
            let name = format!("wl-{step}-{attempt}-{index}");
            kinds.push(EventKind::ContainerCreated { step: step.clone(), attempt, index, name });
            if !flight.cancelling {
                kinds.push(EventKind::StepUndecided { step, attempt });
            }
        }
    }
    if spare && run.outcome().is_none() {
        kinds.push(EventKind::CancelRequested { reason: "Ctrl-C".to_owned() });
    }
    kinds
}

/// Events that may or may not fit, about every step.
fn anything(run: &Run) -> Vec<EventKind> {
    let mut kinds = vec![
        EventKind::RunFinished { outcome: Outcome::Rejected },
        created_by(plan(vec![]), Origin::default()).kind,
        EventKind::GroupEntered {},
        EventKind::StateEntered { state: "S0".to_owned(), transition: 7, feedback: None },
    ];
    let known: Vec<_> =
        run.steps().map(|step| (step.name.clone(), step.attempts.last().map_or(0, |last| last.attempt))).collect();
    for (step, present) in known.into_iter().chain([(name("nobody"), 0)]) {
        for attempt in [0, present, present + 1, u32::MAX] {
            let step = step.clone();
            let (outcome, reason) = (Outcome::Skipped, None);
            kinds.extend([
                EventKind::StepStarted { step: step.clone(), attempt },
                EventKind::RetryDue { step: step.clone(), attempt },
                EventKind::StepUndecided { step: step.clone(), attempt },
                EventKind::StepDecided { step: step.clone(), attempt, decision: Decision::Failed, by: String::new() },
                EventKind::ContainerCreated { step: step.clone(), attempt, index: 0, name: "x".to_owned() },
                EventKind::GateOpened { step: step.clone(), attempt },
                EventKind::GateDue { step: step.clone(), attempt },
                EventKind::GateVoted {
                    step: step.clone(),
                    attempt,
                    by: "starter".to_owned(),
                    vote: Vote::Approve,
                    comment: None,
                    email: None,
                },
                EventKind::SubRunStarted { step: step.clone(), attempt, run: "r3".parse().expect("a run id") },
                EventKind::StepFinished { step, attempt, outcome, reason, outputs: Map::new() },
            ]);
        }
    }
    kinds
}

/// Commands issued and not answered, kept without the engine: by step and attempt, and which command.
#[derive(Default)]
struct Ledger(BTreeMap<String, Command>);

impl Ledger {
    fn key(command: &Command) -> String {
        match command {
            Command::StartStep { step, attempt, .. } => format!("{step} {attempt} start"),
            Command::StartTimer { step, attempt, .. } => format!("{step} {attempt} timer"),
            Command::AskFate { step, attempt } => format!("{step} {attempt} fate"),
            Command::OpenGate { step, attempt } => format!("{step} {attempt} open"),
            Command::AwaitGate { step, attempt, .. } => format!("{step} {attempt} gate"),
            Command::StartSubRun { step, attempt, .. } => format!("{step} {attempt} sub"),
            Command::CancelStep { step, attempt } => format!("{step} {attempt} cancel"),
            Command::EnterGroup { .. } => "run group".to_owned(),
            Command::EnterState { .. } => "run state".to_owned(),
            Command::Finish { .. } => "run finish".to_owned(),
        }
    }

    fn answer(&mut self, kind: &EventKind) {
        let answered = match kind {
            EventKind::StepStarted { step, attempt } => format!("{step} {attempt} start"),
            EventKind::RetryDue { step, attempt } => format!("{step} {attempt} timer"),
            EventKind::StepDecided { step, attempt, .. } => format!("{step} {attempt} fate"),
            EventKind::GateOpened { step, attempt } => format!("{step} {attempt} open"),
            EventKind::GateDue { step, attempt } => format!("{step} {attempt} gate"),
            EventKind::SubRunStarted { step, attempt, .. } => format!("{step} {attempt} sub"),
            EventKind::StepFinished { step, attempt, .. } => format!("{step} {attempt} cancel"),
            EventKind::GroupEntered {} => "run group".to_owned(),
            EventKind::StateEntered { .. } => "run state".to_owned(),
            EventKind::RunFinished { .. } => "run finish".to_owned(),
            _ => return,
        };
        self.0.remove(&answered);
    }

    /// A cancel withdraws what belongs to the steps that it settles, and a state's end what was still asked of them.
    fn withdraw(&mut self, run: &Run, kind: &EventKind) {
        let over: BTreeSet<String> =
            run.steps().filter(|step| step.state == StepState::Finished).map(|step| step.name.to_string()).collect();
        self.0.retain(|key, _| !over.contains(key.split(' ').next().unwrap_or_default()));
        if matches!(kind, EventKind::CancelRequested { .. }) {
            self.0.retain(|key, _| key != "run group" && key != "run state");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 600 } else { 20_000 }))]

    #[test]
    fn every_history(
        plan in plans(),
        grouped in prop::bool::weighted(0.2),
        choices in prop::collection::vec(any::<(u8, u8)>(), 0..80),
    ) {
        let group = grouped.then(|| Group { name: "deploy".to_owned(), limit: 1 });
        let origin = Origin { by: Some("starter".to_owned()), group, ..Origin::default() };
        let first = created_by(plan.clone(), origin);
        let (mut run, commands) = Run::create(&first).expect("a sound plan");
        let mut history = vec![first];
        let mut ledger = Ledger::default();
        let mut begun = BTreeSet::new();
        let mut finishes = 0;
        let mut reruns = BTreeMap::<String, u32>::new();
        let mut fresh = commands;
        let mut choices = choices.into_iter();
        loop {
            for command in fresh {
                if let Command::StartStep { step, .. } | Command::OpenGate { step, .. } | Command::StartSubRun { step, .. } = &command {
                    let planned = run.planned_step(step).expect("a step of the present state");
                    for need in &planned.needs {
                        let state = run.step(need).expect("a step of the present state").state;
                        prop_assert_eq!(state, StepState::Finished, "{} began before {}", step, need);
                    }
                }
                finishes += u32::from(matches!(command, Command::Finish { .. }));
                let again = matches!(command, Command::AwaitGate { .. });
                prop_assert!(ledger.0.insert(Ledger::key(&command), command).is_none() || again, "commanded twice");
            }
            let replayed = Run::replay(&history).expect("a legal history fits");
            prop_assert_eq!(&replayed, &run);
            let mut outstanding: Vec<_> = replayed.outstanding();
            outstanding.sort_by_key(Ledger::key);
            // The warnings of a first attempt are said once; all else is as it was commanded.
            prop_assert_eq!(outstanding, ledger.0.values().cloned().collect::<Vec<_>>());
            for kind in anything(&run) {
                let mut hit = run.clone();
                if hit.apply(&Event { at_ms: 5, kind: kind.clone() }).is_err() {
                    prop_assert_eq!(&hit, &run, "{:?} was refused and changed the run", kind);
                }
            }
            for view in run.steps() {
                let planned = run.planned_step(view.name).expect("a step of the present state");
                let granted = reruns.get(view.name.as_str()).copied().unwrap_or_default();
                prop_assert!(view.attempts.len() as u32 <= planned.retry.max_attempts + granted);
            }
            if run.status() == RunStatus::Finished {
                break;
            }
            let (which, choice) = choices.next().unwrap_or_default();
            let possible = possible(&run, choice, choices.len() > 0);
            prop_assert!(!possible.is_empty(), "the run is stuck: {}", summary(&run));
            let kind = possible[which as usize % possible.len()].clone();
            if let EventKind::StepDecided { step, decision: Decision::Rerun, .. } = &kind {
                *reruns.entry(step.to_string()).or_default() += 1;
            }
            if let EventKind::StepStarted { step, attempt } | EventKind::GateOpened { step, attempt }
                | EventKind::SubRunStarted { step, attempt, .. } = &kind
            {
                prop_assert!(begun.insert((step.clone(), *attempt)), "{} {} began twice", step, attempt);
            }
            let event = Event { at_ms: 1000 + history.len() as u64, kind };
            let stored = event.encode().expect("it has a JSON form");
            prop_assert_eq!(Event::decode(&stored), Ok(event.clone()));
            ledger.answer(&event.kind);
            fresh = run.apply(&event).expect("a possible event fits");
            ledger.withdraw(&run, &event.kind);
            history.push(event);
            prop_assert!(history.len() < MAX_EVENTS, "it does not end");
        }
        prop_assert_eq!(finishes, 1);
        prop_assert!(run.outstanding().is_empty() && run.in_flight().is_empty());
        prop_assert!(run.visits().len() <= plan.max_transitions as usize + 1);
        for (at, state) in plan.states.iter().enumerate() {
            let visits = run.visits().filter(|visit| visit.state == state.name).count();
            prop_assert!(visits <= state.max_visits.max(1) as usize, "state {at} was entered {visits} times");
        }
    }

    #[test]
    fn decoding_never_panics(text in ".{0,200}") {
        let _ = Event::decode(&text);
    }
}
