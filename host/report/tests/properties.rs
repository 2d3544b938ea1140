//! What holds for every history: random workflows, and whatever may happen in them.

mod common;

use common::{Story, broken, created_by, end, gate, manual, state, states, step, sub_run};
use proptest::prelude::*;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::{
    CarriedStep, Command, Decision, Event, EventKind, Group, Origin, Outcome, Rerun, Run, RunStatus, Vote,
};
use windlass_manifest::plan::{Condition, Gate, OnFailure, Plan, Question, State, Step, Work};
use windlass_report::{
    Item, Plain, Projector, Told,
    console::Console,
    json_lines, junit, sse,
    summary::{RowKind, summary, table},
    why::why_waiting,
};

const CONDITIONS: [Option<&str>; 5] = [None, None, Some("always()"), Some("failure()"), Some("inputs.x == 2")];
const ENDS: [&str; 7] = ["ok", "ok", "fail", "exit", "pull", "timeout", "cancelled"];

type Drawn = (u8, usize, u32, bool, u8, bool);

fn one_step() -> impl Strategy<Value = Drawn> {
    (any::<u8>(), 0..CONDITIONS.len(), 1..3_u32, any::<bool>(), 0..10_u8, any::<bool>())
}

fn steps(state: usize, drawn: Vec<Drawn>) -> Vec<Step> {
    let of = |(i, (needs, condition, attempts, pause, kind, may_fail)): (usize, Drawn)| {
        let called = |n: usize| format!("s{state}-{n}");
        let needs: Vec<String> = (0..i).filter(|n| needs & (1 << n) != 0).map(called).collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let own = called(i);
        let mut made = match kind {
            0 => gate(&own, &needs, Gate::Manual(manual(&[], attempts))),
            1 => {
                let question = Question { prompt: "which?".to_owned(), default_response: None };
                gate(&own, &needs, Gate::Question(question))
            }
            2 => gate(&own, &needs, Gate::Automated { conditions: vec![format!("{attempts} == 1")] }),
            3 => sub_run(&own, &needs, may_fail),
            4 if attempts == 1 => broken(step(&own, &needs)),
            _ => step(&own, &needs),
        };
        made.condition = CONDITIONS[condition].map(str::to_owned);
        made.retry.max_attempts = attempts;
        made.retry.backoff_ms = if pause { 1000 } else { 0 };
        if may_fail {
            made.on_failure = OnFailure::Continue;
        }
        made
    };
    drawn.into_iter().enumerate().map(of).collect()
}

fn plans() -> impl Strategy<Value = Plan> {
    let ways = prop::collection::vec((prop::bool::ANY, any::<usize>()), 0..3);
    let drawn = prop::collection::vec((prop::collection::vec(one_step(), 0..5), ways), 1..4);
    drawn.prop_map(|drawn| {
        let count = drawn.len();
        let each = drawn.into_iter().enumerate().map(|(at, (drawn, ways))| {
            let way = |(always, target): (bool, usize)| {
                (if always { Condition::Always } else { Condition::OnFailure }, target % count)
            };
            let ways: Vec<_> = ways.into_iter().map(way).collect();
            State { max_visits: 2, ..state(&format!("S{at}\u{7}"), steps(at, drawn), &ways) }
        });
        states(each.collect())
    })
}

/// Everything that may happen next, legally. What makes no progress happens only with choices to spare.
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
                let asks =
                    run.planned_step(&step).is_some_and(|step| matches!(step.work, Work::Gate(Gate::Question(_))));
                let vote = match choice % 3 {
                    _ if asks => Vote::Answer("blue\n\u{1b}[2J".to_owned()),
                    0 => Vote::Reject,
                    _ => Vote::Approve,
                };
                if spare {
                    let by = format!("voter-{}", choice % 4);
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
        kinds.push(EventKind::StepFinished { step: step.clone(), attempt, outcome, reason, outputs: Map::new() });
        if spare && !flight.cancelling && flight.step.plugin().is_some() {
            kinds.push(EventKind::StepUndecided { step, attempt });
        }
    }
    if spare && run.outcome().is_none() && choice < 24 {
        kinds.push(EventKind::CancelRequested { reason: "Ctrl-C".to_owned() });
    }
    kinds
}

/// A history that ends, and all that was told of it.
fn play(plan: &Plan, origin: Origin, choices: Vec<(u8, u8)>) -> (Vec<Event>, Vec<Told>, Projector) {
    let first = created_by(plan.clone(), origin);
    let (mut projector, mut told) = Projector::from_created(&first, 1).expect("a sound plan");
    let mut history = vec![first];
    let mut choices = choices.into_iter();
    while projector.run().status() != RunStatus::Finished {
        let (which, choice) = choices.next().unwrap_or_default();
        let possible = possible(projector.run(), choice, choices.len() > 0);
        let kind = possible[which as usize % possible.len()].clone();
        // Clocks may be set back.
        let event = Event { at_ms: 5000 + history.len() as u64 * 100 - u64::from(choice), kind };
        let seq = history.len() as u64 + 1;
        told.extend(projector.push(seq, &event).expect("a possible event fits"));
        history.push(event);
    }
    (history, told, projector)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 10_000 }))]

    #[test]
    fn every_history(
        plan in plans(),
        grouped in prop::bool::weighted(0.2),
        carried in prop::bool::weighted(0.2),
        choices in prop::collection::vec(any::<(u8, u8)>(), 0..60),
        width in 0..200_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let group = grouped.then(|| Group { name: "deploy".to_owned(), limit: 1 });
        let rerun = carried.then(|| {
            let taken = plan.states[0].steps.iter().filter(|step| step.needs.is_empty()).map(|step| {
                (step.name.clone(), CarriedStep { outcome: Outcome::Succeeded, outputs: Map::new() })
            });
            Box::new(Rerun {
                of: "r0".parse().expect("a run id"),
                state: plan.states[0].name.clone(),
                feedback: None,
                states: Map::new(),
                blackboard: Map::new(),
                steps: taken.collect(),
            })
        });
        let origin = Origin { by: Some("ada\u{1b}[2J".to_owned()), group, rerun, ..Origin::default() };
        let (history, told, projector) = play(&plan, origin, choices);

        // Ids go up, and what is written is read back.
        prop_assert!(told.iter().map(|told| told.id().expect("no logs here")).is_sorted_by(|a, b| a < b));
        for told in &told {
            let line = json_lines::line(told);
            prop_assert!(!line.is_empty() && !line.contains('\n'));
            prop_assert_eq!(&serde_json::from_str::<Told>(&line).expect("it is read back"), told);
            let tag = format!("\"type\":\"{}\"", told.item.name());
            prop_assert!(line.contains(&tag), "{} in {}", tag, line);
            let id = told.id().expect("no logs here");
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(sse::frame(told).matches("\n\n").count(), 1);
        }

        // Every attempt that began has ended once; every step of every visit is told of once at last.
        let mut open = BTreeSet::new();
        let mut begun = BTreeSet::new();
        let mut settled = BTreeMap::<(usize, String), u32>::new();
        let mut visits = 0;
        for told in &told {
            visits += usize::from(matches!(told.item, Item::StateEntered { .. }));
            if let Some(attempt) = told.item.began() {
                prop_assert!(open.insert(attempt) && begun.insert(attempt), "{:?} began twice", attempt);
            }
            let over = match (&told.item, told.item.ended()) {
                (_, Some(ended)) => {
                    match ended.attempt {
                        Some(attempt) => prop_assert!(open.remove(&(ended.step, attempt)), "{:?} had not begun", ended),
                        None => prop_assert!(open.iter().all(|(step, _)| *step != ended.step), "{:?} is under way", ended),
                    }
                    ended.retry_ms.is_none().then_some(ended.step)
                }
                (Item::StepSkipped { step, .. } | Item::StepCarried { step, .. }, _) => Some(step),
                _ => None,
            };
            if let Some(step) = over {
                *settled.entry((visits, step.to_string())).or_default() += 1;
            }
        }
        prop_assert!(open.is_empty(), "{:?} never ended", open);
        prop_assert_eq!(visits, projector.run().visits().len());
        for (visit, view) in (1..).zip(projector.run().visits()) {
            for step in view.steps {
                prop_assert_eq!(settled.remove(&(visit, step.name.to_string())), Some(1), "{} of visit {}", step.name, visit);
            }
        }
        prop_assert!(settled.is_empty(), "{:?}", settled);
        let is_end = |told: &Told| matches!(told.item, Item::RunEnded { .. });
        prop_assert_eq!(told.iter().filter(|told| is_end(told)).count(), 1);
        prop_assert!(told.last().is_some_and(is_end));

        // Who comes later, or reads a part twice, is told the same.
        let at = cut.index(history.len());
        let run = Run::replay(&history[..=at]).expect("a legal history fits");
        for step in run.plan().steps() {
            let waits = why_waiting(&run, &step.name);
            prop_assert!(waits.is_none_or(|why| !why.is_empty()));
        }
        let mut late = Projector::new(&run, at as u64 + 2);
        let mut again = Vec::new();
        for (n, event) in history.iter().enumerate().skip(1) {
            again.extend(late.push(n as u64 + 1, event).expect("a legal history fits"));
        }
        let rest: Vec<&Told> = told.iter().filter(|told| told.seq > at as u64 + 1).collect();
        prop_assert_eq!(again.iter().collect::<Vec<_>>(), rest);
        prop_assert_eq!(late.run(), projector.run());

        // Whatever is told can be shown.
        let console = Console::new(&plan, width, Plain);
        for line in told.iter().flat_map(|told| console.lines(told)) {
            prop_assert!(!line.contains(|c: char| c.is_control()), "{:?}", line);
        }
        let rows = summary(projector.run());
        let shown = rows.iter().filter(|row| row.kind == RowKind::Step).count();
        prop_assert_eq!(shown, projector.run().visits().map(|visit| visit.steps.len()).sum::<usize>());
        let shown_rows = table(&rows, &Plain);
        prop_assert_eq!(shown_rows.lines().count(), rows.len());
        prop_assert!(!shown_rows.contains(|c: char| c.is_control() && c != '\n'), "{:?}", shown_rows);
        let xml = junit::render(&told);
        prop_assert_eq!(xml.matches("<testsuite ").count(), visits);
        prop_assert_eq!(xml.matches("</testsuite>").count(), visits);
        prop_assert!(xml.matches("<testcase ").count() >= shown);
    }

    #[test]
    fn any_id_is_parsed_or_refused(text in ".{0,60}") {
        if let Ok(id) = text.parse::<windlass_report::EventId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn any_line_can_be_shown(text in any::<String>()) {
        prop_assert!(!windlass_report::words::bare(&text).contains(|c: char| c.is_control() && c != '\t'));
    }
}

#[test]
fn events_in_their_order() {
    let story = Story::play(common::plan_of("a:"), common::started_by("ada"), "end a ok");
    let (mut projector, _) = Projector::from_created(&story.history[0], 1).expect("a sound plan");
    let before = projector.run().clone();
    let gap = projector.push(3, &story.history[2]).expect_err("the second is missing");
    assert_eq!(
        gap.to_string(),
        "step-finished does not fit: it is number 3, and number 2 is missing; read the run again"
    );
    // What does not fit changes nothing, and its number is still waited for.
    projector.push(2, &story.history[2]).expect_err("it has not begun");
    assert_eq!((projector.run(), projector.next_seq()), (&before, 2));
    let told = projector.push(2, &story.history[1]).expect("it fits");
    assert!(matches!(&told[..], [Told { seq: 2, part: 0, item: Item::StepStarted { .. }, .. }]));
    assert_eq!(projector.push(2, &story.history[1]).expect("it is known").len(), 0);
    let wrong = Projector::from_created(&story.history[1], 1).expect_err("no beginning");
    assert!(wrong.to_string().contains("run-created"), "{wrong}");
}
