//! What stories look like: on a screen, for programs, for browsers, and for tools that show tests.

mod common;

use common::{Story, fix_loop, gate, manual, name, plan, plan_of, question, started_by, state, states, step, sub_run};
use insta::assert_snapshot;
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::{Group, Origin, Parent, RerunFrom, Skip};
use windlass_manifest::plan::{Completion, Condition, Gate, Schedule, State, Window};
use windlass_report::{
    Paint, Plain, Tone,
    console::Console,
    json_lines, junit, sse,
    summary::{summary, table},
    why::{why_skipped, why_waiting},
};

fn screen(story: &Story) -> String {
    let console = Console::new(&story.plan, 80, Plain);
    story.told.iter().flat_map(|told| console.lines(told)).collect::<Vec<_>>().join("\n")
}

fn end_table(story: &Story) -> String {
    table(&summary(story.run()), &Plain)
}

fn xml(story: &Story) -> String {
    junit::render(&story.told)
}

fn documents(story: &Story) -> String {
    story.told.iter().map(json_lines::line).collect::<Vec<_>>().join("\n")
}

/// Three steps of which the first is tried again, the second fails, and the third has a condition.
fn chain() -> Story {
    let mut plan = plan_of(
        "build: retry 2, backoff 10000
         lint: needs build, continue
         test: needs lint
         deploy: needs test
         notes: needs test, if always() and inputs.channel == 'stable'
         clean: needs deploy, if always()",
    );
    plan.name = "chain".to_owned();
    Story::play(
        plan,
        started_by("ada"),
        "log build out Pulling \u{1b}[1mbusybox\u{1b}[0m
         log build system the image cannot be pulled
         end build pull
         container build
         log build out 10 %\r100 %
         end build ok
         log lint err warning: <unused> & \u{1b}[31mred\u{1b}[0m
         end lint fail
         end test exit
         end clean ok",
    )
}

#[test]
fn chain_on_a_screen() {
    assert_snapshot!(screen(&chain()).replace('\u{1b}', "␛"), @r#"
    ▶ chain r1 · windlass.yaml · by ada
    build  │ ▶ step.shell_exec windlass:shell@0.1.0
    build  │ Pulling ␛[1mbusybox␛[0m
    build  │ the image cannot be pulled
    build  │ pull
    build  │ ✘ error after 0.1 s · tried again in 10.0 s
    build  │ ▶ step.shell_exec windlass:shell@0.1.0 · attempt 2
    build  │ 100 %
    build  │ ✔ succeeded after 0.2 s
    lint   │ ▶ step.shell_exec windlass:shell@0.1.0
    lint   │ warning: <unused> & ␛[31mred␛[0m
    lint   │ fail
    lint   │ ✘ failed after 0.1 s · and may, so the run goes on
    test   │ ▶ step.shell_exec windlass:shell@0.1.0
    test   │ exit
    test   │ ✘ failed after 0.1 s
    deploy │ ○ skipped: test had failed
    notes  │ ○ skipped: `always() and inputs.channel == 'stable'` is false:
    notes  │ inputs.channel is null
    clean  │ ▶ step.shell_exec windlass:shell@0.1.0
    clean  │ ✔ succeeded after 0.1 s
    ✘ chain failed in 11.2 s · 2 succeeded · 1 failed · 1 failed as they may · 2 skipped · r1
      exit
    "#);
}

#[test]
fn chain_as_a_table() {
    assert_snapshot!(end_table(&chain()), @r#"
    ✔ build   succeeded  10.4 s  2 attempts
    ✘ lint    failed     0.1 s   may fail · fail
    ✘ test    failed     0.1 s   exit
    ○ deploy  skipped            test had failed
    ○ notes   skipped            `always() and inputs.channel == 'stable'` is false: inputs.channel is null
    ✔ clean   succeeded  0.1 s
    ✘ chain   failed     11.2 s  r1 · exit
    "#);
}

#[test]
fn chain_as_tests() {
    assert_snapshot!(xml(&chain()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="chain" tests="6" failures="1" errors="0" skipped="3" time="11.200">
      <testsuite name="main" tests="6" failures="1" errors="0" skipped="3" time="0.600">
        <testcase name="build" classname="chain.main" time="0.300">
          <flakyError message="pull" type="ImagePullFailed">pull</flakyError>
          <system-out>Pulling busybox
    the image cannot be pulled
    100 %
    </system-out>
        </testcase>
        <testcase name="lint" classname="chain.main" time="0.100">
          <skipped message="failed, and may: fail"/>
          <system-err>warning: &lt;unused&gt; &amp; red
    </system-err>
        </testcase>
        <testcase name="test" classname="chain.main" time="0.100">
          <failure message="exit" type="NonZeroExitCode">exit</failure>
        </testcase>
        <testcase name="deploy" classname="chain.main" time="0.000">
          <skipped message="test had failed"/>
        </testcase>
        <testcase name="notes" classname="chain.main" time="0.000">
          <skipped message="`always() and inputs.channel == 'stable'` is false: inputs.channel is null"/>
        </testcase>
        <testcase name="clean" classname="chain.main" time="0.100"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn chain_for_programs() {
    assert_snapshot!(documents(&chain()), @r#"
    {"run":"r1","seq":1,"part":0,"at_ms":1000,"type":"run-started","name":"chain","file":"windlass.yaml","inputs":{},"by":"ada","parent":null,"rerun_of":null,"warnings":[]}
    {"run":"r1","seq":1,"part":1,"at_ms":1000,"type":"state-entered","state":"main","visit":1,"from":null,"because":null,"feedback":null}
    {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"step-started","step":"build","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"log","step":"build","attempt":1,"line":1,"stream":"stdout","text":"Pulling \u001b[1mbusybox\u001b[0m"}
    {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"log","step":"build","attempt":1,"line":2,"stream":"system","text":"the image cannot be pulled"}
    {"run":"r1","seq":3,"part":0,"at_ms":1200,"type":"step-ended","step":"build","attempt":1,"outcome":"error","reason":{"kind":"image-pull-failed","code":null,"message":"pull"},"retry_ms":11200,"took_ms":100,"allowed":false}
    {"run":"r1","seq":5,"part":0,"at_ms":11300,"type":"step-started","step":"build","state":"main","attempt":2,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":6,"part":0,"at_ms":11400,"type":"container-created","step":"build","attempt":2,"index":0,"name":"wl-build"}
    {"run":"r1","seq":6,"part":0,"at_ms":11400,"type":"log","step":"build","attempt":2,"line":1,"stream":"stdout","text":"10 %\r100 %"}
    {"run":"r1","seq":7,"part":0,"at_ms":11500,"type":"step-ended","step":"build","attempt":2,"outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":200,"allowed":false}
    {"run":"r1","seq":8,"part":0,"at_ms":11600,"type":"step-started","step":"lint","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":8,"part":0,"at_ms":11600,"type":"log","step":"lint","attempt":1,"line":1,"stream":"stderr","text":"warning: <unused> & \u001b[31mred\u001b[0m"}
    {"run":"r1","seq":9,"part":0,"at_ms":11700,"type":"step-ended","step":"lint","attempt":1,"outcome":"failed","reason":{"kind":"other","code":null,"message":"fail"},"retry_ms":null,"took_ms":100,"allowed":true}
    {"run":"r1","seq":10,"part":0,"at_ms":11800,"type":"step-started","step":"test","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":11,"part":0,"at_ms":11900,"type":"step-ended","step":"test","attempt":1,"outcome":"failed","reason":{"kind":{"non-zero-exit":{"code":7}},"code":null,"message":"exit"},"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":11,"part":1,"at_ms":11900,"type":"step-skipped","step":"deploy","state":"main","skip":{"why":"run-failed","by":"test"},"sentence":"test had failed"}
    {"run":"r1","seq":11,"part":2,"at_ms":11900,"type":"step-skipped","step":"notes","state":"main","skip":{"why":"condition","text":"always() and inputs.channel == 'stable'","values":[["inputs.channel",null]]},"sentence":"`always() and inputs.channel == 'stable'` is false: inputs.channel is null"}
    {"run":"r1","seq":12,"part":0,"at_ms":12000,"type":"step-started","step":"clean","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":13,"part":0,"at_ms":12100,"type":"step-ended","step":"clean","attempt":1,"outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":14,"part":0,"at_ms":12200,"type":"run-ended","outcome":"failed","reason":{"kind":{"non-zero-exit":{"code":7}},"code":null,"message":"exit"},"took_ms":11200,"counts":{"succeeded":2,"failed":1,"cancelled":0,"allowed":1,"skipped":2,"carried":0}}
    "#);
}

#[test]
fn chain_for_a_browser() {
    let story = chain();
    let frames: String = story.told.iter().take(5).map(sse::frame).collect();
    assert_snapshot!(frames + sse::HEARTBEAT, @r#"
    id: r1:1.0
    event: run-started
    data: {"run":"r1","seq":1,"part":0,"at_ms":1000,"type":"run-started","name":"chain","file":"windlass.yaml","inputs":{},"by":"ada","parent":null,"rerun_of":null,"warnings":[]}

    id: r1:1.1
    event: state-entered
    data: {"run":"r1","seq":1,"part":1,"at_ms":1000,"type":"state-entered","state":"main","visit":1,"from":null,"because":null,"feedback":null}

    id: r1:2.0
    event: step-started
    data: {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"step-started","step":"build","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}

    event: log
    data: {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"log","step":"build","attempt":1,"line":1,"stream":"stdout","text":"Pulling \u001b[1mbusybox\u001b[0m"}

    event: log
    data: {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"log","step":"build","attempt":1,"line":2,"stream":"system","text":"the image cannot be pulled"}

    : still here
    "#);
}

/// The table of keys says what is written.
#[test]
fn every_key_is_documented() {
    let table = include_str!("../src/json_lines.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let ticked = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut documented: BTreeMap<String, Vec<String>> = table
        .filter_map(|row| row.split_once("` | "))
        .map(|(name, keys)| (name.to_owned(), ticked(keys)))
        .filter(|(name, _)| name != "type")
        .collect();
    let queued = Origin { group: Some(Group { name: "g".to_owned(), limit: 1 }), ..Origin::default() };
    let old = Story::play(plan_of("a:\nb: needs a"), started_by("ada"), "end a ok\nend b fail");
    let rerun = old.run().rerun(&RerunFrom::Failed).expect("it failed").map(Box::new);
    let stories = [
        chain(),
        gated("end build ok\napprove ask bob\nreject ask eve"),
        Story::play(plan(vec![sub_run("call", &[], true)]), queued, "turn\ncancel Ctrl-C\nend call cancelled"),
        Story::play(plan_of("a:"), started_by("ada"), "unsure a\ndecide a failed"),
        Story::begin(old.plan, Origin { rerun, ..Origin::default() }),
    ];
    let mut seen = BTreeSet::new();
    for told in stories.iter().flat_map(|story| &story.told) {
        let document: serde_json::Value = serde_json::from_str(&json_lines::line(told)).expect("JSON");
        let keys: Vec<String> = document.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys[..5], ["run", "seq", "part", "at_ms", "type"]);
        assert_eq!(Some(&keys[5..]), documented.get(told.item.name()).map(Vec::as_slice), "{}", told.item.name());
        seen.insert(told.item.name());
    }
    documented.retain(|name, _| !seen.contains(name.as_str()));
    assert!(documented.is_empty(), "no story tells of {documented:?}");
}

/// What each tone is put on.
#[test]
fn tones() {
    struct Tagged;
    impl Paint for Tagged {
        fn paint(&self, tone: Tone, text: &str) -> String {
            format!("<{tone:?} {text}>")
        }
    }
    let story = Story::play(plan_of("build:"), started_by("ada"), "log build system hello\nend build exit");
    let console = Console::new(&story.plan, 80, Tagged);
    let lines: Vec<String> = story.told.iter().flat_map(|told| console.lines(told)).collect();
    assert_snapshot!(lines.join("\n") + "\n" + &table(&summary(story.run()), &Tagged), @r#"
    <Strong ▶ demo> <Faint r1 · windlass.yaml · by ada>
    <Step(0) build │> <Faint ▶> step.shell_exec <Faint windlass:shell@0.1.0>
    <Step(0) build │> <Faint hello>
    <Step(0) build │> <Bad exit>
    <Step(0) build │> <Bad ✘> failed<Faint  after 0.1 s>
    <Bad ✘ demo failed> <Faint in 0.3 s · 1 failed · r1>
      <Bad exit>
    <Bad ✘> <Step(0) build>  <Bad failed>  <Plain 0.1 s>  <Faint exit>
    <Bad ✘> <Strong demo>   <Bad failed>  <Plain 0.3 s>  <Faint r1 · exit>
    "#);
}

fn loops() -> Story {
    Story::play(
        fix_loop(),
        started_by("ada"),
        r#"end BUILD exit {"exit_code":7,"stderr":"expected `;`"}
           end FIX ok {"patched":true}
           end BUILD ok {"exit_code":0}
           end DONE ok"#,
    )
}

#[test]
fn loop_on_a_screen() {
    assert_snapshot!(screen(&loops()), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    ── BUILD ───────────────────────────────────────────────────────────────────────
    BUILD │ ▶ step.shell_exec windlass:shell@0.1.0
    BUILD │ exit
    BUILD │ ✘ failed after 0.1 s
    BUILD → FIX  its exit code is 7
    ── FIX ─────────────────────────────────────────────────────────────────────────
       exit 7: expected `;`
    FIX   │ ▶ step.shell_exec windlass:shell@0.1.0
    FIX   │ ✔ succeeded after 0.1 s
    FIX → BUILD  `FIX.output.patched == true` is true: `FIX.output.patched` is true
    ── BUILD (visit 2) ─────────────────────────────────────────────────────────────
    BUILD │ ▶ step.shell_exec windlass:shell@0.1.0 · attempt 2
    BUILD │ ✔ succeeded after 0.1 s
    BUILD → DONE  its exit code is 0
    ── DONE ────────────────────────────────────────────────────────────────────────
    DONE  │ ▶ step.shell_exec windlass:shell@0.1.0
    DONE  │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 1.2 s · 3 succeeded · 1 failed · r1
    "#);
}

#[test]
fn loop_as_a_table() {
    assert_snapshot!(end_table(&loops()), @r#"
    ✘   BUILD            failed     0.2 s  → FIX
      ✘ BUILD            failed     0.1 s  exit
    ✔   FIX              succeeded  0.2 s  → BUILD
      ✔ FIX              succeeded  0.1 s
    ✔   BUILD (visit 2)  succeeded  0.2 s  → DONE
      ✔ BUILD            succeeded  0.1 s
    ✔   DONE             succeeded  0.2 s
      ✔ DONE             succeeded  0.1 s
    ✔   demo             succeeded  1.2 s  r1
    "#);
}

#[test]
fn loop_as_tests() {
    assert_snapshot!(xml(&loops()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="4" failures="1" errors="0" skipped="0" time="1.200">
      <testsuite name="BUILD" tests="1" failures="1" errors="0" skipped="0" time="0.100">
        <testcase name="BUILD" classname="demo.BUILD" time="0.100">
          <failure message="exit" type="NonZeroExitCode">exit</failure>
        </testcase>
      </testsuite>
      <testsuite name="FIX" tests="1" failures="0" errors="0" skipped="0" time="0.100">
        <testcase name="FIX" classname="demo.FIX" time="0.100"/>
      </testsuite>
      <testsuite name="BUILD (visit 2)" tests="1" failures="0" errors="0" skipped="0" time="0.100">
        <testcase name="BUILD" classname="demo.BUILD" time="0.100"/>
      </testsuite>
      <testsuite name="DONE" tests="1" failures="0" errors="0" skipped="0" time="0.100">
        <testcase name="DONE" classname="demo.DONE" time="0.100"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn no_way_out() {
    let story = Story::play(
        states(vec![state("A", vec![step("A", &[])], &[(Condition::OnFailure, 0)])]),
        started_by("ada"),
        "end A ok",
    );
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    ── A ───────────────────────────────────────────────────────────────────────────
    A │ ▶ step.shell_exec windlass:shell@0.1.0
    A │ ✔ succeeded after 0.1 s
    ✘ demo failed in 0.3 s · 1 succeeded · r1
      no transition of the state A matches: it has succeeded; add one that does,
      such as `condition: always` at the end
    "#);
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="2" failures="1" errors="0" skipped="0" time="0.300">
      <testsuite name="A" tests="2" failures="1" errors="0" skipped="0" time="0.100">
        <testcase name="A" classname="demo.A" time="0.100"/>
        <testcase name="run" classname="demo.A" time="0.000">
          <failure message="no transition of the state A matches: it has succeeded; add one that does, such as `condition: always` at the end" type="NoMatchingTransition">no transition of the state A matches: it has succeeded; add one that does, such as `condition: always` at the end</failure>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

fn gated(script: &str) -> Story {
    let ask = gate("ask", &["build"], Gate::Manual(manual(&["ada", "bob", "eve"], 2)));
    let plan = plan(vec![step("build", &[]), ask, step("deploy", &["ask"])]);
    Story::play(plan, started_by("ada"), script)
}

#[test]
fn approved_by_a_quorum() {
    let story = gated("end build ok\napprove ask bob looks good\napprove ask eve\nend deploy ok");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    build  │ ▶ step.shell_exec windlass:shell@0.1.0
    build  │ ✔ succeeded after 0.1 s
    ask    │ ◆ a gate asks for approval
    ask    │ Deploy r1 to production?
    ask    │ 2 approvals of bob, eve · open for 5 min 00 s, then it counts as
    ask    │ rejected
    ask    │   windlass approve r1 ask
    ask    │   windlass reject r1 ask
    ask    │ bob approves: looks good · 1 approval missing
    ask    │ eve approves
    ask    │ ✔ passed by bob, eve after 0.2 s
    deploy │ ▶ step.shell_exec windlass:shell@0.1.0
    deploy │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 0.8 s · 3 succeeded · r1
    "#);
    assert_snapshot!(end_table(&story), @r#"
    ✔ build   succeeded  0.1 s
    ✔ ask     succeeded  0.2 s
    ✔ deploy  succeeded  0.1 s
    ✔ demo    succeeded  0.8 s  r1
    "#);
    assert_snapshot!(documents(&story), @r#"
    {"run":"r1","seq":1,"part":0,"at_ms":1000,"type":"run-started","name":"demo","file":"windlass.yaml","inputs":{},"by":"ada","parent":null,"rerun_of":null,"warnings":[]}
    {"run":"r1","seq":1,"part":1,"at_ms":1000,"type":"state-entered","state":"main","visit":1,"from":null,"because":null,"feedback":null}
    {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"step-started","step":"build","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":3,"part":0,"at_ms":1200,"type":"step-ended","step":"build","attempt":1,"outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":4,"part":0,"at_ms":1300,"type":"gate-opened","step":"ask","state":"main","attempt":1,"gate":"manual","prompt":"Deploy r1 to production?","approvers":["ada","bob","eve"],"not_by":"ada","quorum":2,"opens_ms":null,"expires_ms":301300,"otherwise":"rejected","commands":["windlass approve r1 ask","windlass reject r1 ask"]}
    {"run":"r1","seq":5,"part":0,"at_ms":1400,"type":"gate-voted","step":"ask","attempt":1,"by":"bob","vote":"approve","comment":"looks good","missing":1}
    {"run":"r1","seq":6,"part":0,"at_ms":1500,"type":"gate-voted","step":"ask","attempt":1,"by":"eve","vote":"approve","comment":null,"missing":0}
    {"run":"r1","seq":6,"part":1,"at_ms":1500,"type":"gate-decided","step":"ask","attempt":1,"outcome":"succeeded","reason":null,"by":["bob","eve"],"answer":null,"took_ms":200,"allowed":false}
    {"run":"r1","seq":7,"part":0,"at_ms":1600,"type":"step-started","step":"deploy","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":8,"part":0,"at_ms":1700,"type":"step-ended","step":"deploy","attempt":1,"outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":9,"part":0,"at_ms":1800,"type":"run-ended","outcome":"succeeded","reason":null,"took_ms":800,"counts":{"succeeded":3,"failed":0,"cancelled":0,"allowed":0,"skipped":0,"carried":0}}
    "#);
}

#[test]
fn expired() {
    let story = gated("end build ok\napprove ask bob\ndue ask");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    build  │ ▶ step.shell_exec windlass:shell@0.1.0
    build  │ ✔ succeeded after 0.1 s
    ask    │ ◆ a gate asks for approval
    ask    │ Deploy r1 to production?
    ask    │ 2 approvals of bob, eve · open for 5 min 00 s, then it counts as
    ask    │ rejected
    ask    │   windlass approve r1 ask
    ask    │   windlass reject r1 ask
    ask    │ bob approves · 1 approval missing
    ask    │ nobody decided in time, and then it counts as rejected
    ask    │ ✘ rejected after 5 min 00 s
    deploy │ ○ skipped: ask had failed
    ✘ demo rejected in 5 min 00 s · 1 succeeded · 1 failed · 1 skipped · r1
      nobody decided in time, and then it counts as rejected
    "#);
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="3" failures="1" errors="0" skipped="1" time="300.400">
      <testsuite name="main" tests="3" failures="1" errors="0" skipped="1" time="300.100">
        <testcase name="build" classname="demo.main" time="0.100"/>
        <testcase name="ask" classname="demo.main" time="300.000">
          <failure message="nobody decided in time, and then it counts as rejected" type="GateExpired">nobody decided in time, and then it counts as rejected</failure>
        </testcase>
        <testcase name="deploy" classname="demo.main" time="0.000">
          <skipped message="ask had failed"/>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn rejected() {
    let story = gated("end build ok\nreject ask ada not on a Friday");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    build  │ ▶ step.shell_exec windlass:shell@0.1.0
    build  │ ✔ succeeded after 0.1 s
    ask    │ ◆ a gate asks for approval
    ask    │ Deploy r1 to production?
    ask    │ 2 approvals of bob, eve · open for 5 min 00 s, then it counts as
    ask    │ rejected
    ask    │   windlass approve r1 ask
    ask    │   windlass reject r1 ask
    ask    │ ada rejects: not on a Friday
    ask    │ ✘ rejected by ada after 0.1 s
    deploy │ ○ skipped: ask had failed
    ✘ demo rejected in 0.5 s · 1 succeeded · 1 failed · 1 skipped · r1
      ada rejected it: not on a Friday
    "#);
}

#[test]
fn other_gates() {
    let automated = gate("check", &["which"], Gate::Automated { conditions: vec!["inputs.ready == true".to_owned()] });
    let plan = plan(vec![question("which", "Which\u{1b}[2J colour?\n\nOne of red, green and blue."), automated]);
    let story = Story::play(plan, started_by("ada"), "answer which bob blue");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    which │ ◆ a question waits for an answer
    which │ Which\u{1b}[2J colour?
    which │
    which │ One of red, green and blue.
    which │ open for 5 min 00 s, then it counts as timed-out
    which │   windlass answer r1 which ANSWER
    which │ bob answers "blue"
    which │ ✔ passed with "blue" by bob after 0.1 s
    check │ ◆ a gate asks its conditions
    check │ the condition `inputs.ready == true` does not hold: `inputs.ready` is
    check │ null
    check │ ✘ rejected after 0.0 s
    ✘ demo rejected in 0.4 s · 1 succeeded · 1 failed · r1
      the condition `inputs.ready == true` does not hold: `inputs.ready` is null
    "#);
}

/// 1970-01-01 was a Thursday; the stories begin one second into it.
fn scheduled(weekday: u8, timeout_ms: u64) -> Story {
    let windows = vec![Window { weekdays: [weekday].into(), start_hour: 0, end_hour: 24 }];
    let mut made = gate("wait", &[], Gate::Scheduled(Schedule { windows, timezone: "UTC".to_owned() }));
    made.timeout_ms = timeout_ms;
    Story::begin(plan(vec![made]), started_by("ada"))
}

#[test]
fn a_window() {
    let mut story = scheduled(5, 100_000_000);
    story.go_on("due wait");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    wait │ ◆ a gate waits for its window
    wait │ its window opens in 23 h 59 min · open for 27 h 46 min, then it counts as
    wait │ rejected
    wait │ ✔ passed after 23 h 59 min
    ✔ demo succeeded in 23 h 59 min · 1 succeeded · r1
    "#);
}

#[test]
fn sub_runs() {
    let plan = plan(vec![sub_run("call", &[], true), sub_run("fire", &[], false), step("after", &["call"])]);
    let story = Story::play(plan, started_by("ada"), "end fire ok\nend call ok\nend after ok");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    call  │ ▶ other as r2
    fire  │ ▶ other as r2, and nobody waits for it
    fire  │ ✔ succeeded after 0.1 s
    call  │ ✔ succeeded after 0.3 s
    after │ ▶ step.shell_exec windlass:shell@0.1.0
    after │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 0.7 s · 3 succeeded · r1
    "#);
    assert_snapshot!(end_table(&story), @r#"
    ✔ call   succeeded  0.3 s  run r2
    ✔ fire   succeeded  0.1 s  run r2
    ✔ after  succeeded  0.1 s
    ✔ demo   succeeded  0.7 s  r1
    "#);
    assert_snapshot!(documents(&story), @r#"
    {"run":"r1","seq":1,"part":0,"at_ms":1000,"type":"run-started","name":"demo","file":"windlass.yaml","inputs":{},"by":"ada","parent":null,"rerun_of":null,"warnings":[]}
    {"run":"r1","seq":1,"part":1,"at_ms":1000,"type":"state-entered","state":"main","visit":1,"from":null,"because":null,"feedback":null}
    {"run":"r1","seq":2,"part":0,"at_ms":1100,"type":"sub-run-started","step":"call","state":"main","attempt":1,"workflow":"other","sub_run":"r2","wait":true}
    {"run":"r1","seq":3,"part":0,"at_ms":1200,"type":"sub-run-started","step":"fire","state":"main","attempt":1,"workflow":"other","sub_run":"r2","wait":false}
    {"run":"r1","seq":4,"part":0,"at_ms":1300,"type":"sub-run-ended","step":"fire","attempt":1,"sub_run":"r2","outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":5,"part":0,"at_ms":1400,"type":"sub-run-ended","step":"call","attempt":1,"sub_run":"r2","outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":300,"allowed":false}
    {"run":"r1","seq":6,"part":0,"at_ms":1500,"type":"step-started","step":"after","state":"main","attempt":1,"step_type":"step.shell_exec","plugin":{"name":"windlass:shell","version":"0.1.0","digest":"sha256:ce635c4eabff5e4f56dba8fb1e39ca235530aa2b6b18533eef1af3862016c577"}}
    {"run":"r1","seq":7,"part":0,"at_ms":1600,"type":"step-ended","step":"after","attempt":1,"outcome":"succeeded","reason":null,"retry_ms":null,"took_ms":100,"allowed":false}
    {"run":"r1","seq":8,"part":0,"at_ms":1700,"type":"run-ended","outcome":"succeeded","reason":null,"took_ms":700,"counts":{"succeeded":3,"failed":0,"cancelled":0,"allowed":0,"skipped":0,"carried":0}}
    "#);
}

#[test]
fn cancelled() {
    let plan = plan_of(
        "build: retry 2, backoff 1000
         other: needs build
         clean: needs build, if always()",
    );
    let story =
        Story::play(plan, started_by("ada"), "cancel Ctrl-C\nend build cancelled\ncancel Ctrl-C\nend clean cancelled");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    build │ ▶ step.shell_exec windlass:shell@0.1.0
    ■ Ctrl-C: stopping what runs (once more stops everything)
    build │ cancelled
    build │ ■ cancelled after 0.2 s
    other │ ○ skipped: the run was asked to stop
    clean │ ▶ step.shell_exec windlass:shell@0.1.0
    ■ Ctrl-C: stopping everything
    clean │ cancelled
    clean │ ■ cancelled after 0.2 s
    ■ demo cancelled in 0.7 s · 2 cancelled · 1 skipped · r1
      the run was asked to stop
    "#);
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="3" failures="0" errors="2" skipped="1" time="0.700">
      <testsuite name="main" tests="3" failures="0" errors="2" skipped="1" time="0.400">
        <testcase name="build" classname="demo.main" time="0.200">
          <error message="cancelled" type="Cancelled">cancelled</error>
        </testcase>
        <testcase name="other" classname="demo.main" time="0.000">
          <skipped message="the run was asked to stop"/>
        </testcase>
        <testcase name="clean" classname="demo.main" time="0.200">
          <error message="cancelled" type="Cancelled">cancelled</error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn undecided() {
    let story = Story::play(plan_of("deploy:"), started_by("ada"), "unsure deploy\ndecide deploy rerun\nend deploy ok");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    deploy │ ▶ step.shell_exec windlass:shell@0.1.0
    deploy │ ? nobody can tell what became of it when the host died: a person
    deploy │ decides
    deploy │   windlass resume r1 --decide deploy=rerun
    deploy │   windlass resume r1 --decide deploy=succeeded
    deploy │   windlass resume r1 --decide deploy=failed
    deploy │ ada has it done again
    deploy │ its fate was unknown; ada had it run again
    deploy │ ✘ lost after 0.2 s · tried again at once
    deploy │ ▶ step.shell_exec windlass:shell@0.1.0 · attempt 2
    deploy │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 0.6 s · 1 succeeded · r1
    "#);
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="1" failures="0" errors="0" skipped="0" time="0.600">
      <testsuite name="main" tests="1" failures="0" errors="0" skipped="0" time="0.300">
        <testcase name="deploy" classname="demo.main" time="0.300">
          <flakyError message="its fate was unknown; ada had it run again" type="Lost">its fate was unknown; ada had it run again</flakyError>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn queued_and_for_another_run() {
    let group = Some(Group { name: "deploy".to_owned(), limit: 1 });
    let parent = Some(Parent { run: "r0".parse().expect("a run id"), step: name("call"), attempt: 1 });
    let origin = Origin { group, parent, ..Origin::default() };
    let story = Story::play(plan_of("a:"), origin.clone(), "turn\nend a ok");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · for call of r0
    a │ ▶ step.shell_exec windlass:shell@0.1.0
    a │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 0.4 s · 1 succeeded · r1
    "#);
    let stopped = Story::play(plan_of("a:"), origin, "cancel Ctrl-C");
    assert_snapshot!(screen(&stopped), @r#"
    ▶ demo r1 · windlass.yaml · for call of r0
    ■ Ctrl-C: stopping what runs (once more stops everything)
    a │ ○ skipped: the run was asked to stop
    ■ demo cancelled in 0.2 s · 1 skipped · r1
      the run was asked to stop
    "#);
}

#[test]
fn repeated() {
    let plan = plan_of("a:\nb: needs a\nc: needs b");
    let old = Story::play(plan.clone(), started_by("ada"), "end a ok\nend b fail");
    let rerun = old.run().rerun(&RerunFrom::Failed).expect("it failed").map(Box::new);
    let origin = Origin { rerun, ..started_by("bob") };
    let story = Story::play(plan, origin, "end b ok\nend c ok");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by bob · repeats r1
    a │ ✔ succeeded, taken over from r1
    b │ ▶ step.shell_exec windlass:shell@0.1.0
    b │ ✔ succeeded after 0.1 s
    c │ ▶ step.shell_exec windlass:shell@0.1.0
    c │ ✔ succeeded after 0.1 s
    ✔ demo succeeded in 0.5 s · 2 succeeded · 1 taken over · r1
    "#);
    assert_snapshot!(end_table(&story), @r#"
    ✔ a     succeeded         taken over
    ✔ b     succeeded  0.1 s
    ✔ c     succeeded  0.1 s
    ✔ demo  succeeded  0.5 s  r1
    "#);
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="demo" tests="3" failures="0" errors="0" skipped="1" time="0.500">
      <testsuite name="main" tests="3" failures="0" errors="0" skipped="1" time="0.200">
        <testcase name="a" classname="demo.main" time="0.000">
          <skipped message="taken over from r1"/>
        </testcase>
        <testcase name="b" classname="demo.main" time="0.100"/>
        <testcase name="c" classname="demo.main" time="0.100"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn steps_side_by_side() {
    let steps = vec![step("unit", &[]), step("slow", &[]), step("lint", &[])];
    let test = State { completion: Completion::AnySucceed, ..state("TEST", steps, &[(Condition::OnSuccess, 1)]) };
    let plan = states(vec![test, state("DONE", Vec::new(), &[])]);
    let story = Story::play(
        plan,
        started_by("ada"),
        "log unit out 1 passed
         log slow out still here
         end lint timeout
         end unit ok
         end slow exit",
    );
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    ── TEST ────────────────────────────────────────────────────────────────────────
    unit │ ▶ step.shell_exec windlass:shell@0.1.0
    slow │ ▶ step.shell_exec windlass:shell@0.1.0
    lint │ ▶ step.shell_exec windlass:shell@0.1.0
    unit │ 1 passed
    slow │ still here
    lint │ timeout
    lint │ ✘ timed-out after 0.1 s
    unit │ ✔ succeeded after 0.4 s
    slow │ exit
    slow │ ✘ failed after 0.4 s
    TEST → DONE  it has succeeded
    ── DONE ────────────────────────────────────────────────────────────────────────
    ✔ demo succeeded in 0.8 s · 1 succeeded · 2 failed · r1
    "#);
    assert_snapshot!(end_table(&story), @r#"
    ✔   TEST  succeeded  0.6 s  → DONE
      ✔ unit  succeeded  0.4 s
      ✘ slow  failed     0.4 s  exit
      ✘ lint  timed-out  0.1 s  timeout
    ✔   DONE  succeeded  0.0 s
    ✔   demo  succeeded  0.8 s  r1
    "#);
}

#[test]
fn a_step_that_cannot_be_rendered() {
    let story = Story::play(plan_of("a: broken"), started_by("ada"), "");
    assert_snapshot!(screen(&story), @r#"
    ▶ demo r1 · windlass.yaml · by ada
    a │ WL0105: `steps.nobody.x` has no value (in `steps.nobody.x`, at /script);
    a │ give it a value, or write `| default('…')`
    a │ ✘ error
    ✘ demo error in 0.1 s · 1 failed · r1
      `steps.nobody.x` has no value (in `steps.nobody.x`, at /script); give it a
      value, or write `| default('…')`
    "#);
}

#[test]
fn why_a_step_waits() {
    let check = |story: &Story, step: &str, expect: Option<&str>| {
        assert_eq!(why_waiting(story.run(), &name(step)).as_deref(), expect, "{step}");
    };
    let plan = plan_of("a: retry 3, backoff 90000\nb:\nc: needs a+b");
    let story = Story::begin(plan.clone(), started_by("ada"));
    check(&story, "a", None);
    check(&story, "c", Some("waits for a, b"));
    check(&story, "nobody", None);

    let group = Some(Group { name: "deploy".to_owned(), limit: 2 });
    let queued = Story::begin(plan, Origin { group, ..Origin::default() });
    check(&queued, "a", Some("queued in the group `deploy`, in which 2 runs may go on at once"));

    let open = gated("end build ok");
    check(&open, "ask", Some("needs 2 approvals of bob, eve; open for 5 min 00 s"));
    let open = gated("end build ok\napprove ask bob");
    check(&open, "ask", Some("needs 1 more approval of bob, eve; open for 5 min 00 s"));
    check(&open, "build", None);
    check(&open, "deploy", Some("waits for ask"));

    let asked = Story::begin(common::plan(vec![question("q", "?")]), started_by("ada"));
    check(&asked, "q", Some("waits for an answer; open for 5 min 00 s"));

    let calls = Story::begin(common::plan(vec![sub_run("call", &[], true)]), started_by("ada"));
    check(&calls, "call", Some("waits for the run r2"));

    let unsure = Story::play(plan_of("a:"), started_by("ada"), "unsure a");
    check(
        &unsure,
        "a",
        Some(
            "a person must say what became of it: `windlass resume r1 --decide a=rerun` or `windlass resume r1 --decide \
             a=succeeded` or `windlass resume r1 --decide a=failed`",
        ),
    );

    let stopping = Story::play(plan_of("a:"), started_by("ada"), "cancel Ctrl-C");
    check(&stopping, "a", Some("was asked to stop"));

    let elsewhere = Story::begin(fix_loop(), started_by("ada"));
    check(&elsewhere, "FIX", Some("the run is in the state BUILD, and not in FIX"));
    check(&loops(), "FIX", None);

    check(
        &scheduled(5, u64::from(u32::MAX)),
        "wait",
        Some("waits for its window, which opens 23 h 59 min after the gate did"),
    );
    check(
        &scheduled(5, 60_000),
        "wait",
        Some("waits for its window, and none opens in the 1 min 00 s that it is open"),
    );
    check(&scheduled(4, 60_000), "wait", None);
}

#[test]
fn why_a_retry_waits() {
    let plan = plan_of("a: retry 3, backoff 90000");
    let (outcome, reason) = common::end("pull");
    let mut run = Story::begin(plan, started_by("ada")).run().clone();
    let kind = windlass_engine::EventKind::StepFinished {
        step: name("a"),
        attempt: 1,
        outcome,
        reason,
        outputs: serde_json::Map::new(),
    };
    run.apply(&windlass_engine::Event { at_ms: 5000, kind }).expect("it fits");
    assert_eq!(
        why_waiting(&run, &name("a")).as_deref(),
        Some("attempt 2 comes 1 min 30 s after the end of the last one")
    );
}

#[test]
fn why_a_step_was_skipped() {
    let check = |skip: Skip, expect: &str| assert_eq!(why_skipped(&skip), expect);
    check(Skip::RunCancelled, "the run was asked to stop");
    check(Skip::RunFailed { by: name("a") }, "a had failed");
    let condition =
        |text: &str, values: Vec<(String, serde_json::Value)>| Skip::Condition { text: text.to_owned(), values };
    check(condition("success()", Vec::new()), "`success()` is false");
    check(
        condition("inputs.channel == 'stable'", vec![("inputs.channel".to_owned(), "dev".into())]),
        "`inputs.channel == 'stable'` is false: inputs.channel is \"dev\"",
    );
}

/// Feedback and configuration are hostile text, too.
#[test]
fn hostile_text() {
    let mut plan = fix_loop();
    plan.name = "a<b>&\"\u{1b}[2J".to_owned();
    let told = r#"{"exit_code":1,"stderr":"]]>\u0000\u001b]0;x\u0007\n</testcase>"}"#;
    let story = Story::play(
        plan,
        started_by("ada"),
        &format!("log BUILD out ]]></system-out>\u{0}\nend BUILD exit {told}\nend FIX ok"),
    );
    let shown = screen(&story);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert_snapshot!(xml(&story), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="a&lt;b&gt;&amp;&quot;[2J" tests="3" failures="2" errors="0" skipped="0" time="0.600">
      <testsuite name="BUILD" tests="1" failures="1" errors="0" skipped="0" time="0.100">
        <testcase name="BUILD" classname="a&lt;b&gt;&amp;&quot;[2J.BUILD" time="0.100">
          <failure message="exit" type="NonZeroExitCode">exit</failure>
          <system-out>]]&gt;&lt;/system-out&gt;\u{0}
    </system-out>
        </testcase>
      </testsuite>
      <testsuite name="FIX" tests="2" failures="1" errors="0" skipped="0" time="0.100">
        <testcase name="FIX" classname="a&lt;b&gt;&amp;&quot;[2J.FIX" time="0.100"/>
        <testcase name="run" classname="a&lt;b&gt;&amp;&quot;[2J.FIX" time="0.000">
          <failure message="no transition of the state FIX matches: `FIX.output.patched == true` is false; add one that does, such as `condition: always` at the end" type="NoMatchingTransition">no transition of the state FIX matches: `FIX.output.patched == true` is false; add one that does, such as `condition: always` at the end</failure>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}
