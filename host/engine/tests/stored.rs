//! The stored form of events: what is in a database somewhere must stay readable, so these texts never change.

mod common;

use common::{created, name, plan_of};
use serde_json::{Map, Value, json};
use windlass_contract::CodedError;
use windlass_engine::{Decision, Event, EventKind, Outcome, Reason, ReasonKind};

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
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-started","step":"build","attempt":1}}"#,
    );
    check(
        EventKind::ContainerCreated { step: step(), attempt: 1, index: 0, name: "windlass-r1-build-1-0".to_owned() },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"container-created","step":"build","attempt":1,"index":0,"name":"windlass-r1-build-1-0"}}"#,
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
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-finished","step":"build","attempt":2,"outcome":"timed-out","reason":{"kind":"timeout-expired","code":"WL0407","message":"over"},"outputs":{"n":1.5}}}"#,
    );
    check(
        EventKind::StepFinished {
            step: step(),
            attempt: 1,
            outcome: Outcome::Failed,
            reason: Some(Reason { kind: ReasonKind::NonZeroExit { code: 7 }, code: None, message: String::new() }),
            outputs: Map::new(),
        },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-finished","step":"build","attempt":1,"outcome":"failed","reason":{"kind":{"non-zero-exit":{"code":7}},"code":null,"message":""},"outputs":{}}}"#,
    );
    check(
        EventKind::RetryDue { step: step(), attempt: 2 },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"retry-due","step":"build","attempt":2}}"#,
    );
    check(
        EventKind::StepUndecided { step: step(), attempt: 1 },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-undecided","step":"build","attempt":1}}"#,
    );
    check(
        EventKind::StepDecided { step: step(), attempt: 1, decision: Decision::Rerun, by: "ada".to_owned() },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"step-decided","step":"build","attempt":1,"decision":"rerun","by":"ada"}}"#,
    );
    check(
        EventKind::CancelRequested { reason: "Ctrl-C".to_owned() },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"cancel-requested","reason":"Ctrl-C"}}"#,
    );
    check(
        EventKind::RunFinished { outcome: Outcome::Succeeded },
        r#"{"v":1,"at_ms":1700000000000,"event":{"type":"run-finished","outcome":"succeeded"}}"#,
    );
}

#[test]
fn a_creation_comes_back_whole() {
    let event = created(plan_of("a: retry 3, backoff 5, on exit\n b: needs a, if failure(), continue"));
    let text = event.encode().expect("it has a JSON form");
    assert_eq!(Event::decode(&text), Ok(event));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let keys: Vec<_> = value["event"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["type", "run", "plan", "inputs", "previous", "file"]);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let check = |text: &str, expect: &str| {
        let error = Event::decode(text).expect_err("it is not an event of this version");
        let told = format!("{} {error}", error.code());
        assert!(told.starts_with(expect), "{text} gives {told}");
        assert!(error.help().is_some());
    };
    let newer = "WL0208 the event has version 2; this host reads up to version 1";
    check(r#"{"v":2,"at_ms":1,"event":{"type":"run-finished","outcome":"succeeded"}}"#, newer);
    check(r#"{"v":2,"at_ms":1,"event":{"type":"state-entered","state":"TEST"}}"#, newer);
    check(r#"{"v":2,"something":"else"}"#, newer);
    check(
        r#"{"v":1,"at_ms":1,"event":{"type":"state-entered"}}"#,
        "WL0209 the stored text is not an event: unknown variant",
    );
    check(r#"{"v":0,"at_ms":1,"event":{"type":"run-finished","outcome":"failed"}}"#, "WL0209");
    check(r#"{"v":1,"at_ms":1,"event":{"type":"run-finished","outcome":"splendid"}}"#, "WL0209");
    // A key that is not known might change the meaning: it is not dropped.
    check(r#"{"v":1,"at_ms":1,"event":{"type":"run-finished","outcome":"failed","x":1}}"#, "WL0209");
    check(r#"{"v":1,"at_ms":1,"event":{"type":"run-finished","outcome":"failed"},"x":1}"#, "WL0209");
    check(r#"{"v":1,"at_ms":1,"event":{"type":"step-started","step":"../x","attempt":1}}"#, "WL0209");
    // Torn off.
    check(r#"{"v":1,"at_ms":1,"event":{"type":"run-fini"#, "WL0209");
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
