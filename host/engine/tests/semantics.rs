//! What a run does, as tables: a plan, what happens, and what becomes of it.

mod common;

use common::{created, end, name, plan, plan_of, step, summary};
use serde_json::{Map, json};
use windlass_contract::CodedError;
use windlass_engine::{
    Command, Container, Decision, EngineError, Event, EventKind, Outcome, ReasonKind, Run, RunStatus,
};

/// A run that begins at once what it is told to begin, and records its end.
struct Played {
    run: Run,
    history: Vec<Event>,
    commands: Vec<Command>,
}

impl Played {
    fn new(lines: &str) -> Self {
        let first = created(plan_of(lines));
        let (run, commands) = Run::create(&first).expect("a sound plan");
        let mut played = Played { run, history: vec![first], commands: Vec::new() };
        played.answer(commands);
        played
    }

    fn apply(&mut self, kind: EventKind) -> Result<(), EngineError> {
        let event = Event { at_ms: 1000 + self.history.len() as u64, kind };
        let commands = self.run.apply(&event)?;
        self.history.push(event);
        self.answer(commands);
        Ok(())
    }

    fn answer(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.commands.push(command.clone());
            let kind = match command {
                Command::StartStep { step, attempt, .. } => EventKind::StepStarted { step, attempt },
                Command::Finish { outcome } => EventKind::RunFinished { outcome },
                _ => continue,
            };
            self.apply(kind).expect("an answer fits");
        }
    }

    /// `step:end` as in [`end`], or `step:due|undecided|rerun|yes|no`, or `cancel`.
    fn play(&mut self, script: &str) -> &mut Self {
        for word in script.split_whitespace() {
            let Some((own, what)) = word.split_once(':') else {
                assert_eq!(word, "cancel");
                self.apply(EventKind::CancelRequested { reason: "Ctrl-C".to_owned() }).expect("a cancel fits");
                continue;
            };
            let step = name(own);
            let attempt = self.run.step(&step).expect("a known step").attempts.len() as u32;
            let decided =
                |decision| EventKind::StepDecided { step: step.clone(), attempt, decision, by: "ada".to_owned() };
            let kind = match what {
                "due" => EventKind::RetryDue { step, attempt: attempt + 1 },
                "undecided" => EventKind::StepUndecided { step, attempt },
                "rerun" => decided(Decision::Rerun),
                "yes" => decided(Decision::Succeeded),
                "no" => decided(Decision::Failed),
                _ => {
                    let (outcome, reason) = end(what);
                    EventKind::StepFinished { step, attempt, outcome, reason, outputs: Map::new() }
                }
            };
            self.apply(kind).unwrap_or_else(|error| panic!("{word}: {error}"));
        }
        self
    }
}

#[track_caller]
fn check(lines: &str, script: &str, expect: &str) {
    let mut played = Played::new(lines);
    played.play(script);
    assert_eq!(summary(&played.run), expect, "after {script:?}");
    assert_eq!(Run::replay(&played.history).expect("the history fits"), played.run, "replayed, it is the same run");
}

#[test]
fn order_and_needs() {
    check("a:\n b: needs a", "", "a running { cancelling: false }; b waiting; = running");
    check("a:\n b: needs a", "a:ok", "a succeeded; b running { cancelling: false }; = running");
    check("a:\n b: needs a", "a:ok b:ok", "a succeeded; b succeeded; = succeeded");
    check("a:\n b:\n c: needs a+b", "b:ok", "a running { cancelling: false }; b succeeded; c waiting; = running");
    check("a:\n b:\n c: needs a+b", "b:ok a:ok c:ok", "a succeeded; b succeeded; c succeeded; = succeeded");
    // Named twice, waited for once.
    check("a:\n b: needs a+a", "a:ok b:ok", "a succeeded; b succeeded; = succeeded");
}

#[test]
fn conditions() {
    check("a: if 1 == 2\n b: needs a", "b:ok", "a skipped (condition); b succeeded; = succeeded");
    check("a: if 1 == 2", "", "a skipped (condition); = succeeded");
    check("a:\n b: needs a, if failure()", "a:ok", "a succeeded; b skipped (condition); = succeeded");
    check("a:\n b: needs a, if failure()", "a:fail b:ok", "a failed; b succeeded; = failed");
    check("a:\n b: needs a, if always()", "a:fail b:ok", "a failed; b succeeded; = failed");
    check("a:\n b: needs a, if 1 == 1", "a:fail", "a failed; b skipped (run failed by a); = failed");
    check("a:\n b: needs a, if 1 == 2", "a:fail", "a failed; b skipped (condition); = failed");
    check("a:\n b: needs a, if success()", "a:fail", "a failed; b skipped (condition); = failed");
    // `failure()` sees through what was skipped in between, and not what was not needed.
    check(
        "a:\n b: needs a\n c: needs b, if failure()\n d:\n e: needs d, if failure()",
        "a:fail c:ok d:ok",
        "a failed; b skipped (run failed by a); c succeeded; d succeeded; e skipped (condition); = failed",
    );
}

#[test]
fn failures() {
    check("a:\n b: needs a", "a:fail", "a failed; b skipped (run failed by a); = failed");
    // What runs goes on to its end, retries included; what has not begun does not begin.
    check(
        "a:\n b: retry 2\n c: needs b",
        "a:fail b:pull b:ok",
        "a failed; b succeeded x2; c skipped (run failed by a); = failed",
    );
    check("a: continue\n b: needs a", "a:fail b:ok", "a failed (allowed); b succeeded; = succeeded");
    check("a: continue\n b: needs a, if failure()", "a:fail", "a failed (allowed); b skipped (condition); = succeeded");
    // A template that fails is an error of the step, and stops the run like any other.
    check("a: broken\n b: needs a", "", "a error; b skipped (run failed by a); = error");
    check("a: if nobody(\n b: needs a, if always()", "b:ok", "a error; b succeeded; = error");
    check("a: broken, continue\n b: needs a", "b:ok", "a error (allowed); b succeeded; = succeeded");
    check("a:", "a:cancelled", "a cancelled; = failed");
}

#[test]
fn a_template_error_says_which() {
    let played = Played::new("a: broken");
    let view = played.run.step(&name("a")).expect("the step");
    let reason = view.reason.expect("a reason");
    assert_eq!((reason.kind, view.attempts.len()), (ReasonKind::TemplateError, 0));
    assert!(reason.code.as_deref().is_some_and(|code| code.starts_with("WL01")), "{reason:?}");
}

#[test]
fn the_gravest_failure_is_the_runs() {
    let lines = "a:\n b:";
    let check = |script: &str, expect: Outcome| {
        // The order of time plays no part.
        for script in [script.to_owned(), script.split(' ').rev().collect::<Vec<_>>().join(" ")] {
            let mut played = Played::new(lines);
            assert_eq!(played.play(&script).run.outcome(), Some(expect), "after {script:?}");
        }
    };
    check("a:ok b:ok", Outcome::Succeeded);
    check("a:ok b:pull", Outcome::Error);
    check("a:pull b:lost", Outcome::Lost);
    check("a:lost b:timeout", Outcome::TimedOut);
    check("a:timeout b:fail", Outcome::Failed);
    check("a:pull b:fail", Outcome::Failed);
    check("a:fail b:rejected", Outcome::Rejected);
}

#[test]
fn retries() {
    check("a: retry 3", "a:pull a:pull a:ok", "a succeeded x3; = succeeded");
    check("a: retry 3", "a:pull a:pull a:pull", "a error x3; = error");
    check("a: retry 3", "a:denied", "a error; = error");
    check("a: retry 3", "a:exit", "a failed; = failed");
    check("a: retry 3", "a:timeout", "a timed-out; = timed-out");
    check("a: retry 3", "a:lost", "a lost; = lost");
    check("a: retry 3, on exit", "a:exit a:ok", "a succeeded x2; = succeeded");
    check("a: retry 3, on exit", "a:fail", "a failed; = failed");
    check("a: retry 2, backoff 1000", "a:pull", "a retrying { due_ms: 2002 }; = running");
    check("a: retry 2, backoff 1000", "a:pull a:due a:ok", "a succeeded x2; = succeeded");
}

#[test]
fn the_pause_doubles_to_a_day() {
    let pauses = |backoff: &str, attempts: usize| {
        let mut played = Played::new(&format!("a: retry 1000, backoff {backoff}"));
        for _ in 0..attempts {
            played.play("a:pull a:due");
        }
        let ends = played.history.iter().filter(|event| matches!(event.kind, EventKind::StepFinished { .. }));
        let due = played.commands.iter().filter_map(|command| match command {
            Command::StartTimer { due_ms, .. } => Some(*due_ms),
            _ => None,
        });
        ends.zip(due).map(|(end, due)| due - end.at_ms).collect::<Vec<_>>()
    };
    const DAY: u64 = 86_400_000;
    assert_eq!(pauses("10000", 4), [10_000, 20_000, 40_000, 80_000]);
    assert_eq!(pauses("10000", 80).last(), Some(&DAY));
    assert_eq!(pauses(&(3 * DAY).to_string(), 3), [3 * DAY, 3 * DAY, 3 * DAY], "what the author wrote is kept");
    // With jitter, each is shortened by at most a half, and is the same whenever the run is replayed.
    let spread = pauses("10000, jitter", 4);
    assert_eq!(spread, pauses("10000, jitter", 4));
    for (pause, whole) in spread.iter().zip([10_000, 20_000, 40_000, 80_000]) {
        assert!((whole / 2..=whole).contains(pause), "{spread:?}");
    }
    assert_ne!(spread, [10_000, 20_000, 40_000, 80_000]);
}

#[test]
fn a_retry_gets_the_configuration_of_the_first_attempt() {
    let mut played = Played::new("a: retry 2");
    played.play("a:pull");
    let configs: Vec<_> = played
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::StartStep { attempt, config, timeout_ms, .. } => Some((*attempt, config.clone(), *timeout_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(configs, [(1, json!({"script": "true"}), 300_000), (2, json!({"script": "true"}), 300_000)]);
}

#[test]
fn cancelling() {
    check("a:\n b: needs a", "cancel", "a running { cancelling: true }; b waiting; = cancelling");
    check("a:\n b: needs a", "cancel a:cancelled", "a cancelled; b skipped (run cancelled); = cancelled");
    // It ended before the request reached it: what was done is not denied.
    check("a:\n b: needs a", "cancel a:ok", "a succeeded; b skipped (run cancelled); = cancelled");
    check("a: retry 3", "cancel a:pull", "a error; = cancelled");
    check("a: retry 3, backoff 1000", "a:pull cancel", "a cancelled; = cancelled");
    check("a:\n b: needs a, if always()", "cancel a:cancelled b:ok", "a cancelled; b succeeded; = cancelled");
    check("a:\n b: needs a, if cancelled()", "cancel a:cancelled b:ok", "a cancelled; b succeeded; = cancelled");
    check("a:\n b: needs a, if failure()", "cancel a:fail", "a failed; b skipped (condition); = cancelled");
    // The second request stops the cleaning up too; a third changes nothing.
    check(
        "a:\n b: needs a, if always()\n c: needs b, if always()",
        "cancel a:cancelled cancel cancel b:cancelled",
        "a cancelled; b cancelled; c skipped (run cancelled); = cancelled",
    );
}

#[test]
fn a_cancel_withdraws_what_was_not_begun() {
    let lines = "a:\n b: if always()";
    let (mut run, _) = Run::create(&created(plan_of(lines))).expect("a sound plan");
    let cancel = Event { at_ms: 2000, kind: EventKind::CancelRequested { reason: "Ctrl-C".to_owned() } };
    assert_eq!(run.apply(&cancel), Ok(vec![]));
    assert_eq!(summary(&run), "a skipped (run cancelled); b ready; = cancelling");
    let late = Event { at_ms: 2001, kind: EventKind::StepStarted { step: name("a"), attempt: 1 } };
    assert!(matches!(run.apply(&late), Err(EngineError::DoesNotFit { .. })));
}

#[test]
fn a_person_decides() {
    let lines = "a:\n b: needs a";
    check(lines, "a:undecided", "a undecided; b waiting; = blocked");
    check(lines, "a:undecided a:yes b:ok", "a succeeded; b succeeded; = succeeded");
    check(lines, "a:undecided a:no", "a failed; b skipped (run failed by a); = failed");
    // One attempt more than the retries allow.
    check(lines, "a:undecided a:rerun a:ok b:ok", "a succeeded x2; b succeeded; = succeeded");
    check(lines, "a:undecided cancel", "a lost; b skipped (run cancelled); = cancelled");
    let mut played = Played::new(lines);
    played.play("a:undecided");
    assert_eq!(played.run.status(), RunStatus::Blocked);
    assert_eq!(played.run.outstanding(), [Command::AskFate { step: name("a"), attempt: 1 }]);
    assert!(played.run.in_flight().is_empty(), "it must not be executed again before somebody has decided");
}

#[test]
fn what_is_in_flight_knows_its_containers() {
    let mut played = Played::new("a:");
    let recorded = |index, name: &str| EventKind::ContainerCreated {
        step: common::name("a"),
        attempt: 1,
        index,
        name: name.to_owned(),
    };
    played.apply(recorded(0, "wl-0")).expect("the first fits");
    played.apply(recorded(1, "wl-1")).expect("the second fits");
    played.apply(recorded(0, "wl-0")).expect("said again by the same attempt, it is the same fact");
    assert!(matches!(played.apply(recorded(0, "other")), Err(EngineError::DoesNotFit { .. })));
    let flights = played.run.in_flight();
    let [flight] = flights.as_slice() else { panic!("one attempt is in flight, not {flights:?}") };
    assert_eq!((flight.attempt, flight.config, flight.cancelling), (1, &json!({"script": "true"}), false));
    let container = |index, name: &str| Container { index, name: name.to_owned() };
    assert_eq!(flight.containers, [container(0, "wl-0"), container(1, "wl-1")]);
}

#[test]
fn why_a_step_waits_and_what_it_gave() {
    let mut played = Played::new("a:\n b:\n c: needs a+b");
    let finished = EventKind::StepFinished {
        step: name("a"),
        attempt: 1,
        outcome: Outcome::Succeeded,
        reason: None,
        outputs: json!({"exit_code": 0}).as_object().cloned().unwrap_or_default(),
    };
    played.apply(finished).expect("it fits");
    assert_eq!(played.run.waits_for(&name("c")), [&name("b")]);
    let view = played.run.step(&name("a")).expect("the step");
    insta::assert_json_snapshot!(view, @r#"
    {
      "name": "a",
      "state": "finished",
      "outcome": "succeeded",
      "reason": null,
      "skipped": null,
      "allowed_failure": false,
      "carried": false,
      "outputs": {
        "exit_code": 0
      },
      "started_ms": 1001,
      "finished_ms": 1003,
      "attempts": [
        {
          "attempt": 1,
          "started_ms": 1001,
          "finished_ms": 1003,
          "outcome": "succeeded",
          "reason": null,
          "sub_run": null
        }
      ]
    }
    "#);
}

#[test]
fn events_that_do_not_fit_are_refused_in_words() {
    let check = |script: &str, kind: EventKind, expect: &str| {
        let mut played = Played::new("a: retry 2, backoff 9\n b: needs a");
        played.play(script);
        let before = played.run.clone();
        let error = played.run.apply(&Event { at_ms: 1, kind }).expect_err("it does not fit");
        assert_eq!(format!("{} {error}", error.code()), expect);
        assert_eq!(played.run, before, "the run is as it was");
    };
    let started = |step: &str, attempt| EventKind::StepStarted { step: name(step), attempt };
    let finished = |step: &str, attempt, outcome| EventKind::StepFinished {
        step: name(step),
        attempt,
        outcome,
        reason: None,
        outputs: Map::new(),
    };
    check("", created(plan_of("a:")).kind, "WL0202 the run was created twice");
    check("", started("x", 1), "WL0203 step-started names the step x, which the plan does not have");
    check("", started("b", 1), "WL0204 step-started of attempt 1 does not fit the step b, which waits for other steps");
    check(
        "",
        started("a", 1),
        "WL0204 step-started of attempt 1 does not fit the step a, which runs attempt 1 with 0 containers",
    );
    check(
        "",
        finished("a", 2, Outcome::Succeeded),
        "WL0204 step-finished of attempt 2 does not fit the step a, which runs attempt 1 with 0 containers",
    );
    check(
        "",
        finished("a", 1, Outcome::Skipped),
        "WL0204 step-finished of attempt 1 does not fit the step a, which runs attempt 1 with 0 containers",
    );
    check(
        "a:pull",
        EventKind::RetryDue { step: name("a"), attempt: 1 },
        "WL0204 retry-due of attempt 1 does not fit the step a, which waits before attempt 2",
    );
    check(
        "a:ok",
        finished("a", 1, Outcome::Failed),
        "WL0204 step-finished of attempt 1 does not fit the step a, which has ended: succeeded",
    );
    check(
        "",
        EventKind::StepDecided { step: name("a"), attempt: 1, decision: Decision::Rerun, by: "ada".to_owned() },
        "WL0204 step-decided of attempt 1 does not fit the step a, which runs attempt 1 with 0 containers",
    );
    check(
        "",
        EventKind::RunFinished { outcome: Outcome::Succeeded },
        "WL0206 run-finished with the outcome succeeded does not fit: 2 of its steps are not settled",
    );
    check(
        "a:ok b:ok",
        EventKind::CancelRequested { reason: String::new() },
        "WL0205 cancel-requested comes too late: every step of the run is settled",
    );
    check(
        "a:ok b:ok",
        EventKind::RunFinished { outcome: Outcome::Succeeded },
        "WL0205 run-finished comes too late: every step of the run is settled",
    );
}

#[test]
fn plans_that_cannot_be_run_are_refused() {
    let check = |plan, expect: &str| {
        let error = Run::create(&created(plan)).expect_err("the plan is not sound");
        assert_eq!(format!("{} {error}", error.code()), expect);
    };
    let circle = vec![step("a", &["b"]), step("b", &["a"])];
    check(plan(circle), "WL0207 the stored plan cannot be run: its steps need each other in a circle");
    check(plan(vec![step("a", &["a"])]), "WL0207 the stored plan cannot be run: its steps need each other in a circle");
    check(
        plan(vec![step("a", &["z"])]),
        "WL0207 the stored plan cannot be run: a step needs one that it does not have",
    );
    check(
        plan(vec![step("a", &[]), step("a", &[])]),
        "WL0207 the stored plan cannot be run: two of its steps have one name",
    );
    let mut stateless = plan(vec![]);
    stateless.initial = 7;
    check(stateless, "WL0207 the stored plan cannot be run: a state that it names is not there");
}

#[test]
fn a_history_has_a_beginning() {
    assert_eq!(Run::replay([]).expect_err("empty").1, EngineError::NotCreated { found: "nothing" });
    let late = Event { at_ms: 1, kind: EventKind::CancelRequested { reason: String::new() } };
    assert_eq!(Run::replay([&late]).expect_err("wrong"), (0, EngineError::NotCreated { found: "cancel-requested" }));
    let twice = created(plan_of("a:"));
    assert_eq!(Run::replay([&twice, &twice]).expect_err("twice"), (1, EngineError::CreatedTwice));
}

#[test]
fn no_steps_are_an_end() {
    let (run, commands) = Run::create(&created(plan(vec![]))).expect("a sound plan");
    assert_eq!(commands, [Command::Finish { outcome: Outcome::Succeeded }]);
    assert_eq!(run.outstanding(), commands);
}

#[test]
fn a_long_chain_of_skipped_steps_needs_no_deep_stack() {
    let mut steps = vec![step("s0", &[])];
    for i in 1..20_000 {
        steps.push(step(&format!("s{i}"), &[&format!("s{}", i - 1)]));
    }
    let (mut run, _) = Run::create(&created(plan(steps))).expect("a sound plan");
    let commands = run.apply(&Event { at_ms: 1, kind: EventKind::CancelRequested { reason: String::new() } });
    assert_eq!(commands, Ok(vec![Command::Finish { outcome: Outcome::Cancelled }]));
}
