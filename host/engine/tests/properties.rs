//! What holds for every plan and every history: random graphs, ends, cancels, retries and decisions, replayed at each prefix.

mod common;

use common::{broken, created, end, plan, step};
use proptest::prelude::*;
use serde_json::Map;
use std::collections::BTreeMap;
use windlass_engine::{Command, Decision, Event, EventKind, Outcome, Run, RunStatus, StepState};
use windlass_manifest::plan::{OnFailure, RetryOn, Step};

const CONDITIONS: [Option<&str>; 6] =
    [None, Some("always()"), Some("failure()"), Some("cancelled()"), Some("1 == 1"), Some("1 == 2")];
const ENDS: [&str; 9] = ["ok", "ok", "fail", "exit", "pull", "denied", "timeout", "lost", "cancelled"];

/// Steps, each of which may need any of those before it.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (any::<u16>(), 0..12_usize, 1..4_u32, prop::sample::select(vec![0_u64, 1000]), any::<bool>(), 0..20_u8);
    prop::collection::vec(one, 1..9).prop_map(|drawn| {
        let of =
            |(i, (needs, condition, attempts, backoff, on_exit, rest)): (usize, (u16, usize, u32, u64, bool, u8))| {
                let needs: Vec<String> = (0..i).filter(|n| needs & (1 << n) != 0).map(|n| format!("s{n}")).collect();
                let mut made = step(&format!("s{i}"), &needs.iter().map(String::as_str).collect::<Vec<_>>());
                made.condition = CONDITIONS.get(condition).copied().flatten().map(str::to_owned);
                made.retry.max_attempts = attempts;
                made.retry.backoff_ms = backoff;
                if on_exit {
                    made.retry.on.insert(RetryOn::NonZeroExit);
                }
                if rest < 5 {
                    made.on_failure = OnFailure::Continue;
                }
                if rest == 19 { broken(made) } else { made }
            };
        drawn.into_iter().enumerate().map(of).collect()
    })
}

/// Everything that may happen next, legally. The choices that make no progress are bounded by `spare`.
fn possible(run: &Run, choice: u8, spare: bool) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    for command in run.outstanding() {
        match command {
            Command::StartStep { step, attempt, .. } => kinds.push(EventKind::StepStarted { step, attempt }),
            Command::StartTimer { step, attempt, .. } => kinds.push(EventKind::RetryDue { step, attempt }),
            Command::OpenGate { step, attempt } => {
                let decision = match choice % 3 {
                    0 => Decision::Succeeded,
                    1 if spare => Decision::Rerun,
                    _ => Decision::Failed,
                };
                kinds.push(EventKind::StepDecided { step, attempt, decision, by: "ada".to_owned() });
            }
            Command::Finish { outcome } => kinds.push(EventKind::RunFinished { outcome }),
            Command::CancelStep { .. } => {}
        }
    }
    for flight in run.in_flight() {
        let (step, attempt) = (flight.step.name.clone(), flight.attempt);
        let (outcome, reason) = end(ENDS[choice as usize % ENDS.len()]);
        let finished = EventKind::StepFinished { step: step.clone(), attempt, outcome, reason, outputs: Map::new() };
        kinds.push(finished);
        if spare {
            let index = flight.containers.len() as u32;
            kinds.push(EventKind::ContainerCreated {
                step: step.clone(),
                attempt,
                index,
                name: format!("wl-{step}-{attempt}-{index}"),
            });
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
    let mut kinds = vec![EventKind::RunFinished { outcome: Outcome::Rejected }, created(plan(vec![])).kind];
    for step in run.steps() {
        let present = step.attempts.len() as u32;
        for attempt in [0, present, present + 1, u32::MAX] {
            let step = step.name.clone();
            let (outcome, reason) = (Outcome::Skipped, None);
            kinds.extend([
                EventKind::StepStarted { step: step.clone(), attempt },
                EventKind::RetryDue { step: step.clone(), attempt },
                EventKind::StepUndecided { step: step.clone(), attempt },
                EventKind::StepDecided { step: step.clone(), attempt, decision: Decision::Failed, by: String::new() },
                EventKind::ContainerCreated { step: step.clone(), attempt, index: 0, name: "x".to_owned() },
                EventKind::StepFinished { step, attempt, outcome, reason, outputs: Map::new() },
            ]);
        }
    }
    kinds
}

/// Commands issued and not answered, kept without the engine: by (step, which command).
#[derive(Default)]
struct Ledger(BTreeMap<String, Command>);

impl Ledger {
    fn key(command: &Command) -> String {
        match command {
            Command::StartStep { step, attempt, .. } => format!("{step} {attempt} start"),
            Command::StartTimer { step, attempt, .. } => format!("{step} {attempt} timer"),
            Command::OpenGate { step, attempt } => format!("{step} {attempt} gate"),
            Command::CancelStep { step, attempt } => format!("{step} {attempt} cancel"),
            Command::Finish { .. } => "finish".to_owned(),
        }
    }

    fn answer(&mut self, kind: &EventKind) {
        let answered = match kind {
            EventKind::StepStarted { step, attempt } => format!("{step} {attempt} start"),
            EventKind::RetryDue { step, attempt } => format!("{step} {attempt} timer"),
            EventKind::StepDecided { step, attempt, .. } => format!("{step} {attempt} gate"),
            EventKind::StepFinished { step, attempt, .. } => format!("{step} {attempt} cancel"),
            EventKind::RunFinished { .. } => "finish".to_owned(),
            _ => return,
        };
        self.0.remove(&answered);
    }

    /// A cancel withdraws what belongs to the steps that it settles.
    fn withdraw(&mut self, run: &Run) {
        for step in run.steps().filter(|step| step.state == StepState::Finished) {
            self.0.retain(|key, _| !key.starts_with(&format!("{} ", step.name)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history(steps in steps(), choices in prop::collection::vec(any::<(u8, u8)>(), 0..60)) {
        let first = created(plan(steps.clone()));
        let (mut run, commands) = Run::create(&first).expect("a sound plan");
        let mut history = vec![first];
        let mut ledger = Ledger::default();
        let mut finishes = 0;
        let mut reruns = BTreeMap::<String, u32>::new();
        let mut fresh = commands;
        let mut choices = choices.into_iter();
        loop {
            for command in fresh {
                if let Command::StartStep { step, .. } = &command {
                    let planned = steps.iter().find(|planned| planned.name == *step).expect("a step of the plan");
                    for need in &planned.needs {
                        let state = run.step(need).expect("a step of the plan").state;
                        prop_assert_eq!(state, StepState::Finished, "{} began before {}", step, need);
                    }
                }
                finishes += u32::from(matches!(command, Command::Finish { .. }));
                prop_assert!(ledger.0.insert(Ledger::key(&command), command).is_none(), "commanded twice");
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
                let planned = steps.iter().find(|planned| planned.name == *view.name).expect("a step of the plan");
                let granted = reruns.get(view.name.as_str()).copied().unwrap_or_default();
                prop_assert!(view.attempts.len() as u32 <= planned.retry.max_attempts + granted);
            }
            if run.status() == RunStatus::Finished {
                break;
            }
            let (which, choice) = choices.next().unwrap_or_default();
            let possible = possible(&run, choice, choices.len() > 0);
            prop_assert!(!possible.is_empty(), "the run is stuck: {}", common::summary(&run));
            let kind = possible[which as usize % possible.len()].clone();
            if let EventKind::StepDecided { step, decision: Decision::Rerun, .. } = &kind {
                *reruns.entry(step.to_string()).or_default() += 1;
            }
            let event = Event { at_ms: 1000 + history.len() as u64, kind };
            let stored = event.encode().expect("it has a JSON form");
            prop_assert_eq!(Event::decode(&stored), Ok(event.clone()));
            ledger.answer(&event.kind);
            fresh = run.apply(&event).expect("a possible event fits");
            ledger.withdraw(&run);
            history.push(event);
        }
        prop_assert_eq!(finishes, 1);
        prop_assert!(run.outstanding().is_empty() && run.in_flight().is_empty());
    }

    #[test]
    fn decoding_never_panics(text in ".{0,200}") {
        let _ = Event::decode(&text);
    }
}
