//! Templates: rendered once, never a secret's reference, never longer than they may be.

use crate::{
    expressions::{context, plan},
    texts,
};
use serde_json::{Value, json};
use windlass_contract::{Digest, EffectClass, PluginRef};
use windlass_manifest::{
    plan::{PluginWork, Scalar, Treatment},
    template::{Context, MAX_RENDERED_BYTES, render_config, render_text, render_value},
};

/// What no template reads, unless it names it.
const UNSPOKEN: &str = "5f1e-unspoken";

/// A template, a text that it reads, and a text that stands around a template of which all is known.
pub(crate) fn templates(input: &[u8]) {
    let Some([template, value, around]) = texts(input) else { return };
    let mut context = context(value);
    context.inputs.insert("canary".to_owned(), json!(UNSPOKEN));
    any_template(template, value, &context);
    known_template(value, around, &context);
    in_config(template, &context);
}

fn any_template(template: &str, value: &str, context: &Context) {
    // A backslash may spell a name in another way.
    let names_it =
        template.to_ascii_lowercase().contains("canary") || template.contains('\\') || value.contains(UNSPOKEN);
    let spoken = |text: &str| !names_it && text.contains(UNSPOKEN) && !template.contains(UNSPOKEN);
    if let Ok((text, _)) = render_text(template, plan(), context, "here") {
        assert!(!text.starts_with("secret:"), "{template:?} made the reference {text:?}");
        assert!(text.len() <= MAX_RENDERED_BYTES + template.len(), "{} bytes", text.len());
        assert!(!spoken(&text), "{template:?} rendered what it had rendered");
    }
    if let Ok(value) = render_value(template, plan(), context, "here") {
        any_text(&value, &mut |text| assert!(!text.starts_with("secret:"), "{template:?} made the reference {text:?}"));
        any_text(&value, &mut |text| assert!(!spoken(text), "{template:?} rendered what it had rendered"));
    }
}

/// Calls `check` with each text in a value that is one.
fn any_text(value: &Value, check: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().for_each(|item| any_text(item, check)),
        Value::Object(map) => map.values().for_each(|value| any_text(value, check)),
        _ => {}
    }
}

/// Text that is no template, with three known templates in it, is that text with the value in it, exactly.
fn known_template(value: &str, around: &str, context: &Context) {
    let plain: String = around.chars().filter(|c| !matches!(c, '{' | '}' | '%')).collect();
    let template = format!("{plain}{{{{ inputs.v }}}}{plain}{{{{.v}}}}{{{{ BUILD.output.stdout }}}}");
    let expect = format!("{plain}{value}{plain}{value}{value}");
    match render_text(&template, plan(), context, "here") {
        Ok((text, _)) => assert_eq!(text, expect),
        Err(error) => assert!(expect.starts_with("secret:"), "{error}"),
    }
}

/// Only what is to be rendered is; a value where a number is wanted is one.
fn in_config(template: &str, context: &Context) {
    let plugin = PluginRef {
        name: "windlass:fuzz".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        digest: Digest::of(b"fuzz"),
    };
    let work = PluginWork {
        plugin,
        step_type: "step.fuzz".to_owned(),
        effect: EffectClass::Idempotent,
        config: json!({ "never": template, "absent": [template], "lenient": { "a~/b": template }, "strict": template }),
        treatment: [
            ("/never", Treatment::Never),
            ("/lenient/a~0~1b", Treatment::Lenient),
            ("/strict", Treatment::Strict),
        ]
        .map(|(pointer, treatment)| (pointer.to_owned(), treatment))
        .into(),
        typed: [].into(),
    };
    if let Ok((config, _)) = render_config(&work, plan(), context) {
        assert_eq!((&config["never"], &config["absent"][0]), (&json!(template), &json!(template)));
        assert_eq!(config["lenient"]["a~/b"], config["strict"], "nothing was missing");
    }
    let typed = PluginWork {
        config: json!({ "number": template }),
        treatment: [("/number".to_owned(), Treatment::Lenient)].into(),
        typed: [("/number".to_owned(), [Scalar::Integer].into())].into(),
        ..work
    };
    if let Ok((config, _)) = render_config(&typed, plan(), context) {
        assert!(config["number"].is_i64() || config["number"].is_u64(), "{config}");
    }
}
