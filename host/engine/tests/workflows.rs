//! Workflows of states: where a run goes, what it says on the way, how it waits, and how it is repeated. As tables.

mod common;

use common::{configured, created_by, end, name, states, step};
use serde_json::{Map, Value, json};
use windlass_contract::CodedError;
use windlass_engine::{
    Command, EngineError, Event, EventKind, Group, Origin, Outcome, RerunFrom, Run, RunStatus, StepState, Vote,
};
use windlass_manifest::plan::{
    Completion, Condition, ConfidenceWeighting, Consensus, ConsensusStrategy, Gate, GateDefault, ManualGate, OnFailure,
    Plan, Question, ResultShape, Schedule, State, Step, SubRun, Transition, Treatment, Window, Work,
};

const HOUR: u64 = 3_600_000;

/// A run that begins at once what it is told to begin, moves on by itself, and records its end.
struct Played {
    run: Run,
    history: Vec<Event>,
    /// What was handed to each step, in order: its configuration's `script`, a gate's prompt, a sub-run's inputs.
    handed: Vec<String>,
    now: u64,
}

impl Played {
    fn new(plan: Plan) -> Self {
        Self::of(plan, Origin { by: Some("starter".to_owned()), ..Origin::default() })
    }

    fn of(plan: Plan, origin: Origin) -> Self {
        let first = created_by(plan, origin);
        let (run, commands) = Run::create(&first).expect("a sound plan");
        let mut played = Played { run, history: vec![first], handed: Vec::new(), now: 1000 };
        played.answer(commands);
        played
    }

    fn apply(&mut self, kind: EventKind) -> Result<(), EngineError> {
        self.now += 1;
        let event = Event { at_ms: self.now, kind };
        let commands = self.run.apply(&event)?;
        self.history.push(event);
        self.answer(commands);
        Ok(())
    }

    fn answer(&mut self, commands: Vec<Command>) {
        for command in commands {
            let kind = match command {
                Command::StartStep { step, attempt, config, .. } => {
                    self.handed.push(format!("{step}/{attempt}: {}", config["script"].as_str().unwrap_or_default()));
                    EventKind::StepStarted { step, attempt }
                }
                Command::OpenGate { step, attempt } => EventKind::GateOpened { step, attempt },
                Command::StartSubRun { step, attempt, inputs, .. } => {
                    self.handed.push(format!("{step}/{attempt}: {}", Value::Object(inputs)));
                    EventKind::SubRunStarted { step, attempt, run: "r2".parse().expect("a run id") }
                }
                Command::EnterState { state, transition, feedback } => {
                    EventKind::StateEntered { state, transition, feedback }
                }
                Command::Finish { outcome } => EventKind::RunFinished { outcome },
                _ => continue,
            };
            self.apply(kind).expect("an answer fits");
        }
    }

    fn attempt(&self, step: &str) -> u32 {
        let view = self.run.step(&name(step)).unwrap_or_else(|| panic!("{step} is not in {}", self.run.state_name()));
        view.attempts.last().map_or(0, |last| last.attempt)
    }

    /// `step:end`, with outputs after `=` as JSON without white space: `build:exit={"exit_code":7}`.
    fn play(&mut self, script: &str) -> &mut Self {
        for word in script.split_whitespace() {
            let (step, what) = word.split_once(':').expect("step:end");
            let (what, outputs) = what.split_once('=').unwrap_or((what, "{}"));
            let (outcome, reason) = end(what);
            let outputs: Map<String, Value> = serde_json::from_str(outputs).expect("JSON");
            let attempt = self.attempt(step);
            self.apply(EventKind::StepFinished { step: name(step), attempt, outcome, reason, outputs })
                .unwrap_or_else(|error| panic!("{word}: {error}"));
        }
        self
    }

    fn vote(&mut self, step: &str, by: &str, vote: Vote) -> Result<(), EngineError> {
        let attempt = self.attempt(step);
        self.apply(EventKind::GateVoted {
            step: name(step),
            attempt,
            by: by.to_owned(),
            vote,
            comment: None,
            email: None,
        })
    }

    fn due(&mut self, step: &str) {
        let attempt = self.attempt(step);
        self.apply(EventKind::GateDue { step: name(step), attempt }).expect("it waits");
    }

    /// `A> B! =outcome (Reason)`: each visit with how it went, and the end.
    fn told(&self) -> String {
        let visits = self.run.visits().map(|visit| match visit.outcome {
            Some(Outcome::Succeeded) => visit.state.to_owned(),
            Some(outcome) => format!("{}({outcome})", visit.state),
            None => format!("{}…", visit.state),
        });
        let way = visits.collect::<Vec<_>>().join(" > ");
        match (self.run.outcome(), self.run.reason()) {
            (None, _) => format!("{way} = {}", self.run.status()),
            (Some(outcome), None) => format!("{way} = {outcome}"),
            (Some(outcome), Some(reason)) => format!("{way} = {outcome} ({})", reason.kind.name()),
        }
    }

    #[track_caller]
    fn tells(&self, expect: &str) {
        assert_eq!(self.told(), expect);
        assert_eq!(Run::replay(&self.history).expect("the history fits"), self.run, "replayed, it is the same run");
    }
}

fn state(called: &str, steps: Vec<Step>, ways: &[(Condition, usize)]) -> State {
    let transitions = ways.iter().map(|(condition, target)| Transition {
        condition: condition.clone(),
        target: *target,
        feedback: None,
    });
    let result = if steps.len() == 1 { ResultShape::Single } else { ResultShape::default() };
    State { transitions: transitions.collect(), result, ..State::of(called, steps) }
}

fn single(called: &str, ways: &[(Condition, usize)]) -> State {
    state(called, vec![step(called, &[])], ways)
}

/// BUILD, which FIX repairs until it passes, then DONE; FAILED where nothing helps.
fn fix_loop() -> Plan {
    let script =
        |called: &str, text: &str| configured(step(called, &[]), json!({ "script": text }), Treatment::Lenient);
    let mut build = single("BUILD", &[(Condition::ExitCodeZero, 2), (Condition::ExitCodeNonZero, 1)]);
    build.transitions[1].feedback = Some("exit {{ BUILD.output.exit_code }}: {{ BUILD.output.stderr }}".to_owned());
    let fix = state(
        "FIX",
        vec![script("FIX", "fix {{ state.feedback }}")],
        &[(Condition::OnSuccess, 0), (Condition::OnFailure, 3)],
    );
    let failed = State { fails: true, ..single("FAILED", &[]) };
    states(vec![build, fix, single("DONE", &[]), failed])
}

#[test]
fn a_loop_that_repairs() {
    let mut played = Played::new(fix_loop());
    played.play(r#"BUILD:exit={"exit_code":7,"stderr":"a<b&\"c\""}"#);
    played.tells("BUILD(failed) > FIX… = running");
    played.play("FIX:ok BUILD:ok={\"exit_code\":0} DONE:ok");
    played.tells("BUILD(failed) > FIX > BUILD > DONE = succeeded");
    // Nothing is escaped, attempt numbers go on, and the feedback is that of the moment.
    assert_eq!(played.handed, ["BUILD/1: true", "FIX/1: fix exit 7: a<b&\"c\"", "BUILD/2: true", "DONE/1: true"]);
}

#[test]
fn a_state_that_says_so_fails_the_run() {
    let mut played = Played::new(fix_loop());
    played.play(r#"BUILD:exit={"exit_code":1} FIX:fail FAILED:ok"#);
    played.tells("BUILD(failed) > FIX(failed) > FAILED = failed (FailedState)");
}

#[test]
fn guards() {
    let plan = |visits: u32, transitions: u32| {
        let again = State { max_visits: visits, ..single("A", &[(Condition::Always, 0)]) };
        Plan { max_transitions: transitions, ..states(vec![again]) }
    };
    let check = |visits, transitions, entered: usize, expect: &str| {
        let mut played = Played::new(plan(visits, transitions));
        for _ in 0..entered {
            played.play("A:ok");
        }
        played.tells(expect);
        played.run.reason().map(|reason| reason.message.clone()).unwrap_or_default()
    };
    let words = check(3, 50, 3, "A > A > A = failed (StateVisitLimitExceeded)");
    assert_eq!(
        words,
        "the state A was to be entered once more, and may be entered 3 times; raise its `max_state_visits`, or give the loop \
         another way out"
    );
    let words = check(20, 2, 3, "A > A > A = failed (TransitionLimitExceeded)");
    assert_eq!(words, "the run has taken 2 transitions, and may take no more; raise `max_total_transitions`");
    check(1, 50, 1, "A = failed (StateVisitLimitExceeded)");
}

#[test]
fn no_way_out() {
    let check = |ways: &[(Condition, usize)], play: &str, expect: &str, words: &str| {
        let mut played = Played::new(states(vec![single("A", ways), single("B", &[])]));
        played.play(play);
        played.tells(expect);
        assert_eq!(played.run.reason().map(|reason| reason.message.as_str()).unwrap_or_default(), words);
    };
    check(
        &[(Condition::ScoreAbove { threshold: 0.8 }, 1), (Condition::ScoreBelow { threshold: 0.8 }, 1)],
        r#"A:ok={"score":0.8}"#,
        "A = failed (NoMatchingTransition)",
        "no transition of the state A matches: score is 0.8; add one that does, such as `condition: always` at the end",
    );
    check(
        &[(Condition::OnSuccess, 1), (Condition::ExitCode { value: 3 }, 1)],
        r#"A:fail={"exit_code":2}"#,
        "A(failed) = failed (NoMatchingTransition)",
        "no transition of the state A matches: it has failed; its exit code is 2; add one that does, such as `condition: always` at \
         the end",
    );
    // What the infrastructure is to blame for keeps its own reason.
    check(&[(Condition::OnSuccess, 1)], "A:pull", "A(error) = error (ImagePullFailed)", "pull");
    check(&[(Condition::OnSuccess, 1)], "A:timeout", "A(timed-out) = timed-out (TimeoutExpired)", "timeout");
    let broken = Condition::Custom { expression: "A.exit_code == 'x'".to_owned() };
    let mut played = Played::new(states(vec![single("A", &[(broken, 0)])]));
    played.play(r#"A:ok={"exit_code":0}"#).tells("A = error (TemplateError)");
}

#[test]
fn custom_conditions_read_the_blackboard() {
    let expression = "A.output.exit_code == 3 and contains(A.output.stdout, 'ok') and blackboard.goal == 'ship'";
    let custom = Condition::Custom { expression: expression.to_owned() };
    let mut plan = states(vec![single("A", &[(custom, 1)]), single("B", &[])]);
    plan.blackboard.insert("goal".to_owned(), json!("ship"));
    let mut played = Played::new(plan);
    played.play(r#"A:ok={"exit_code":3,"stdout":"all_ok"} B:ok"#).tells("A > B = succeeded");
}

#[test]
fn completion_strategies() {
    let check = |completion, play: &str, expect: &str| {
        let steps = vec![step("x", &[]), step("y", &[]), step("z", &[])];
        let both = [(Condition::OnSuccess, 1), (Condition::OnFailure, 2)];
        let test = State { completion, ..state("T", steps, &both) };
        let mut played = Played::new(states(vec![test, single("GOOD", &[]), single("BAD", &[])]));
        played.play(play);
        let last = played.run.state_name().to_owned();
        played.play(&format!("{last}:ok")).tells(expect);
    };
    use Completion::{AllSucceed, AnySucceed, BestEffort};
    check(AllSucceed, "x:ok y:ok z:ok", "T > GOOD = succeeded");
    check(AllSucceed, "x:ok z:exit y:ok", "T(failed) > BAD = succeeded");
    check(AllSucceed, "x:pull z:ok y:ok", "T(error) > BAD = succeeded");
    check(AnySucceed, "x:exit y:ok z:pull", "T > GOOD = succeeded");
    check(AnySucceed, "x:exit y:exit z:pull", "T(failed) > BAD = succeeded");
    check(BestEffort, "x:exit y:exit z:pull", "T > GOOD = succeeded");
    check(BestEffort, "x:ok y:ok z:ok", "T > GOOD = succeeded");
}

#[test]
fn a_parallel_state_tells_of_each_step() {
    let fix = configured(
        step("FIX", &[]),
        json!({ "script": "{{ T.output.y.stderr }} {{ T.failed }}/{{ T.status }}" }),
        Treatment::Strict,
    );
    let test = state("T", vec![step("x", &[]), step("y", &[])], &[(Condition::OnFailure, 1)]);
    let mut played = Played::new(states(vec![test, state("FIX", vec![fix], &[])]));
    played.play(r#"x:ok y:exit={"exit_code":2,"stderr":"no"}"#);
    assert_eq!(played.handed.last().map(String::as_str), Some("FIX/1: no 1/failed"));
}

fn agents(strategy: ConsensusStrategy, min_judges: u32, ways: &[(Condition, usize)]) -> Plan {
    let rule = Consensus {
        strategy,
        weights: vec![1.5, 1.0],
        threshold: 0.8,
        min_judges,
        confidence_weighting: ConfidenceWeighting::default(),
    };
    let mut review =
        State { result: ResultShape::Agents(rule), ..state("R", vec![step("sec", &[]), step("arch", &[])], ways) };
    review.transitions[1].feedback =
        Some("{{ R.consensus.score }} {{ R.agents.0.output }} {{ R.agreement }}".to_owned());
    let show = configured(step("FIX", &[]), json!({ "script": "{{ state.feedback }}" }), Treatment::Strict);
    states(vec![review, single("SHIP", &[]), state("FIX", vec![show], &[])])
}

#[test]
fn agents_agree_or_do_not() {
    let ways =
        [(Condition::Consensus { threshold: 0.8, agreement: 0.75 }, 1), (Condition::ScoreBelow { threshold: 0.8 }, 2)];
    let check = |strategy, min, play: &str, expect: &str, feedback: &str| {
        let mut played = Played::new(agents(strategy, min, &ways));
        played.play(play).tells(expect);
        let handed = played.handed.last().expect("something").clone();
        assert_eq!(handed.strip_prefix("FIX/1: ").unwrap_or_default(), feedback);
    };
    let average = ConsensusStrategy::WeightedAverage;
    let good = r#"sec:ok={"score":0.9,"output":"fine"} arch:ok={"score":0.8,"confidence":0.5}"#;
    check(average, 2, good, "R > SHIP… = running", "");
    let bad = r#"sec:ok={"score":0.5,"output":"a<b"} arch:ok={"score":0.7}"#;
    check(average, 2, bad, "R > FIX… = running", "0.58 a<b 0.96");
    // A score of 0.8 at an agreement below what is asked is neither: the run says so.
    let apart = r#"sec:ok={"score":1.0} arch:ok={"score":0.5}"#;
    check(average, 2, apart, "R > SHIP… = running", "");
    let far = r#"sec:ok={"score":1.0} arch:ok={"score":0.0}"#;
    check(ConsensusStrategy::BestOfN { n: 1 }, 2, far, "R = failed (NoMatchingTransition)", "");
    check(ConsensusStrategy::Unanimous, 2, bad, "R > FIX… = running", "0.0 a<b 0.96");
    // An agent that fails gives no score; how many must is a rule of its own.
    let one = r#"sec:ok={"score":0.9} arch:timeout"#;
    check(average, 1, one, "R > SHIP… = running", "");
    check(average, 2, one, "R(failed) = failed (NoMatchingTransition)", "");
    let none = r#"sec:ok={"score":7} arch:ok={}"#;
    check(average, 1, none, "R(failed) = failed (NoMatchingTransition)", "");
}

#[test]
fn too_few_judges_can_be_taken_care_of() {
    let mut played =
        Played::new(agents(ConsensusStrategy::Majority, 2, &[(Condition::OnSuccess, 1), (Condition::OnFailure, 2)]));
    played.play(r#"sec:ok={"score":0.9,"output":"fine"} arch:fail={"output":"cannot"}"#);
    played.tells("R(failed) > FIX… = running");
    let visit = played.run.visits().next().expect("a visit");
    let reason = visit.reason.expect("a reason");
    assert_eq!(
        (reason.kind.name(), reason.message.as_str()),
        ("TooFewJudges", "1 of the agents gave a score, and 2 must; one of them: fail")
    );
}

fn gated(gate: Gate, timeout_ms: u64) -> Plan {
    let gate = Step { work: Work::Gate(gate), timeout_ms, ..step("gate", &["build"]) };
    states(vec![State::of("main", vec![step("build", &[]), gate, step("ship", &["gate"])])])
}

fn manual(approvers: &[&str], quorum: u32) -> ManualGate {
    ManualGate {
        prompt: Some("ship {{ steps.build.outputs.what }}?".to_owned()),
        approvers: approvers.iter().map(|who| (*who).to_owned()).collect(),
        quorum,
        self_approval: false,
        auto_approve: Vec::new(),
        on_timeout: GateDefault::Reject,
    }
}

#[test]
fn votes() {
    // Each vote as `who+` or `who-`; `!` after it: it is refused.
    let check = |gate: ManualGate, votes: &str, expect: &str| {
        let mut played = Played::new(gated(Gate::Manual(gate), 24 * HOUR));
        played.play(r#"build:ok={"what":"v1"}"#);
        assert_eq!(played.run.status(), RunStatus::Blocked);
        assert_eq!(played.run.gates()[0].prompt, Some("ship v1?"));
        for word in votes.split_whitespace() {
            let (word, refused) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
            let (who, vote) = word.split_at(word.len() - 1);
            let vote = if vote == "+" { Vote::Approve } else { Vote::Reject };
            let before = played.run.clone();
            let done = played.vote("gate", who, vote);
            assert_eq!(done.is_err(), refused, "{word} in {votes}: {done:?}");
            if refused {
                assert_eq!(played.run, before);
            }
        }
        let told = match played.run.step(&name("gate")).expect("a step").outcome {
            Some(outcome) => outcome.name().to_owned(),
            None => played.run.status().to_string(),
        };
        assert_eq!(told, expect, "{votes}");
    };
    check(manual(&[], 1), "ada+", "succeeded");
    check(manual(&[], 1), "ada-", "rejected");
    check(manual(&["ada", "bob"], 1), "eve+! ada+", "succeeded");
    check(manual(&["ada", "bob"], 1), "eve-! bob-", "rejected");
    check(manual(&["ada", "bob"], 2), "ada+", "blocked");
    check(manual(&["ada", "bob"], 2), "ada+ ada+", "blocked");
    check(manual(&["ada", "bob"], 2), "ada+ bob+", "succeeded");
    check(manual(&["ada", "bob"], 2), "ada+ bob-", "rejected");
    // Who began the run may not approve it, and may stop it.
    check(manual(&[], 1), "starter+!", "blocked");
    check(manual(&["starter"], 1), "starter+!", "blocked");
    check(manual(&[], 1), "starter-", "rejected");
    check(ManualGate { self_approval: true, ..manual(&[], 1) }, "starter+", "succeeded");
    // One who changes his mind has one vote.
    check(manual(&[], 3), "ada+ bob+ ada+ cid+", "succeeded");
}

#[test]
fn what_is_refused_says_why() {
    let check = |gate: Gate, by: &str, vote: Vote, expect: &str| {
        let mut played = Played::new(gated(gate, 24 * HOUR));
        played.play("build:ok={\"what\":\"x\"}");
        let error = played.vote("gate", by, vote).expect_err("it is refused");
        assert_eq!(format!("{} {error}", error.code()), expect);
    };
    check(
        Gate::Manual(manual(&["ada", "bob"], 1)),
        "eve",
        Vote::Approve,
        "WL0213 eve cannot decide about gate: it may be decided by ada, bob",
    );
    check(
        Gate::Manual(manual(&[], 1)),
        "starter",
        Vote::Approve,
        "WL0213 starter cannot decide about gate: who began a run may not approve it, but may reject it; `self_approval: true` on the gate allows both",
    );
    check(
        Gate::Manual(manual(&[], 1)),
        "eve",
        Vote::Answer(String::new()),
        "WL0213 eve cannot decide about gate: it asks for yes or no, and for no answer",
    );
    let question = Gate::Question(Question { prompt: "which?".to_owned(), default_response: None });
    check(question, "eve", Vote::Approve, "WL0213 eve cannot decide about gate: it asks for an answer; give one");
    let mut played = Played::new(gated(Gate::Manual(manual(&[], 1)), HOUR));
    played.play("build:ok={\"what\":\"x\"}");
    played.now += HOUR;
    let error = played.vote("gate", "ada", Vote::Approve).expect_err("too late");
    assert_eq!(error.to_string(), "ada cannot decide about gate: the time to decide is over");
}

#[test]
fn the_time_of_a_gate_is_over() {
    let check = |gate: Gate, expect: &str| {
        let mut played = Played::new(gated(gate, HOUR));
        played.play("build:ok={\"what\":\"x\"}");
        let opened = played.now;
        let due = played.run.gates()[0].due_ms;
        assert_eq!(due, opened + HOUR);
        played.now = due;
        played.due("gate");
        let gate = played.run.step(&name("gate")).expect("a step");
        let told =
            format!("{} {}", gate.outcome.expect("decided"), gate.reason.map_or("", |reason| reason.kind.name()));
        assert_eq!(told, expect);
    };
    check(Gate::Manual(manual(&[], 1)), "rejected GateExpired");
    check(Gate::Manual(ManualGate { on_timeout: GateDefault::Approve, ..manual(&[], 1) }), "succeeded ");
    let question = |default: Option<&str>| {
        Gate::Question(Question { prompt: "which?".to_owned(), default_response: default.map(str::to_owned) })
    };
    check(question(Some("blue")), "succeeded ");
    check(question(None), "timed-out GateExpired");
}

#[test]
fn gates_that_need_nobody() {
    let check = |gate: Gate, build: &str, expect: &str| {
        let mut played = Played::new(gated(gate, HOUR));
        played.play(&format!("build:ok={build}"));
        let gate = played.run.step(&name("gate")).expect("a step");
        let told = match gate.outcome {
            Some(outcome) => format!("{outcome} {}", gate.reason.map_or("", |reason| reason.message.as_str())),
            None => format!("{:?}", gate.state),
        };
        assert!(told.starts_with(expect), "{told}");
    };
    let conditions = || vec!["build.passed == true".to_owned(), "steps.build.outputs.count < 3".to_owned()];
    let automated = || Gate::Automated { conditions: conditions() };
    check(automated(), r#"{"passed":true,"count":2}"#, "succeeded ");
    check(
        automated(),
        r#"{"passed":false,"count":2}"#,
        "rejected the condition `build.passed == true` does not hold: `build.passed` is false",
    );
    check(automated(), r#"{"passed":true,"count":"2"}"#, "error ");
    check(
        automated(),
        r#"{"count":2}"#,
        "rejected the condition `build.passed == true` does not hold: `build.passed` is null",
    );
    let auto = || Gate::Manual(ManualGate { prompt: None, auto_approve: conditions(), ..manual(&[], 1) });
    check(auto(), r#"{"passed":true,"count":2}"#, "succeeded ");
    check(auto(), r#"{"passed":true,"count":5}"#, "AtGate");
    check(auto(), r#"{"passed":true,"count":"2"}"#, "AtGate");
}

#[test]
fn a_scheduled_gate_waits_for_its_window() {
    // 1970-01-01 is a Thursday; the run begins in its first seconds.
    let schedule = |weekday: u8, from: u8, to: u8| {
        let windows = vec![Window { weekdays: [weekday].into(), start_hour: from, end_hour: to }];
        Gate::Scheduled(Schedule { windows, timezone: "UTC".to_owned() })
    };
    let begin = |gate| {
        let mut played = Played::new(gated(gate, 72 * HOUR));
        played.play("build:ok");
        played
    };
    let played = begin(schedule(4, 0, 24));
    assert_eq!(played.run.step(&name("gate")).expect("a step").outcome, Some(Outcome::Succeeded));

    let mut played = begin(schedule(5, 9, 17));
    assert_eq!(played.run.gates()[0].due_ms, 33 * HOUR);
    assert_eq!(played.run.status(), RunStatus::Waiting);
    played.now = 33 * HOUR - 1;
    played.due("gate");
    assert_eq!(played.run.step(&name("gate")).expect("a step").outcome, Some(Outcome::Succeeded));

    // A host that was down while the window was open waits for the next, as long as the gate's own time lasts.
    let mut played = begin(schedule(5, 9, 17));
    played.now = 50 * HOUR;
    played.due("gate");
    let gate = played.run.step(&name("gate")).expect("a step");
    assert!(
        matches!(gate.state, StepState::AtGate { due_ms, asks: false } if due_ms > 72 * HOUR && due_ms < 73 * HOUR),
        "{gate:?}"
    );
    played.now = 73 * HOUR;
    played.due("gate");
    let gate = played.run.step(&name("gate")).expect("a step");
    assert_eq!(
        (gate.outcome, gate.reason.map(|reason| reason.kind.name())),
        (Some(Outcome::Rejected), Some("GateExpired"))
    );
}

#[test]
fn answers_lead_on() {
    let ask = Step {
        work: Work::Gate(Gate::Question(Question { prompt: "go?".to_owned(), default_response: None })),
        ..step("ASK", &[])
    };
    let ways = [
        (Condition::InputEqualsYes, 1),
        (Condition::InputEquals { value: "later".to_owned() }, 0),
        (Condition::InputEqualsNo, 2),
    ];
    let mut played = Played::new(states(vec![state("ASK", vec![ask], &ways), single("GO", &[]), single("STOP", &[])]));
    played.vote("ASK", "starter", Vote::Answer("later".to_owned())).expect("an answer");
    played.vote("ASK", "ada", Vote::Answer(" Yes".to_owned())).expect("an answer");
    played.play("GO:ok").tells("ASK > ASK > GO = succeeded");
}

#[test]
fn a_cancel_at_a_gate_and_between_states() {
    let mut played = Played::new(gated(Gate::Manual(manual(&[], 1)), HOUR));
    played.play("build:ok={\"what\":\"x\"}");
    played.apply(EventKind::CancelRequested { reason: "enough".to_owned() }).expect("a cancel fits");
    played.tells("main(cancelled) = cancelled (Cancelled)");
    // No transition is taken by a run that is to stop.
    let mut played = Played::new(fix_loop());
    played.apply(EventKind::CancelRequested { reason: "enough".to_owned() }).expect("a cancel fits");
    played.play(r#"BUILD:exit={"exit_code":1}"#).tells("BUILD(cancelled) = cancelled (Cancelled)");
}

#[test]
fn sub_runs() {
    let sub = |wait, result_key: Option<&str>| Step {
        work: Work::SubRun(SubRun {
            workflow: "child".to_owned(),
            wait,
            inputs: Map::from_iter([
                ("n".to_owned(), json!("{{ inputs.n }}")),
                ("t".to_owned(), json!("v{{ inputs.n }}")),
            ]),
            input: Some("{\"extra\": {{ inputs.n }}}".to_owned()),
            result_key: result_key.map(str::to_owned),
        }),
        ..step("SUB", &[])
    };
    let show = configured(
        step("SHOW", &[]),
        json!({ "script": "{{ blackboard.kept.x }} {{ SUB.output.x }}" }),
        Treatment::Strict,
    );
    let plan = states(vec![
        state("SUB", vec![sub(true, Some("kept"))], &[(Condition::OnSuccess, 1)]),
        state("SHOW", vec![show], &[]),
    ]);
    let mut created = created_by(plan, Origin::default());
    let EventKind::RunCreated { inputs, .. } = &mut created.kind else { unreachable!() };
    inputs.insert("n".to_owned(), json!(7));
    let (run, commands) = Run::create(&created).expect("a sound plan");
    let mut played = Played { run, history: vec![created], handed: Vec::new(), now: 1000 };
    played.answer(commands);
    assert_eq!(played.handed, [r#"SUB/1: {"n":7,"t":"v7","extra":7}"#]);
    let flight = &played.run.in_flight()[0];
    assert_eq!(flight.sub_run.map(ToString::to_string).as_deref(), Some("r2"));
    played.play(r#"SUB:ok={"run":"r2","output":{"x":"deep"}}"#);
    assert_eq!(played.handed.last().map(String::as_str), Some("SHOW/1: deep deep"));
    played.play("SHOW:ok").tells("SUB > SHOW = succeeded");
}

#[test]
fn a_run_waits_for_its_turn() {
    let origin = Origin { group: Some(Group { name: "deploy".to_owned(), limit: 1 }), ..Origin::default() };
    let mut played = Played::of(states(vec![single("A", &[])]), origin.clone());
    assert_eq!((played.run.status(), played.handed.len()), (RunStatus::Queued, 0));
    assert_eq!(
        played.run.outstanding(),
        [Command::EnterGroup { group: Group { name: "deploy".to_owned(), limit: 1 } }]
    );
    played.apply(EventKind::GroupEntered {}).expect("its turn");
    assert!(played.apply(EventKind::GroupEntered {}).is_err(), "it has one turn");
    played.play("A:ok").tells("A = succeeded");
    let mut played = Played::of(states(vec![single("A", &[])]), origin);
    played.apply(EventKind::CancelRequested { reason: "enough".to_owned() }).expect("a cancel fits");
    played.tells("A = cancelled (Cancelled)");
}

fn again(of: &Played, from: RerunFrom) -> Played {
    let rerun = of.run.rerun(&from).expect("it can be repeated");
    let origin = Origin { rerun: rerun.map(Box::new), ..Origin::default() };
    Played::of(of.run.plan().clone(), origin)
}

#[test]
fn what_failed_is_repeated() {
    let steps = || {
        let give =
            configured(step("d", &["a", "b"]), json!({ "script": "{{ steps.a.outputs.x }}" }), Treatment::Strict);
        let mut skipped = step("s", &["a"]);
        skipped.condition = Some("1 == 2".to_owned());
        vec![step("a", &[]), step("b", &[]), step("c", &["b"]), give, skipped]
    };
    let plan = || states(vec![State::of("main", steps())]);
    let mut first = Played::new(plan());
    first.play(r#"a:ok={"x":"from-a"} b:fail"#);
    first.tells("main(failed) = failed (Other)");
    let check = |from: RerunFrom, begun: &[&str], play: &str| {
        let mut second = again(&first, from);
        assert_eq!(second.handed, begun);
        second.play(play).tells("main = succeeded");
        second
    };
    let second = check(RerunFrom::Failed, &["b/1: true"], "b:ok c:ok d:ok");
    assert_eq!(second.handed, ["b/1: true", "c/1: true", "d/1: from-a"], "what a gave is still known");
    let carried: Vec<_> = second.run.steps().filter(|step| step.carried).map(|step| step.name.to_string()).collect();
    assert_eq!(carried, ["a"]);
    check(RerunFrom::Step("a".to_owned()), &["a/1: true", "b/1: true"], r#"a:ok={"x":"1"} b:ok c:ok d:ok"#);
    check(RerunFrom::Start, &["a/1: true", "b/1: true"], r#"a:ok={"x":"1"} b:ok c:ok d:ok"#);
    // A rerun can be repeated itself, and what it had taken over is taken over again.
    let mut second = again(&first, RerunFrom::Failed);
    second.play("b:ok c:ok d:fail");
    let third = again(&second, RerunFrom::Failed);
    assert_eq!(third.handed, ["d/1: from-a"]);
}

#[test]
fn a_workflow_is_repeated_from_a_state() {
    let mut first = Played::new(fix_loop());
    first.play(r#"BUILD:exit={"exit_code":7,"stderr":"bad"} FIX:fail FAILED:ok"#);
    let mut second = again(&first, RerunFrom::Step("FIX".to_owned()));
    assert_eq!(second.handed, ["FIX/1: fix exit 7: bad"], "with the feedback that it was entered with");
    second.play(r#"FIX:ok BUILD:ok={"exit_code":0} DONE:ok"#).tells("FIX > BUILD > DONE = succeeded");
    let second = again(&first, RerunFrom::Failed);
    assert_eq!(second.handed, ["FAILED/1: true"]);
}

#[test]
fn what_cannot_be_repeated() {
    let check = |played: &Played, from: RerunFrom, expect: &str| {
        let error = played.run.rerun(&from).expect_err("it cannot be");
        assert_eq!(format!("{} {error}", error.code()), format!("WL0214 the run cannot be repeated so: {expect}"));
    };
    let mut played = Played::new(states(vec![single("A", &[])]));
    check(&played, RerunFrom::Start, "it has not ended; cancel it first, or wait");
    played.play("A:ok");
    check(&played, RerunFrom::Failed, "it has succeeded; repeat all of it, or name a step to repeat it from");
    check(&played, RerunFrom::Step("B".to_owned()), "it never came to a step or state called B");
}

#[test]
fn plans_that_cannot_be_run() {
    let check = |plan: Plan, expect: &str| {
        let error = Run::create(&created_by(plan, Origin::default())).expect_err("it is refused");
        assert_eq!(format!("{} {error}", error.code()), expect);
    };
    let absent = Step { work: Work::Absent { step_type: "step.agent".to_owned() }, ..step("A", &[]) };
    check(
        states(vec![state("A", vec![absent], &[])]),
        "WL0211 the step A is a `step.agent`, and no installed plugin provides that",
    );
    let nowhere = single("A", &[(Condition::Always, 9)]);
    check(states(vec![nowhere]), "WL0207 the stored plan cannot be run: a state that it names is not there");
    let circle = state("B", vec![step("x", &["y"]), step("y", &["x"])], &[]);
    check(
        states(vec![single("A", &[]), circle]),
        "WL0207 the stored plan cannot be run: its steps need each other in a circle",
    );
}

/// An agent, a person and an agent, one after the other, as a sequence of templates is planned.
fn sequence(person: OnFailure) -> Played {
    let gate = ManualGate {
        prompt: None,
        approvers: Vec::new(),
        quorum: 1,
        self_approval: true,
        auto_approve: Vec::new(),
        on_timeout: GateDefault::Reject,
    };
    let asked = Step { work: Work::Gate(Gate::Manual(gate)), on_failure: person, ..step("1-look", &["0-test"]) };
    Played::new(common::plan(vec![step("0-test", &[]), asked, step("2-ship", &["1-look"])]))
}

fn sequence_told(played: &Played) -> String {
    let shown = serde_json::to_value(windlass_engine::sequence::view(&played.run)).expect("JSON");
    let steps = shown["steps_snapshot"].as_array().expect("a list").iter();
    let steps: Vec<&str> = steps.filter_map(|step| step["status"].as_str()).collect();
    let [status, current, failed] = [&shown["status"], &shown["current_step"], &shown["failed_steps"]];
    format!("{} at {current}, {failed} failed: {}", status.as_str().unwrap_or_default(), steps.join(" "))
}

#[test]
fn sequences_advance() {
    use windlass_engine::sequence::advance;
    let step_on = |played: &mut Played, success: bool| {
        let (step, vote, _) = advance(&played.run, success, None).expect("it waits for a person");
        played.vote(step.as_str(), "ada", vote)
    };
    let refused = |played: &Played, expect: &str| {
        let error = advance(&played.run, true, None).expect_err("it cannot be");
        assert_eq!(format!("{} {error}", error.code()), format!("WL0216 the run cannot be advanced: {expect}"));
    };
    // Who advances, how, and what then is seen.
    let check = |person: OnFailure, success: bool, script: &str, expect: &str| {
        let mut played = sequence(person);
        assert_eq!(sequence_told(&played), "running at 0, 0 failed: running pending pending");
        refused(&played, "the step 0-test is an agent's, and goes on by itself when the agent is done");
        played.play("0-test:ok");
        assert_eq!(sequence_told(&played), "running at 1, 0 failed: completed running pending");
        let (same, vote, _) = advance(&played.run, success, None).expect("it waits for a person");
        step_on(&mut played, success).expect("it is taken");
        played.vote(same.as_str(), "bob", vote).expect_err("of two at the same time the second comes too late");
        played.play(script);
        assert_eq!(sequence_told(&played), expect);
        if played.run.status() == RunStatus::Finished {
            let status = expect.split(' ').next().unwrap_or_default();
            refused(&played, &format!("the run is {status}, not running"));
        }
    };
    check(OnFailure::Stop, true, "", "running at 2, 0 failed: completed completed running");
    check(OnFailure::Stop, true, "2-ship:ok", "completed at 2, 0 failed: completed completed completed");
    check(OnFailure::Stop, true, "2-ship:fail", "failed at 2, 1 failed: completed completed failed");
    check(OnFailure::Stop, false, "", "failed at 1, 1 failed: completed failed skipped");
    check(OnFailure::Continue, false, "2-ship:ok", "completed at 2, 1 failed: completed failed completed");
    let mut played = sequence(OnFailure::Stop);
    played.play("0-test:ok");
    played.apply(EventKind::CancelRequested { reason: "enough".to_owned() }).expect("it runs");
    assert_eq!(sequence_told(&played), "cancelled at 1, 0 failed: completed skipped skipped");
}
