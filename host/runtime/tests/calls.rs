//! What a plugin gets and gives.

mod common;

use common::{DESCRIPTOR, Guest, HOST, Never, Recorder, call};
use std::sync::Arc;
use windlass_contract::{Capabilities, EffectClass, Recovery, capability::LogEntry};
use windlass_runtime::{CallError, CallLimits, PluginDiagnostic, Severity, StepErrorKind};

#[tokio::test]
async fn describe() {
    let plugin = HOST.load(&Guest::default().build()).await.expect("a plugin");
    let descriptor = HOST.runtime.describe(&plugin).await.expect("a descriptor");
    assert_eq!(descriptor.steps[0].name, "step.test");
    assert_eq!(descriptor.steps[0].effect, EffectClass::Pure);
}

#[tokio::test]
async fn descriptors_that_are_none() {
    let check = async |descriptor: &str, expect: &str| {
        let plugin = HOST.load(&Guest { descriptor, ..Guest::default() }.build()).await.expect("a plugin");
        let error = HOST.runtime.describe(&plugin).await.expect_err("no descriptor");
        assert_eq!(
            error.to_string(),
            format!(
                "acme:x@0.1.0 in `describe` does not keep to the plugin contract: its descriptor is not valid: {expect}"
            )
        );
    };
    check("", "EOF while parsing a value at line 1 column 0").await;
    check("{}", "`steps` is missing in it").await;
    check(r#"{"steps":[],"extra":1}"#, "unknown field `extra`, expected `steps` or `provider` at line 1 column 19")
        .await;
    assert!(serde_json::from_str::<windlass_contract::Descriptor>(DESCRIPTOR).is_ok());
}

#[tokio::test]
async fn validate() {
    let plugin = HOST.load(&Guest::default().build()).await.expect("a plugin");
    let config = serde_json::json!({"x": 1});
    let found = HOST.runtime.validate(&plugin, "step.test", &config, Arc::new(Recorder::default())).await;
    let expect =
        PluginDiagnostic { severity: Severity::Warning, path: "/x".into(), message: "step.test".into(), help: None };
    assert_eq!(found.expect("diagnostics"), [expect]);
}

#[tokio::test]
async fn recover() {
    let capabilities = || Capabilities::none(Arc::new(Recorder::default()));
    for (answer, expect) in
        [(0, Recovery::Rerun), (1, Recovery::Succeeded), (2, Recovery::Failed), (3, Recovery::Unknown)]
    {
        let plugin = HOST.load(&Guest { recover: answer, ..Guest::default() }.build()).await.expect("a plugin");
        let call = call(plugin.plugin(), serde_json::json!({}));
        assert_eq!(HOST.runtime.recover(&plugin, &call, capabilities()).await, Ok(expect));
    }
}

#[tokio::test]
async fn the_cases_of_step_error() {
    use StepErrorKind as Kind;
    let kinds = [Kind::InvalidConfig, Kind::Failed, Kind::Denied, Kind::Unavailable, Kind::Cancelled, Kind::Other];
    for (case, kind) in kinds.into_iter().enumerate() {
        let run = format!(
            r#"(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const {case}))
            (i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const 3))"#
        );
        let guest = Guest { items: r#"(data (i32.const 2048) "why")"#, run: &run, ..Guest::default() };
        let result = HOST.run(&guest, &Arc::new(Recorder::default())).await.result;
        let Err(CallError::Step(error)) = result else { panic!("{result:?}") };
        let words = if kind == Kind::Cancelled { "it stopped because it was asked to" } else { "why" };
        assert_eq!((error.kind, error.message.as_str()), (kind, words));
    }
}

/// Each input is read and written to the log.
#[tokio::test]
async fn inputs() {
    let read = |import: &str, arguments: &str, parameters: &str, at: u32| {
        let imports = format!(
            r#"(import "windlass:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
            (import "windlass:plugin/inputs@0.1.0" "{import}" (func $read (param {parameters} i32)))"#
        );
        let run = format!(
            "(call $read {arguments} (i32.const 3000))
            (call $log (i32.const 1) (i32.load (i32.const {at})) (i32.load (i32.const {})) (i32.const 0) (i32.const 0))",
            at + 4
        );
        (imports, run)
    };
    let check = async |(imports, run): (String, String), expect: &str| {
        let items = r#"(data (i32.const 2048) "/a/b/a/z")"#;
        let guest = Guest { imports: &imports, items, run: &run, ..Guest::default() };
        let log = Arc::new(Recorder::default());
        HOST.run(&guest, &log).await.result.expect("success");
        let entries = log.entries.lock().expect("a lock");
        let [LogEntry::Line { message, .. }] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(message, expect);
    };
    check(read("config", "", "", 3000), r#"{"a":{"b":"c"}}"#).await;
    check(read("run-id", "", "", 3000), "r1").await;
    check(read("step-name", "", "", 3000), "test").await;
    check(read("idempotency-key", "", "", 3000), "r1/test/1").await;
    // An option: its text is 4 bytes further in.
    check(read("get", "(i32.const 2048) (i32.const 4)", "i32 i32", 3004), "c").await;
    check(read("get", "(i32.const 2048) (i32.const 2)", "i32 i32", 3004), r#"{"b":"c"}"#).await;
    check(read("get", "(i32.const 2052) (i32.const 4)", "i32 i32", 3004), "").await;
}

#[tokio::test]
async fn results_count_also_when_the_step_traps() {
    let guest = Guest {
        imports: r#"(import "windlass:plugin/outputs@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 2048) "n[1]no json")"#,
        run: "(call $set (i32.const 2048) (i32.const 1) (i32.const 2049) (i32.const 3) (i32.const 3000))
              (if (i32.load8_u (i32.const 3000)) (then (return (i32.const 1024))))
              ;; refused: the value is not JSON, and the case is `invalid`
              (call $set (i32.const 2048) (i32.const 1) (i32.const 2052) (i32.const 7) (i32.const 3000))
              (if (i32.ne (i32.load8_u (i32.const 3000)) (i32.const 1)) (then (return (i32.const 1024))))
              (if (i32.load8_u (i32.const 3004)) (then (return (i32.const 1024))))
              (unreachable)",
        ..Guest::default()
    };
    let report = HOST.run(&guest, &Arc::new(Recorder::default())).await;
    assert!(matches!(report.result, Err(CallError::Trap(_))), "{:?}", report.result);
    assert_eq!(serde_json::Value::Object(report.outputs).to_string(), r#"{"n":[1]}"#);
}

#[tokio::test]
async fn an_error_of_the_host_is_its_case_in_the_guest() {
    // state.set gives `conflict`, the second case of state-error.
    let guest = Guest {
        imports: r#"(import "windlass:plugin/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32)))"#,
        run: "(call $set (i32.const 2048) (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 3000))
              (if (i32.ne (i32.load8_u (i32.const 3000)) (i32.const 1)) (then (unreachable)))
              (if (i32.ne (i32.load8_u (i32.const 3004)) (i32.const 1)) (then (unreachable)))",
        ..Guest::default()
    };
    let mut capabilities = Capabilities::none(Arc::new(Recorder::default()));
    capabilities.state = Some(Arc::new(Never));
    HOST.run_with(&guest, capabilities, CallLimits::default()).await.result.expect("the expected case");
}

#[tokio::test]
async fn a_configuration_over_the_limit() {
    let plugin = HOST.load(&Guest::default().build()).await.expect("a plugin");
    let call = call(plugin.plugin(), serde_json::json!("x".repeat(4 << 20)));
    let capabilities = Capabilities::none(Arc::new(Recorder::default()));
    let report = HOST.runtime.run(&plugin, &call, capabilities, CallLimits::default()).await;
    let words = report.result.expect_err("too large").to_string();
    insta::assert_snapshot!(words, @"acme:x@0.1.0 was stopped in `run`: the configuration has more than 4 MiB");
}
