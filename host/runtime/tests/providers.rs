//! Providers: what they say of themselves, what they answer, and what the host does with those that do not.

mod common;

use common::{HOST, Host, Recorder, component, words};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use windlass_contract::{Capabilities, CodedError, PluginKind, ProviderCall, Verb};
use windlass_runtime::{CallError, CallLimits, Plugin, Severity, inspect};

const PROVIDER: &str =
    r#"{"provider":{"name":"cloud","title":"Acme Cloud","config_schema":{"type":"object"},"verbs":["deploy"]}}"#;

/// A provider in pieces, each with a harmless default. 1024 is where its answers are told, 2048 is for the body.
struct Provider<'a> {
    imports: &'a str,
    describe: &'a str,
    /// What `deploy` answers with.
    answer: &'a str,
    /// The body of `deploy` before that.
    deploy: &'a str,
    /// Exported beside it.
    more: &'a str,
    world: &'a str,
}

impl Default for Provider<'_> {
    fn default() -> Self {
        Provider { imports: "", describe: PROVIDER, answer: "{}", deploy: "", more: "", world: "provider-guest" }
    }
}

impl Provider<'_> {
    fn build(&self) -> Vec<u8> {
        let Provider { imports, describe, answer, deploy, more, world } = self;
        let text = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let verbs: String = Verb::ALL
            .into_iter()
            .filter(|verb| *verb != Verb::Deploy)
            .map(|verb| {
                // Each echoes its request.
                format!(
                    r#"(func (export "windlass:plugin/provider@0.1.0#{verb}") (param i32 i32) (result i32)
                        (i32.store8 (i32.const 1024) (i32.const 0))
                        (i32.store (i32.const 1028) (local.get 0))
                        (i32.store (i32.const 1032) (local.get 1))
                        (i32.const 1024))"#
                )
            })
            .collect();
        component(
            world,
            &format!(
                r#"(module
                {imports}
                (memory (export "memory") 1)
                (global $heap (mut i32) (i32.const 32768))
                (data (i32.const 512) "{description}")
                (data (i32.const 3000) "{answer}")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                    (global.set $heap (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "windlass:plugin/provider@0.1.0#describe") (result i32)
                    (i32.store (i32.const 1024) (i32.const 512))
                    (i32.store (i32.const 1028) (i32.const {described}))
                    (i32.const 1024))
                (func (export "windlass:plugin/provider@0.1.0#validate") (param i32 i32) (result i32)
                    ;; one error at "" that quotes the configuration
                    (i32.store8 (i32.const 1100) (i32.const 0))
                    (i32.store (i32.const 1104) (i32.const 1080))
                    (i32.store (i32.const 1108) (i32.const 0))
                    (i32.store (i32.const 1112) (local.get 0))
                    (i32.store (i32.const 1116) (local.get 1))
                    (i32.store8 (i32.const 1120) (i32.const 0))
                    (i32.store (i32.const 1024) (i32.const 1100))
                    (i32.store (i32.const 1028) (i32.const 1))
                    (i32.const 1024))
                (func (export "windlass:plugin/provider@0.1.0#deploy") (param i32 i32) (result i32)
                    (i32.store (i32.const 1028) (i32.const 3000))
                    (i32.store (i32.const 1032) (i32.const {answered}))
                    {deploy}
                    (i32.const 1024))
                {verbs}
                {more})"#,
                description = text(describe),
                described = describe.len(),
                answered = answer.len(),
                answer = text(answer),
            ),
        )
    }

    async fn load(&self) -> Plugin {
        HOST.load(&self.build()).await.expect("a plugin")
    }

    async fn ask(&self, verb: Verb) -> Result<Map<String, Value>, CallError> {
        ask(&self.load().await, verb, json!({"image": "app:1"}), Duration::from_secs(20)).await
    }
}

async fn ask(
    plugin: &Plugin,
    verb: Verb,
    arguments: Value,
    deadline: Duration,
) -> Result<Map<String, Value>, CallError> {
    let Value::Object(arguments) = arguments else { panic!("an object") };
    let config = json!({"region": "eu", "token": "secret:cloud/token"});
    let environment = "staging".parse().expect("a name");
    let call = ProviderCall { plugin: plugin.plugin().clone(), verb, environment, config, arguments };
    let nothing = Capabilities::none(Arc::new(Recorder::default()));
    HOST.runtime.ask_provider(plugin, &call, nothing, CallLimits::within(deadline)).await
}

const DEPLOYED: &str = r#"{"deploy_id":"d1","status":"succeeded","message":"fine","url":"http://x"}"#;

/// The case `case` of `provider-error`, with the answer's text as its words.
fn refuses(case: u8) -> String {
    format!(
        "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const {case}))
         (i32.store (i32.const 1032) (i32.const 3000)) (i32.store (i32.const 1036) (i32.const 4))"
    )
}

#[tokio::test]
async fn it_describes_itself() {
    let plugin = Provider::default().load().await;
    let told = HOST.runtime.describe(&plugin).await.expect("it describes itself");
    assert!(told.steps.is_empty());
    let provider = told.provider.expect("a provider");
    assert_eq!((provider.name.as_str(), provider.verbs), ("cloud", [Verb::Deploy].into()));
    assert_eq!(inspect(&Provider::default().build()).expect("a plugin").kinds, [PluginKind::Provider].into());

    let check = async |describe: &str, expect: &str| {
        let plugin = Provider { describe, ..Provider::default() }.load().await;
        let error = HOST.runtime.describe(&plugin).await.expect_err("no descriptor");
        assert!(words(&error).contains(expect), "{error}");
    };
    check("{}", "`provider` is missing in it").await;
    check("[", "its descriptor is not valid").await;
    check(&PROVIDER.replace("cloud", "Acme Cloud"), "lower-case letters").await;
    check(&PROVIDER.replace("deploy", "conquer"), "unknown variant `conquer`").await;
    check(&PROVIDER.replace("title", "titel"), "unknown field `titel`").await;
    let with_steps =
        PROVIDER.replacen('{', r#"{"steps":[{"name":"step.x","summary":"x","effect":"pure","config_schema":{}}],"#, 1);
    check(&with_steps, "`steps` are told by the `describe` of `step`").await;
}

/// One component may be both, and then says both.
#[tokio::test]
async fn a_step_plugin_that_is_a_provider_too() {
    let more = format!(
        r#"(data (i32.const 4000) "{}")
        (func (export "windlass:plugin/step@0.1.0#describe") (result i32)
            (i32.store (i32.const 1024) (i32.const 4000)) (i32.store (i32.const 1028) (i32.const {})) (i32.const 1024))
        (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32) (i32.const 1200))
        (func (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32) (i32.const 1200))
        (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const 0))"#,
        common::DESCRIPTOR.replace('"', "\\\""),
        common::DESCRIPTOR.len()
    );
    let both = Provider { more: &more, world: "both", answer: DEPLOYED, ..Provider::default() };
    let plugin = both.load().await;
    let told = HOST.runtime.describe(&plugin).await.expect("it describes itself");
    assert_eq!(told.provides(), ["step.test", "provider cloud"]);
    assert_eq!(both.ask(Verb::Deploy).await.expect("an answer")["deploy_id"], "d1");
    let call = common::call(plugin.plugin(), json!({}));
    let nothing = Capabilities::none(Arc::new(Recorder::default()));
    HOST.runtime.run(&plugin, &call, nothing, CallLimits::default()).await.result.expect("it runs as a step, too");
}

#[tokio::test]
async fn every_verb_gets_the_request_and_gives_its_answer() {
    let plugin = Provider { answer: DEPLOYED, ..Provider::default() }.load().await;
    for verb in Verb::ALL {
        let answers = json!({"deploy_id": "d1", "status": "failed", "progress": 3, "success": false, "message": "m"});
        let answer = ask(&plugin, verb, answers, Duration::from_secs(20)).await.expect("an answer");
        if verb == Verb::Deploy {
            assert_eq!(Value::Object(answer), serde_json::from_str::<Value>(DEPLOYED).expect("JSON"));
        } else {
            assert_eq!(
                (&answer["environment"], &answer["config"]["region"]),
                (&json!("staging"), &json!("eu")),
                "{verb}"
            );
            assert_eq!(answer["config"]["token"], "secret:cloud/token");
        }
    }
}

#[tokio::test]
async fn it_finds_fault_with_a_configuration() {
    let plugin = Provider::default().load().await;
    let log = Arc::new(Recorder::default());
    let found = HOST.runtime.validate_environment(&plugin, &json!({"a": 1}), log).await.expect("findings");
    let found: Vec<_> =
        found.iter().map(|found| (found.severity, found.path.as_str(), found.message.as_str())).collect();
    assert_eq!(found, [(Severity::Error, "", r#"{"a":1}"#)]);
}

#[tokio::test]
async fn why_it_did_not_do_it() {
    let mut told = Vec::new();
    for case in 0..8 {
        let error = Provider { answer: "busy", deploy: &refuses(case), ..Provider::default() };
        let error = error.ask(Verb::Deploy).await.expect_err("a refusal");
        let CallError::Provider(refused) = &error else { panic!("{error:?}") };
        assert_eq!((error.code().0, error.help(), refused.message.as_str()), (326, None, "busy"));
        told.push(format!("{:?} {}", refused.kind, error.retryable()));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    InvalidConfig false
    Unauthorized false
    NotFound false
    Conflict false
    Throttled true
    Unavailable true
    Unsupported false
    Other false
    ");
}

/// Whatever it does instead of answering, the host goes on and says what it was.
#[tokio::test]
async fn those_that_do_not_answer() {
    let check = async |provider: Provider<'_>, expect: &str| {
        let plugin = provider.load().await;
        let error = ask(&plugin, Verb::Deploy, json!({}), Duration::from_millis(300)).await.expect_err("no answer");
        assert!(words(&error).contains(expect), "{}", words(&error));
    };
    let does = |deploy| Provider { deploy, ..Provider::default() };
    check(does("unreachable"), "trapped in `deploy`: it gave up").await;
    check(does("(loop $l (br $l))"), "WL0323 acme:x@0.1.0 in `deploy` did not end within 300ms").await;
    check(does("(loop $l (br $l))"), "find out what the provider waits for").await;
    check(does("(i32.store (i32.const 1032) (i32.const 0x7fffffff))"), "WL0325").await;
    check(does("(i32.store8 (i32.const 1024) (i32.const 7))"), "WL0325").await;
    check(does("(drop (memory.grow (i32.const 8192)))"), "its answer is not valid").await;
    let answers = |answer| Provider { answer, ..Provider::default() };
    check(answers(""), "its answer is not valid: EOF").await;
    check(answers("[]"), "its answer is not valid").await;
    check(answers("{}"), "missing field `deploy_id`").await;
    check(answers(r#"{"deploy_id":"d1","status":"won","message":""}"#), "unknown variant `won`").await;
}

#[tokio::test]
async fn answers_and_requests_have_limits() {
    // 5 MiB of zeros, which are no JSON either: the size is seen first.
    let deploy = "(drop (memory.grow (i32.const 100))) (i32.store (i32.const 1028) (i32.const 65536))
                  (i32.store (i32.const 1032) (i32.const 5242880))";
    let error = Provider { deploy, ..Provider::default() }.ask(Verb::Deploy).await.expect_err("too much");
    assert!(words(&error).contains("WL0322"), "{error}");
    assert!(error.to_string().contains("its answer has more than 4 MiB"), "{error}");
    let plugin = Provider { answer: DEPLOYED, ..Provider::default() }.load().await;
    let large = json!({"image": "x".repeat(4 << 20)});
    let error = ask(&plugin, Verb::Deploy, large, Duration::from_secs(20)).await.expect_err("too much");
    assert!(error.to_string().contains("the configuration has more than 4 MiB"), "{error}");
}

#[tokio::test]
async fn what_was_not_granted_is_not_called() {
    let imports = r#"(import "windlass:plugin/state@0.1.0" "delete" (func $delete (param i32 i32 i32)))"#;
    let error = Provider { imports, ..Provider::default() }.ask(Verb::Deploy).await.expect_err("a refusal");
    let CallError::NotGranted(refused) = &error else { panic!("{error:?}") };
    assert!(refused.to_string().contains("was not called: it wants to keep a small store"), "{refused}");
}

/// What is of one kind is not called as the other.
#[tokio::test]
async fn kinds_are_not_mixed_up() {
    let wasm = common::Guest::default().build();
    let step = HOST.load(&wasm).await.expect("a plugin");
    let error = ask(&step, Verb::Deploy, json!({}), Duration::from_secs(20)).await.expect_err("no provider");
    assert!(error.to_string().contains("it is not a provider"), "{error}");
    let provider = Provider::default().load().await;
    let nothing = Capabilities::none(Arc::new(Recorder::default()));
    let call = common::call(&Host::reference(&Provider::default().build()), json!({}));
    let report = HOST.runtime.run(&provider, &call, nothing, CallLimits::default()).await;
    let error = report.result.expect_err("no step");
    assert!(error.to_string().contains("it is not a step plugin"), "{error}");
}
