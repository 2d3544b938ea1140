//! `windlass plan`: what would run, with what permissions.

use super::{lint::print_diagnostics, load, read_source};
use crate::{
    app::App,
    args::PlanArgs,
    exit::{Exit, UsageError},
    style,
};
use std::collections::BTreeMap;
use windlass_contract::CodedError as _;
use windlass_manifest::plan::{OnFailure, Plan};
use windlass_package::Installed;

pub(crate) async fn plan(app: &App, args: &PlanArgs) -> anyhow::Result<Exit> {
    let source = read_source(&args.file)?;
    let loaded = load(app, &source).await?;
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
    let steps: Vec<_> = plan.states.iter().flat_map(|state| &state.steps).collect();
    let mut rows = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let needs: Vec<&str> = step.needs.iter().map(|name| name.as_str()).collect();
        let mut notes = Vec::new();
        notes.push(if needs.is_empty() { "at once".to_owned() } else { format!("after {}", needs.join(", ")) });
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
        rows.push(vec![
            format!("  {}", style::paint(style::step(n), &step.name)),
            step.step_type.clone(),
            step.plugin.to_string(),
            style::paint(style::FAINT, notes.join(" · ")),
        ]);
    }
    anstream::print!("{}", style::table(&rows));
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

/// The inputs, bound and typed.
pub(super) fn bind(
    plan: &Plan,
    given: &[(String, String)],
) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let given: BTreeMap<String, String> = given.iter().cloned().collect();
    windlass_manifest::bind_inputs(plan, &given).map_err(|errors| {
        let words: Vec<String> = errors
            .iter()
            .map(|error| match error.help() {
                Some(help) => format!("{error}; {help}"),
                None => error.to_string(),
            })
            .collect();
        UsageError(words.join("\n       ")).into()
    })
}

/// The plugins that a plan uses.
fn used<'a>(plan: &'a Plan, installed: &'a [Installed]) -> impl Iterator<Item = &'a Installed> {
    installed.iter().filter(|each| {
        plan.states.iter().flat_map(|state| &state.steps).any(|step| step.plugin.digest == each.plugin.digest)
    })
}
