//! The native dialect: `steps:` with what a pipeline declares before them.
//!
//! Loading goes over the file three times: the steps as they are written, then how they are wired (names, `needs`,
//! cycles), and last what they say of each other (configurations, templates, conditions), for which the wiring must be
//! known. A problem in one step hides none in another.
//!
//! Two step types are the engine's own and no plugin's: `step.gate` and `step.workflow`. A plugin that claims one of these
//! names is not asked.

mod declarations;
mod draft;
mod gate;
pub(crate) mod pipelines;
mod step;
mod sub_run;
mod trigger;
mod wiring;

pub use declarations::{MAX_CONCURRENT_RUNS, MAX_VOLUMES};
pub(crate) use declarations::{check_requirement, concurrency, env, is_volume_name, plugins};
pub(crate) use draft::{report_unresolved, retry};
pub use gate::{MAX_APPROVERS, MAX_CONDITIONS, MAX_WINDOWS};
pub use trigger::Schedule;
pub(crate) use trigger::trigger_types;

use crate::{
    codes,
    configure::Shared,
    diagnostic::Report,
    expression::Known,
    fields::{flag, known_keys, text},
    pieces::is_template,
    plan::{DEFAULT_TRANSITIONS, MAIN_STATE, Plan, State},
    workflows::SubWorkflows,
    yaml::{Kind, Node},
};
use declarations::{inputs, volumes};
use draft::drafts;
use serde_json::Map;
use std::{collections::BTreeMap, ops::Range};

use step::{Scope, compile};

/// How many steps a pipeline may have: 10,000, two orders of magnitude over what people write; what a generator makes of
/// a matrix still fits.
pub const MAX_STEPS: usize = 10_000;
/// How many attempts a step may have in total: 100. Together with a doubling backoff, more never end.
pub const MAX_ATTEMPTS: u32 = 100;
/// How long a pipeline's name may be: 100 characters, a line in a list.
pub const MAX_NAME_CHARS: usize = 100;

const ROOT_KEYS: &[&str] =
    &["name", "inputs", "plugins", "workspace", "volumes", "env", "concurrency", "strict", "steps"];

pub(crate) fn load(root: &Node, source: &str, subs: &mut SubWorkflows<'_>, report: &mut Report<'_>) -> Option<Plan> {
    let catalogue = subs.catalogue();
    let Kind::Map(_) = root.kind else {
        let help = "a pipeline begins with `name:` and `steps:`".to_owned();
        let message = format!("a pipeline is a mapping, and this is {}", root.type_name());
        report.error(codes::WRONG_TYPE, root.span.clone(), message, Some(help));
        return None;
    };
    known_keys(root, ROOT_KEYS, "a pipeline", report);

    let name = match root.get("name") {
        Some(entry) => text(&entry.value, "name", report).unwrap_or_default(),
        None => {
            let first = root.span.start..root.span.start;
            report.error(codes::MISSING_KEY, first, "the pipeline has no name", Some("add `name:`".to_owned()));
            String::new()
        }
    };
    if let Some(entry) = root.get("name").filter(|entry| matches!(entry.value.kind, Kind::String(_))) {
        check_name(&name, &entry.value.span, report);
    }
    let inputs = root.get("inputs").map(|entry| inputs(&entry.value, source, report)).unwrap_or_default();
    let strict = root.get("strict").and_then(|entry| flag(&entry.value, "strict", report)).unwrap_or_default();
    let volumes = volumes(root, report);
    for (name, requirement) in plugins(root, report) {
        check_requirement(&name, &requirement, catalogue, report);
    }
    let env = root.get("env").map(|entry| env(&entry.value, &inputs, false, source, report)).unwrap_or_default();
    let concurrency = root.get("concurrency").and_then(|entry| {
        let known = Known {
            inputs: &inputs,
            open_inputs: false,
            env: Some(&env),
            steps: None,
            states: None,
            status: false,
            suggest: report.may_suggest(),
        };
        concurrency(&entry.value, &known, source, report)
    });

    let drafts = drafts(root, catalogue, report)?;
    let mut shared = Shared::new(source, &env, root.get("env"));
    let scope = Scope { inputs: &inputs, open_inputs: false, states: None, braces: false };
    let steps = compile(&drafts, &scope, &mut shared, subs, report);
    shared.finish(report);
    Some(Plan {
        name,
        inputs,
        open_inputs: false,
        env,
        blackboard: Map::new(),
        volumes,
        states: vec![State::of(MAIN_STATE, steps)],
        initial: 0,
        max_transitions: DEFAULT_TRANSITIONS,
        concurrency,
        workflows: BTreeMap::new(),
        strict,
    })
}

/// Checks what a pipeline is called.
fn check_name(name: &str, span: &Range<usize>, report: &mut Report<'_>) {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        let message = format!("a pipeline's name has 1 to {MAX_NAME_CHARS} printable characters");
        report.error(codes::BAD_NAME, span.clone(), message, None);
    }
    if is_template(name) {
        let help = Some("a pipeline keeps its name from run to run".to_owned());
        report.error(codes::TEMPLATE_NOT_HERE, span.clone(), "the name is no template", help);
    }
}
