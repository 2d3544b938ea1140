//! `step.gate`: every key, and everything that is refused.

use crate::{catalogue, plan, said, source};
use std::fmt::Write;
use windlass_manifest::{
    MAX_APPROVERS, load,
    plan::{DEFAULT_SCHEDULE_WAIT_MS, DEFAULT_WAIT_MS, Gate, Step, Work},
};

/// A pipeline whose second step is a gate of this configuration; `more` are further keys of that step.
fn file(config: &str, more: &str) -> String {
    format!(
        "name: x\ninputs: {{ go: {{ type: boolean, default: true }} }}\nsteps:\n  - {{ name: scan, type: step.shell_exec, config: {{ image: i, commands: [c] }} }}\n  - name: gate\n    type: step.gate\n{more}    config: {config}\n"
    )
}

fn gate(config: &str, more: &str) -> (Gate, Step) {
    let (plan, diagnostics) = plan(&file(config, more));
    assert_eq!(diagnostics, [], "{config}");
    let step = plan.states[0].steps[1].clone();
    match step.work.clone() {
        Work::Gate(gate) => (gate, step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_has_its_effect() {
    let mut shown = String::new();
    for config in [
        "{}",
        "{ type: manual, approvers: [admin@example.com], timeout: 24h, auto_approve_conditions: [\"scan.exit_code == 0\", \"inputs.go\"] }",
        "{ prompt: 'Deploy {{ steps.scan.outputs.stdout }}?', approvers: [ann, bob, eve], quorum: 2, self_approval: true, on_timeout: approve }",
        "{ quorum: 3 }",
        "{ type: automated, conditions: [\"steps.scan.outputs.exit_code == 0\", 'inputs.go'] }",
        "{ type: automated, auto_approve_conditions: [\"scan.exit_code == 0\"] }",
        "{ type: scheduled, schedule: { weekdays: [mon, Tuesday, SUN], start_hour: 9, end_hour: 17, timezone: Europe/Berlin } }",
        "{ type: scheduled, schedule: { weekdays: [sat] } }",
        "{ type: scheduled, schedule: { start_hour: 22, end_hour: 6 } }",
        "{ type: scheduled, schedule: { start_hour: 22 } }",
        "{ type: scheduled, schedule: { end_hour: 6 } }",
        "{ type: scheduled, schedule: { start_hour: 0, end_hour: 24 } }",
        "{ type: scheduled, windows: [{ weekdays: [mon], timezone: Asia/Tokyo }, { weekdays: [fri], end_hour: 12 }] }",
    ] {
        let (gate, _) = gate(config, "");
        writeln!(shown, "{config}\n  {}", serde_json::to_string(&gate).expect("a gate as JSON")).expect("a line");
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn timeouts() {
    let check = |config: &str, more: &str, expect: u64| assert_eq!(gate(config, more).1.timeout_ms, expect, "{config}");
    check("{}", "", DEFAULT_WAIT_MS);
    check("{ timeout: 2h }", "", 7_200_000);
    check("{}", "    timeout: 2h\n", 7_200_000);
    check("{ type: scheduled, schedule: {} }", "", DEFAULT_SCHEDULE_WAIT_MS);
    check("{ type: scheduled, schedule: {}, timeout: 1h }", "", 3_600_000);
    check("{ type: automated, conditions: ['true'] }", "", DEFAULT_WAIT_MS);
}

#[test]
fn a_gate_without_configuration_is_one_for_anybody() {
    let (plan, _) = plan("name: x\nsteps: [{ name: a, type: step.gate, on_failure: continue, if: 'true' }]");
    let Work::Gate(Gate::Manual(gate)) = &plan.states[0].steps[0].work else { panic!("a gate") };
    assert_eq!((gate.quorum, gate.approvers.len(), gate.self_approval), (1, 0, false));
}

#[test]
fn a_plugin_that_claims_a_name_of_the_engines_is_not_asked() {
    let mut installed = crate::installed();
    installed[0].step.name = "step.gate".to_owned();
    let catalogue = windlass_manifest::Catalogue::new(installed);
    let loaded = load(&source("name: x\nsteps: [{ name: a, type: step.gate }]"), &catalogue);
    assert!(matches!(loaded.plan.expect("a plan").states[0].steps[0].work, Work::Gate(_)));
}

#[test]
fn what_is_refused() {
    let mut shown = String::new();
    let many =
        format!("{{ approvers: [{}] }}", (0..=MAX_APPROVERS).map(|n| format!("a{n}")).collect::<Vec<_>>().join(", "));
    let conditions = format!(
        "{{ type: automated, conditions: [{}] }}",
        (0..=100).map(|n| format!("'1 == {n}'")).collect::<Vec<_>>().join(", ")
    );
    let windows = format!("{{ type: scheduled, windows: [{}] }}", vec!["{}"; 101].join(", "));
    for (config, more) in [
        // Keys and types.
        ("[]", ""),
        ("{ typ: manual }", ""),
        ("{ type: automatic }", ""),
        ("{ type: 1 }", ""),
        ("{ prompt: 1, approvers: ann, quorum: many, self_approval: 'yes', on_timeout: aprove, timeout: 5 }", ""),
        ("{ conditions: ['true'], schedule: {}, windows: [] }", ""),
        ("{ type: automated, conditions: ['true'], approvers: [ann], timeout: 1h, on_timeout: reject }", ""),
        ("{ type: scheduled, schedule: {}, prompt: x, quorum: 1 }", ""),
        // Manual.
        ("{ approvers: [] }", ""),
        ("{ approvers: [ann, ann, '', '{{ inputs.go }}', 'secret:a/b'] }", ""),
        (many.as_str(), ""),
        ("{ quorum: 0 }", ""),
        ("{ quorum: 1.5 }", ""),
        ("{ quorum: 101 }", ""),
        ("{ approvers: [ann], quorum: 2 }", ""),
        ("{ approvers: [ann, bob], quorum: 3 }", ""),
        ("{ prompt: '{{ inputs.no }} secret:a/b' }", ""),
        // Conditions.
        ("{ auto_approve_conditions: ['scan.exit_cod == 0'] }", ""),
        ("{ auto_approve_conditions: ['inputs.go == 1', 'inputs.', '{{ inputs.go }}', 'success()', '1'] }", ""),
        ("{ type: automated }", ""),
        ("{ type: automated, conditions: [] }", ""),
        ("{ type: automated, conditions: x }", ""),
        ("{ type: automated, conditions: ['true'], auto_approve_conditions: ['true'] }", ""),
        (conditions.as_str(), ""),
        // Schedules.
        ("{ type: scheduled }", ""),
        ("{ type: scheduled, schedule: [] }", ""),
        ("{ type: scheduled, windows: {} }", ""),
        ("{ type: scheduled, windows: [] }", ""),
        ("{ type: scheduled, windows: [1] }", ""),
        ("{ type: scheduled, schedule: {}, windows: [{}] }", ""),
        (windows.as_str(), ""),
        ("{ type: scheduled, schedule: { weekday: [mon] } }", ""),
        ("{ type: scheduled, schedule: { weekdays: mon } }", ""),
        ("{ type: scheduled, schedule: { weekdays: [] } }", ""),
        ("{ type: scheduled, schedule: { weekdays: [mon, tusday, mo, 3] } }", ""),
        ("{ type: scheduled, schedule: { start_hour: 24 } }", ""),
        ("{ type: scheduled, schedule: { end_hour: 25 } }", ""),
        ("{ type: scheduled, schedule: { start_hour: '9' } }", ""),
        ("{ type: scheduled, schedule: { start_hour: 9, end_hour: 9 } }", ""),
        ("{ type: scheduled, schedule: { end_hour: 0 } }", ""),
        ("{ type: scheduled, schedule: { timezone: Europe/Berln } }", ""),
        ("{ type: scheduled, schedule: { timezone: +02:00 } }", ""),
        ("{ type: scheduled, windows: [{ timezone: Asia/Tokyo }, { timezone: UTC }] }", ""),
        // The step around it.
        ("{ timeout: 1h }", "    timeout: 2h\n"),
        ("{}", "    retry: { max_attempts: 3 }\n"),
        ("{ type: automated, conditions: ['true'] }", "    timeout: 2h\n"),
        ("{}", "    approvers: [ann]\n"),
    ] {
        let loaded = load(&source(&file(config, more)), &catalogue());
        assert!(loaded.plan.is_none(), "{config} is not refused");
        let config: String = config.chars().take(120).collect();
        writeln!(shown, "{config}{}\n{}", more.trim_end(), said(&loaded.diagnostics)).expect("a line");
    }
    insta::assert_snapshot!(shown);
}
