//! What a plugin says of itself, beyond what its types can say.

use serde_json::Value;
use std::collections::BTreeSet;
use windlass_contract::{Descriptor, ProviderDescriptor};
use windlass_package::manifest::{MAX_SUMMARY, is_deceptive};

/// Most step types of one plugin: a page of them.
pub const MAX_STEPS: usize = 100;
/// Longest Markdown of one step type, in bytes.
pub const MAX_DOCS: usize = 64 * 1024;
/// Most regions of a provider: more than any has.
pub const MAX_REGIONS: usize = 200;
/// Longest name of a step type after `step.`, in characters.
pub const MAX_STEP_NAME: usize = 60;

/// What the types of a descriptor cannot say.
///
/// # Errors
/// In words, naming the step type, or the provider.
pub fn check_descriptor(descriptor: &Descriptor) -> Result<(), String> {
    if let Some(provider) = &descriptor.provider {
        check_provider(provider)?;
    }
    let is_empty = descriptor.steps.is_empty() && descriptor.provider.is_none();
    if is_empty || descriptor.steps.len() > MAX_STEPS {
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
        check_line("summary", &name, &step.summary)?;
        check_docs(&name, &step.docs)?;
        check_config_schema(&name, &step.config_schema)?;
        check_schema("output_schema", &name, &step.output_schema)?;
    }
    Ok(())
}

fn check_provider(provider: &ProviderDescriptor) -> Result<(), String> {
    let name = format!("the provider {}", provider.name);
    check_line("title", &name, &provider.title)?;
    check_docs(&name, &provider.docs)?;
    check_config_schema(&name, &provider.config_schema)?;
    if provider.verbs.is_empty() {
        return Err(format!("{name} can be asked nothing: name its `verbs`, such as `deploy`"));
    }
    if provider.regions.len() > MAX_REGIONS {
        return Err(format!("{name} has more than {MAX_REGIONS} regions"));
    }
    provider.regions.iter().try_for_each(|region| check_line("regions", &name, region))
}

fn check_line(key: &str, of: &str, text: &str) -> Result<(), String> {
    if !(1..=MAX_SUMMARY).contains(&text.chars().count()) || text.chars().any(is_deceptive) {
        return Err(format!("the {key} of {of} is one line of 1 to {MAX_SUMMARY} characters"));
    }
    Ok(())
}

fn check_docs(of: &str, docs: &str) -> Result<(), String> {
    let deceptive = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t');
    if docs.len() > MAX_DOCS || docs.chars().any(deceptive) {
        return Err(format!("the docs of {of} are text of at most {MAX_DOCS} bytes"));
    }
    Ok(())
}

fn check_config_schema(of: &str, schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err(format!("the config_schema of {of} is not a JSON Schema object"));
    }
    check_schema("config_schema", of, schema)
}

/// A schema that is not there is no schema to be wrong.
fn check_schema(key: &str, of: &str, schema: &Value) -> Result<(), String> {
    if schema.is_null() {
        return Ok(());
    }
    let compiled = jsonschema::draft202012::new(schema);
    compiled.map(drop).map_err(|error| format!("the {key} of {of} is not a JSON Schema: {error}"))
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
        let provider =
            json!({"name": "cloud", "title": "Acme Cloud", "config_schema": {"type": "object"}, "verbs": ["deploy"]});
        let with = |key: &str, value: Value| {
            let mut provider = provider.clone();
            provider[key] = value;
            check(json!({"provider": provider}))
        };
        let providers = [
            check(json!({"provider": provider})),
            check(json!({"steps": [step], "provider": provider})),
            with("title", json!("")),
            with("title", json!("turned \u{202e} around")),
            with("docs", json!("x".repeat(MAX_DOCS + 1))),
            with("config_schema", json!([])),
            with("config_schema", json!({"$ref": "file:///etc/passwd"})),
            with("verbs", json!([])),
            with("regions", json!(["eu", ""])),
            with("regions", json!(vec!["eu"; MAX_REGIONS + 1])),
        ];
        insta::assert_snapshot!(providers.join("\n"), @"");
        let unknown: Result<Descriptor, _> = serde_json::from_value(json!({"provider": {"name": "Acme Cloud"}}));
        assert!(unknown.unwrap_err().to_string().contains("lower-case letters"));
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
