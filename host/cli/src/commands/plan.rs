//! `windlass plan`: what would run, with what permissions.

use super::{lint::print_diagnostics, load, read_source};
use crate::{
    app::App,
    args::{Given, PlanArgs},
    exit::{Exit, UsageError},
    style,
};
use std::collections::BTreeMap;
use windlass_contract::CodedError as _;
use windlass_manifest::plan::{Gate, OnFailure, Plan, State, Work};
use windlass_package::Installed;

pub(crate) async fn plan(app: &App, args: &PlanArgs) -> anyhow::Result<Exit> {
    let source = read_source(&args.file)?;
    let loaded = load(app, &source, args.pipeline.as_deref()).await?;
    print_diagnostics(&loaded.diagnostics, &source);
    let Some(plan) = loaded.plan else { return Ok(Exit::Usage) };
    let inputs = bind(&plan, &args.inputs)?;
    let installed = app.installed()?;
    if args.json {
        let permissions: BTreeMap<String, _> =
            used(&plan, &installed).map(|each| (each.plugin.to_string(), &each.effective)).collect();
        return super::print_json(&serde_json::json!({ "plan": plan, "inputs": inputs, "permissions": permissions }));
    }

    anstream::println!("{}", style::paint(style::STRONG, &plan.name));
    for (name, value) in &inputs {
        anstream::println!("  {} {name} = {value}", style::paint(style::FAINT, "input"));
    }
    anstream::println!();
    if plan.states.len() == 1 && plan.states[0].transitions.is_empty() {
        anstream::print!("{}", style::table(&step_rows(&plan, &plan.states[0], &mut 0)));
    } else {
        states(&plan);
    }
    if let Some(concurrency) = &plan.concurrency {
        let words = format!("takes turns in the group `{}`, {} at once", concurrency.group, concurrency.limit);
        anstream::println!("\n{}", style::paint(style::FAINT, words));
    }
    for workflow in plan.workflows.keys() {
        anstream::println!("{}", style::paint(style::FAINT, format_args!("runs the workflow {workflow}")));
    }
    for (step_type, step) in plan.absent() {
        let words =
            format!("{step} needs an installed plugin that provides `{step_type}`: until then it cannot be run");
        anstream::println!("{}", style::paint(style::WARNING, words));
    }
    anstream::println!("\n{}", style::paint(style::STRONG, "permissions"));
    for each in used(&plan, &installed) {
        let digest = style::paint(style::FAINT, each.plugin.digest.short());
        anstream::println!("  {} {digest}", each.plugin);
        let words = each.effective.in_words();
        if words.is_empty() {
            anstream::println!("    nothing beyond its own log and results");
        }
        for (interface, words) in words {
            let red = interface == windlass_contract::Interface::SecretsReveal;
            anstream::println!("    {}", if red { style::paint(style::ERROR, words) } else { words });
        }
    }
    Ok(Exit::Success)
}

/// Each state with its steps and the ways out of it.
fn states(plan: &Plan) {
    let mut n = 0;
    for (place, state) in plan.states.iter().enumerate() {
        let mut notes = Vec::new();
        if place == plan.initial {
            notes.push("begins here".to_owned());
        }
        if state.transitions.is_empty() {
            notes.push(if state.fails { "ends here, failed" } else { "ends here" }.to_owned());
        }
        let notes = if notes.is_empty() { String::new() } else { format!("  {}", notes.join(" · ")) };
        anstream::println!("{}{}", style::paint(style::STRONG, &state.name), style::paint(style::FAINT, notes));
        anstream::print!("{}", style::table(&step_rows(plan, state, &mut n)));
        for transition in &state.transitions {
            let condition = windlass_report::words::condition(&transition.condition);
            let target = &plan.states[transition.target].name;
            anstream::println!("    → {target}  {}", style::paint(style::FAINT, condition));
        }
    }
}

/// What each step of a state does, after what, for how long at most.
fn step_rows(plan: &Plan, state: &State, n: &mut usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for step in &state.steps {
        let needs: Vec<&str> = step.needs.iter().map(|name| name.as_str()).collect();
        let mut notes = Vec::new();
        if plan.states.len() == 1 {
            notes.push(if needs.is_empty() { "at once".to_owned() } else { format!("after {}", needs.join(", ")) });
        }
        if let Some(condition) = &step.condition {
            notes.push(format!("if {condition}"));
        }
        notes.push(format!("at most {}", style::duration(step.timeout_ms)));
        if step.retry.max_attempts > 1 {
            notes.push(format!("{} attempts", step.retry.max_attempts));
        }
        if step.on_failure == OnFailure::Continue {
            notes.push("may fail".to_owned());
        }
        let (what, by) = match &step.work {
            Work::Plugin(work) => (work.step_type.clone(), work.plugin.to_string()),
            Work::Gate(gate) => (gate_words(gate), "the engine".to_owned()),
            Work::SubRun(sub) => (format!("workflow {}", sub.workflow), "the engine".to_owned()),
            Work::Absent { step_type } => (step_type.clone(), style::paint(style::WARNING, "not installed")),
        };
        rows.push(vec![
            format!("  {}", style::paint(style::step(*n), &step.name)),
            what,
            by,
            style::paint(style::FAINT, notes.join(" · ")),
        ]);
        *n += 1;
    }
    rows
}

fn gate_words(gate: &Gate) -> String {
    match gate {
        Gate::Manual(manual) if manual.approvers.is_empty() => format!("gate: {} of anybody", manual.quorum),
        Gate::Manual(manual) => format!("gate: {} of {}", manual.quorum, manual.approvers.join(", ")),
        Gate::Question(_) => "gate: an answer".to_owned(),
        Gate::Automated { conditions } => format!("gate: {}", conditions.join(" and ")),
        Gate::Scheduled(schedule) => format!("gate: a window, {}", schedule.timezone),
    }
}

/// The inputs, bound and typed.
pub(super) fn bind(plan: &Plan, given: &[Given]) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let mut all = BTreeMap::new();
    for given in given {
        match given {
            Given::One(name, text) => drop(all.insert(name.clone(), windlass_manifest::Given::Text(text.clone()))),
            Given::All(object) => {
                all.extend(object.iter().map(|(k, v)| (k.clone(), windlass_manifest::Given::Json(v.clone()))));
            }
        }
    }
    windlass_manifest::bind_given(plan, &all).map_err(usage)
}

fn usage(errors: Vec<windlass_manifest::InputError>) -> anyhow::Error {
    let words: Vec<String> = errors
        .iter()
        .map(|error| match error.help() {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        })
        .collect();
    UsageError(words.join("\n       ")).into()
}

/// The plugins that a plan uses.
fn used<'a>(plan: &'a Plan, installed: &'a [Installed]) -> impl Iterator<Item = &'a Installed> {
    installed.iter().filter(|each| {
        let uses = |plan: &Plan| plan.plugin_steps().any(|(_, work)| work.plugin.digest == each.plugin.digest);
        uses(plan) || plan.workflows.values().any(uses)
    })
}
