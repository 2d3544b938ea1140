//! The stored form of events: what is in a database somewhere must stay readable, so these texts never change.

mod common;

use common::{created, created_by, name, plan_of};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use windlass_contract::CodedError;
use windlass_engine::{
    CarriedStep, Decision, Event, EventKind, Group, Origin, Outcome, Parent, Reason, ReasonKind, Rerun, Vote,
};

#[test]
fn the_stored_form_is_stable() {
    let check = |kind: EventKind, expect: &str| {
        let event = Event { at_ms: 1_700_000_000_000, kind };
        let text = event.encode().expect("it has a JSON form");
        assert_eq!(text, expect);
        assert_eq!(Event::decode(&text), Ok(event));
    };
    let step = || name("build");
    check(
        EventKind::StepStarted { step: step(), attempt: 1 },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"step-started","step":"build","attempt":1}}"#,
    );
    check(
        EventKind::ContainerCreated { step: step(), attempt: 1, index: 0, name: "windlass-r1-build-1-0".to_owned() },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"container-created","step":"build","attempt":1,"index":0,"name":"windlass-r1-build-1-0"}}"#,
    );
    check(
        EventKind::StepFinished {
            step: step(),
            attempt: 2,
            outcome: Outcome::TimedOut,
            reason: Some(Reason {
                kind: ReasonKind::TimeoutExpired,
                code: Some("WL0407".to_owned()),
                message: "over".to_owned(),
            }),
            outputs: Map::from_iter([("n".to_owned(), json!(1.5))]),
        },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"step-finished","step":"build","attempt":2,"outcome":"timed-out","reason":{"kind":"timeout-expired","code":"WL0407","message":"over"},"outputs":{"n":1.5}}}"#,
    );
    check(
        EventKind::StepFinished {
            step: step(),
            attempt: 1,
            outcome: Outcome::Failed,
            reason: Some(Reason { kind: ReasonKind::NonZeroExit { code: 7 }, code: None, message: String::new() }),
            outputs: Map::new(),
        },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"step-finished","step":"build","attempt":1,"outcome":"failed","reason":{"kind":{"non-zero-exit":{"code":7}},"code":null,"message":""},"outputs":{}}}"#,
    );
    check(
        EventKind::RetryDue { step: step(), attempt: 2 },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"retry-due","step":"build","attempt":2}}"#,
    );
    check(
        EventKind::StepUndecided { step: step(), attempt: 1 },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"step-undecided","step":"build","attempt":1}}"#,
    );
    check(
        EventKind::StepDecided { step: step(), attempt: 1, decision: Decision::Rerun, by: "ada".to_owned() },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"step-decided","step":"build","attempt":1,"decision":"rerun","by":"ada"}}"#,
    );
    check(EventKind::GroupEntered {}, r#"{"v":2,"at_ms":1700000000000,"event":{"type":"group-entered"}}"#);
    check(
        EventKind::StateEntered { state: "TEST".to_owned(), transition: 1, feedback: Some("why".to_owned()) },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"state-entered","state":"TEST","transition":1,"feedback":"why"}}"#,
    );
    check(
        EventKind::GateOpened { step: step(), attempt: 1 },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"gate-opened","step":"build","attempt":1}}"#,
    );
    let voted = |vote, comment| EventKind::GateVoted {
        step: step(),
        attempt: 1,
        by: "ada".to_owned(),
        vote,
        comment,
        email: None,
    };
    check(
        voted(Vote::Approve, None),
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"gate-voted","step":"build","attempt":1,"by":"ada","vote":"approve"}}"#,
    );
    check(
        voted(Vote::Answer("blue".to_owned()), Some("since".to_owned())),
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"gate-voted","step":"build","attempt":1,"by":"ada","vote":{"answer":"blue"},"comment":"since"}}"#,
    );
    check(
        EventKind::GateDue { step: step(), attempt: 1 },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"gate-due","step":"build","attempt":1}}"#,
    );
    check(
        EventKind::SubRunStarted { step: step(), attempt: 1, run: "r2".parse().expect("a run id") },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"sub-run-started","step":"build","attempt":1,"run":"r2"}}"#,
    );
    check(
        EventKind::CancelRequested { reason: "Ctrl-C".to_owned() },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"cancel-requested","reason":"Ctrl-C"}}"#,
    );
    check(
        EventKind::RunFinished { outcome: Outcome::Succeeded },
        r#"{"v":2,"at_ms":1700000000000,"event":{"type":"run-finished","outcome":"succeeded"}}"#,
    );
}

#[test]
fn a_creation_comes_back_whole() {
    let plan = plan_of("a: retry 3, backoff 5, on exit\n b: needs a, if failure(), continue");
    let run = || "r7".parse().expect("a run id");
    let carried = CarriedStep { outcome: Outcome::Succeeded, outputs: Map::from_iter([("n".to_owned(), json!(1))]) };
    let origin = Origin {
        by: Some("ada".to_owned()),
        parent: Some(Parent { run: run(), step: name("sub"), attempt: 2 }),
        group: Some(Group { name: "deploy".to_owned(), limit: 1 }),
        rerun: Some(Box::new(Rerun {
            of: run(),
            state: "main".to_owned(),
            feedback: None,
            states: Map::new(),
            blackboard: Map::new(),
            steps: BTreeMap::from([(name("a"), carried)]),
        })),
        blackboard: Map::from_iter([("x".to_owned(), json!("y"))]),
    };
    for event in [created(plan.clone()), created_by(plan, origin)] {
        let text = event.encode().expect("it has a JSON form");
        assert_eq!(Event::decode(&text), Ok(event));
    }
    let text = created(plan_of("a:")).encode().expect("it has a JSON form");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let keys: Vec<_> = value["event"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["type", "run", "plan", "inputs", "previous", "file", "origin"]);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let check = |text: &str, expect: &str| {
        let error = Event::decode(text).expect_err("it is not an event of this version");
        let told = format!("{} {error}", error.code());
        assert!(told.starts_with(expect), "{text} gives {told}");
        assert!(error.help().is_some());
    };
    let newer = "WL0208 the event has version 3; this host reads up to version 2";
    check(r#"{"v":3,"at_ms":1,"event":{"type":"run-finished","outcome":"succeeded"}}"#, newer);
    check(r#"{"v":3,"at_ms":1,"event":{"type":"state-mended","state":"TEST"}}"#, newer);
    check(r#"{"v":3,"something":"else"}"#, newer);
    let older = "WL0215 the event has version 1, which this host does not read any more";
    check(r#"{"v":1,"at_ms":1,"event":{"type":"run-finished","outcome":"succeeded"}}"#, older);
    check(
        r#"{"v":2,"at_ms":1,"event":{"type":"state-exploded"}}"#,
        "WL0209 the stored text is not an event: unknown variant",
    );
    check(
        r#"{"v":2,"at_ms":1,"event":{"type":"state-entered"}}"#,
        "WL0209 the stored text is not an event: missing field",
    );
    check(r#"{"v":0,"at_ms":1,"event":{"type":"run-finished","outcome":"failed"}}"#, "WL0209");
    check(r#"{"v":2,"at_ms":1,"event":{"type":"run-finished","outcome":"splendid"}}"#, "WL0209");
    // A key that is not known might change the meaning: it is not dropped.
    check(r#"{"v":2,"at_ms":1,"event":{"type":"run-finished","outcome":"failed","x":1}}"#, "WL0209");
    check(r#"{"v":2,"at_ms":1,"event":{"type":"run-finished","outcome":"failed"},"x":1}"#, "WL0209");
    check(r#"{"v":2,"at_ms":1,"event":{"type":"step-started","step":"../x","attempt":1}}"#, "WL0209");
    // Torn off.
    check(r#"{"v":2,"at_ms":1,"event":{"type":"run-fini"#, "WL0209");
    check("", "WL0209");
}

#[test]
fn outcomes_have_one_name() {
    for outcome in Outcome::ALL {
        assert_eq!(outcome.name().parse(), Ok(outcome));
        assert_eq!(serde_json::to_value(outcome).expect("JSON"), json!(outcome.name()));
    }
    assert_eq!("splendid".parse::<Outcome>(), Err("no outcome is called \"splendid\"".to_owned()));
}
