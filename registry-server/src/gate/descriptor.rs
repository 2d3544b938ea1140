//! What a plugin says of itself, beyond what its types can say.

use std::collections::BTreeSet;
use windlass_contract::Descriptor;
use windlass_package::manifest::{MAX_SUMMARY, is_deceptive};

/// Most step types of one plugin: a page of them.
pub const MAX_STEPS: usize = 100;
/// Longest Markdown of one step type, in bytes.
pub const MAX_DOCS: usize = 64 * 1024;
/// Longest name of a step type after `step.`, in characters.
pub const MAX_STEP_NAME: usize = 60;

/// What the types of a descriptor cannot say.
///
/// # Errors
/// In words, naming the step type.
pub fn check_descriptor(descriptor: &Descriptor) -> Result<(), String> {
    if descriptor.steps.is_empty() || descriptor.steps.len() > MAX_STEPS {
        return Err(format!("a plugin provides 1 to {MAX_STEPS} step types, this one {}", descriptor.steps.len()));
    }
    let mut seen = BTreeSet::new();
    for step in &descriptor.steps {
        let name: String = step.name.chars().take(80).collect();
        let sound = step.name.strip_prefix("step.").is_some_and(|rest| {
            (1..=MAX_STEP_NAME).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if !sound {
            return Err(format!(
                "{name:?} is not the name of a step type: write step. and then lower-case letters, digits and underscores"
            ));
        }
        if !seen.insert(&step.name) {
            return Err(format!("{name} is described twice"));
        }
        let summary = step.summary.chars().count();
        if !(1..=MAX_SUMMARY).contains(&summary) || step.summary.chars().any(is_deceptive) {
            return Err(format!("the summary of {name} is one line of 1 to {MAX_SUMMARY} characters"));
        }
        let deceptive = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t');
        if step.docs.len() > MAX_DOCS || step.docs.chars().any(deceptive) {
            return Err(format!("the docs of {name} are text of at most {MAX_DOCS} bytes"));
        }
        if !step.config_schema.is_object() {
            return Err(format!("the config_schema of {name} is not a JSON Schema object"));
        }
        for (key, schema) in [("config_schema", &step.config_schema), ("output_schema", &step.output_schema)] {
            if !schema.is_null() {
                jsonschema::draft202012::new(schema)
                    .map_err(|error| format!("the {key} of {name} is not a JSON Schema: {error}"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn descriptors() {
        let step = json!({"name": "step.slack", "summary": "Tell a channel", "effect": "pure", "config_schema": {"type": "object"}});
        let with = |key: &str, value: Value| {
            let mut step = step.clone();
            step[key] = value;
            json!({"steps": [step]})
        };
        let check = |document: Value| {
            let descriptor: Descriptor = serde_json::from_value(document).expect("a descriptor");
            check_descriptor(&descriptor).err().unwrap_or_else(|| "accepted".to_owned())
        };
        let all = [
            check(json!({"steps": [step]})),
            check(json!({"steps": []})),
            check(json!({"steps": [step, step]})),
            check(with("name", json!("slack"))),
            check(with("name", json!("step.../../x"))),
            check(with("name", json!("step.Slack"))),
            check(with("name", json!(format!("step.{}", "x".repeat(61))))),
            check(with("summary", json!("two\nlines"))),
            check(with("docs", json!("\u{1b}[2J"))),
            check(with("config_schema", json!(true))),
            check(with("config_schema", json!({"type": "objekt"}))),
            check(with("config_schema", json!({"$ref": "http://169.254.169.254/"}))),
            check(with("output_schema", json!({"pattern": "("}))),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        accepted
        a plugin provides 1 to 100 step types, this one 0
        step.slack is described twice
        "slack" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.../../x" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.Slack" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        "step.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is not the name of a step type: write step. and then lower-case letters, digits and underscores
        the summary of step.slack is one line of 1 to 200 characters
        the docs of step.slack are text of at most 65536 bytes
        the config_schema of step.slack is not a JSON Schema object
        the config_schema of step.slack is not a JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword
        the config_schema of step.slack is not a JSON Schema: Resource 'http://169.254.169.254/' is not present in a registry and retrieving it failed: `resolve-http` feature or a custom resolver is required to resolve external schemas via HTTP
        the output_schema of step.slack is not a JSON Schema: "(" is not a "regex"
        "#);
    }
}
