//! `step.workflow`: references, inputs, cycles and limits.

use crate::{catalogue, said, source};
use std::fmt::Write;
use windlass_manifest::{
    Loaded, Loading, MAX_WORKFLOW_DEPTH, MAX_WORKFLOWS, Source, Workflows, load_with,
    plan::{DEFAULT_WAIT_MS, Plan, Work},
    references, schedule, written_name,
};

const DEPLOY: &str = "name: deploy\ninputs: { version: { type: string }, count: { type: number, default: 1 }, dry: { type: boolean, required: false } }\nsteps: [{ name: a, type: step.artifact_pull, config: { key: k } }]";

fn workflows(files: &[(&str, &str)]) -> Workflows {
    let mut workflows = Workflows::default();
    for (id, text) in files {
        workflows.insert(*id, Source { name: format!("{id}.yaml"), text: (*text).to_owned() });
    }
    workflows.missing("ghost", "ghost.yaml and .windlass/ghost.yaml");
    workflows
}

fn loaded(text: &str, workflows: &Workflows) -> Loaded {
    load_with(&source(text), &Loading { catalogue: &catalogue(), workflows, pipeline: None })
}

/// A pipeline whose only step runs a workflow.
fn file(config: &str, more: &str) -> String {
    format!(
        "name: x\ninputs: {{ v: {{ type: string }} }}\nsteps:\n  - name: sub\n    type: step.workflow\n{more}    config: {config}\n"
    )
}

/// A pipeline that runs these workflows.
fn running(ids: &[&str]) -> String {
    let steps = ids
        .iter()
        .enumerate()
        .map(|(n, id)| format!("  - {{ name: s{n}, type: step.workflow, config: {{ workflow: {id} }} }}\n"));
    format!("name: x\nsteps:\n{}", steps.collect::<String>())
}

#[test]
fn a_plan_holds_what_it_runs() {
    let workflows = workflows(&[
        ("deploy", DEPLOY),
        ("all", &running(&["deep"])),
        ("deep", "name: d\nsteps: [{ name: a, type: step.gate }]"),
    ]);
    let check = |config: &str, more: &str, timeout: u64| -> Plan {
        let loaded = loaded(&file(config, more), &workflows);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{}", said(&loaded.diagnostics)));
        assert_eq!(plan.states[0].steps[0].timeout_ms, timeout);
        plan
    };
    let plan = check(
        "{ workflow: deploy, inputs: { version: 'v{{ inputs.v }}', count: '{{ inputs.v | length }}', dry: true } }",
        "",
        DEFAULT_WAIT_MS,
    );
    let Work::SubRun(sub) = &plan.states[0].steps[0].work else { panic!("a sub-run") };
    assert_eq!((sub.workflow.as_str(), sub.wait, &sub.input, &sub.result_key), ("deploy", true, &None, &None));
    assert_eq!(
        serde_json::Value::Object(sub.inputs.clone()),
        serde_json::json!({ "version": "v{{ inputs.v }}", "count": "{{ inputs.v | length }}", "dry": true })
    );
    assert_eq!(plan.workflows.keys().collect::<Vec<_>>(), ["deploy"]);

    let plan = check("{ workflow: all }", "    timeout: 1h\n    retry: { max_attempts: 2 }\n", 3_600_000);
    assert_eq!(plan.workflows["all"].workflows["deep"].name, "d");
    let stored = serde_json::to_string(&plan).expect("a plan as JSON");
    assert_eq!(serde_json::from_str::<Plan>(&stored).expect("the same plan"), plan);

    let plan = check("{ workflow: deep, wait: false }", "", 300_000);
    assert!(matches!(&plan.states[0].steps[0].work, Work::SubRun(sub) if !sub.wait));
}

#[test]
fn a_name_is_found_in_every_dialect() {
    let check = |text: &str, chosen: Option<&str>, expect: Option<&str>| {
        assert_eq!(written_name(text, chosen).as_deref(), expect, "{text} {chosen:?}");
    };
    check("name: ci\nsteps: []\n", None, Some("ci"));
    check("name: [ci]\nsteps: []\n", None, None);
    check("steps: []\n", None, None);
    check("kind: Workflow\nmetadata: { name: flow }\nspec: {}\n", None, Some("flow"));
    check("kind: Workflow\nspec: {}\n", None, None);
    check("pipelines: { a: {} }\n", None, Some("a"));
    check("pipelines: { a: {}, b: {} }\n", None, None);
    check("pipelines: { a: {}, b: {} }\n", Some("b"), Some("b"));
    check("pipelines: { a: {} }\n", Some("z"), None);
    check(": :", None, None);
}

#[test]
fn a_schedule_is_found_where_one_is_written() {
    let check = |trigger: &str, expect: Option<(&str, Option<&str>)>| {
        let text = format!("pipelines: {{ a: {{ trigger: {trigger} }}, b: {{}} }}\n");
        let found = schedule(&text, Some("a"));
        let told = found.as_ref().map(|found| (found.cron.as_str(), found.time_zone.as_deref()));
        assert_eq!(told, expect, "{text}");
        if let Some(found) = found {
            assert!(text[found.cron_span].contains(&found.cron), "{text}");
        }
        assert_eq!(schedule(&text, Some("b")), None);
    };
    check("{ type: schedule, config: { cron: '0 3 * * *' } }", Some(("0 3 * * *", None)));
    check(
        "{ type: cron, config: { schedule: '@daily', timezone: Europe/Berlin } }",
        Some(("@daily", Some("Europe/Berlin"))),
    );
    check("{ type: schedule }", None);
    check("{ type: schedule, config: { cron: [] } }", None);
    check("{ type: webhook, config: { cron: '0 3 * * *' } }", None);
    check("x", None);
}

#[test]
fn references_are_found_in_every_dialect() {
    let check = |text: &str, expect: &[&str]| assert_eq!(references(&source(text)), expect, "{text}");
    check(&running(&["b", "a", "b"]), &["b", "a"]);
    check(
        "pipelines: { p: { steps: [{ type: step.workflow, config: { workflow: a } }], compensation: [{ type: step.workflow, config: { workflow: b } }] }, q: { steps: 1 } }",
        &["a", "b"],
    );
    check(
        "apiVersion: 100monkeys.ai/v1\nspec: { states: { A: { kind: Subworkflow, workflow_id: x }, B: { kind: Agent, workflow_id: y } } }",
        &["x"],
    );
    check(
        "steps: [{ type: step.other, config: { workflow: a } }, { type: step.workflow, config: 1 }, { type: step.workflow, config: { workflow: 1 } }]",
        &[],
    );
    check("steps: [", &[]);
}

#[test]
fn what_is_refused() {
    let workflows = workflows(&[
        ("deploy", DEPLOY),
        ("open", "pipelines: { p: { steps: [{ name: a, type: step.gate }] } }"),
        ("none", "name: n\nsteps: [{ name: a, type: step.gate }]"),
        ("broken", "name: b\nstps: 1\nsteps: [{ name: a, type: step.gate, ift: 1 }]"),
        (
            "two",
            "pipelines: { p: { steps: [{ name: a, type: step.gate }] }, q: { steps: [{ name: a, type: step.gate }] } }",
        ),
        ("twice", &running(&["broken"])),
        ("loop", &running(&["pool"])),
        ("pool", &running(&["loop"])),
        ("self", &running(&["self"])),
    ]);
    let mut shown = String::new();
    for (config, more) in [
        ("{}", ""),
        ("[]", ""),
        ("{ workflow: 1 }", ""),
        ("{ workflow: deplyo }", ""),
        ("{ workflow: ghost }", ""),
        ("{ workflow: '{{ inputs.v }}' }", ""),
        ("{ workflow: none, wait: 'no', inptus: {} }", ""),
        ("{ workflow: none, inputs: [] }", ""),
        ("{ workflow: none, inputs: { a: 1 } }", ""),
        ("{ workflow: deploy }", ""),
        ("{ workflow: deploy, inputs: { versoin: x, count: many, dry: 'yes', version: 2 } }", ""),
        ("{ workflow: deploy, inputs: { version: '{{ inputs.no }}' } }", ""),
        ("{ workflow: deploy, inputs: { version: 'secret:a/b' } }", ""),
        ("{ workflow: open, inputs: { list: ['{{ inputs.v }}', { a: 'secret:a/b' }], '{{ x }}': 1 } }", ""),
        ("{ workflow: broken }", ""),
        ("{ workflow: two }", ""),
        ("{ workflow: twice }", ""),
        ("{ workflow: loop }", ""),
        ("{ workflow: self }", ""),
        ("{ workflow: none, wait: false }", "    timeout: 1h\n    retry: { max_attempts: 2 }\n"),
        ("{}", "    workflow: none\n"),
    ] {
        let loaded = loaded(&file(config, more), &workflows);
        assert!(loaded.plan.is_none(), "{config} is not refused");
        writeln!(shown, "{config}{}\n{}", more.trim_end(), said(&loaded.diagnostics)).expect("a line");
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn sub_runs_nest_so_deep_and_no_deeper() {
    let chain = |depth: usize| {
        let mut files: Vec<(String, String)> =
            (1..depth).map(|n| (format!("w{n}"), running(&[&format!("w{}", n + 1)]))).collect();
        files.push((format!("w{depth}"), "name: d\nsteps: [{ name: a, type: step.gate }]".to_owned()));
        let files: Vec<(&str, &str)> = files.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
        loaded(&running(&["w1"]), &workflows(&files))
    };
    assert!(chain(MAX_WORKFLOW_DEPTH).plan.is_some());
    let deeper = chain(MAX_WORKFLOW_DEPTH + 1);
    assert!(deeper.plan.is_none());
    assert!(deeper.diagnostics[0].message.contains("sub-runs nest at most 8 deep"), "{}", said(&deeper.diagnostics));
}

#[test]
fn a_few_files_do_not_become_thousands_of_plans() {
    let twelve: Vec<String> = (0..12).map(|n| format!("leaf{n}")).collect();
    let branches: Vec<String> = (0..12).map(|n| format!("branch{n}")).collect();
    let names = |ids: &[String]| running(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let mut files: Vec<(String, String)> = branches.iter().map(|id| (id.clone(), names(&twelve))).collect();
    files.extend(twelve.iter().map(|id| (id.clone(), "name: l\nsteps: [{ name: a, type: step.gate }]".to_owned())));
    let files: Vec<(&str, &str)> = files.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    let workflows = workflows(&files);
    assert!(loaded(&names(&branches[..7]), &workflows).plan.is_some(), "7 and 7 times 12");
    let over = loaded(&names(&branches[..8]), &workflows);
    assert!(over.plan.is_none());
    assert!(
        said(&over.diagnostics).contains(&format!("at most {MAX_WORKFLOWS} workflows")),
        "{}",
        said(&over.diagnostics)
    );
}
