//! From a JSON Schema to the fields of a form. Pure.
//!
//! A form shows what people fill in one by one; what a schema says beyond that (which fields exclude each other, what a text must look
//! like) is for the schema itself, which stands beside the fields. Fields of alternatives (`oneOf`, `anyOf`) are all shown, and needed
//! only where each alternative needs them.

use super::ConfigField;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many references are followed one after the other: a schema may refer to itself.
const MAX_REFERENCES: usize = 16;

/// The fields of a configuration, in the order of the schema.
pub(super) fn fields(schema: &Value) -> Vec<ConfigField> {
    let mut found = Map::new();
    collect(schema, schema, MAX_REFERENCES, &mut found);
    let required = required(schema, schema, MAX_REFERENCES);
    found.iter().map(|(key, of)| field(key, of, schema, required.contains(key))).collect()
}

/// What the fields are when they are not given.
pub(super) fn defaults(fields: &[ConfigField]) -> BTreeMap<String, Value> {
    fields.iter().filter_map(|field| Some((field.key.clone(), field.default_value.clone()?))).collect()
}

/// `shell_exec` as people read it: `Shell exec`.
pub(super) fn label(name: &str) -> String {
    let words = name.replace(['_', '-', '.'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn follow<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let mut schema = schema;
    for _ in 0..MAX_REFERENCES {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
        match reference.and_then(|pointer| root.pointer(pointer)) {
            Some(meant) => schema = meant,
            None => break,
        }
    }
    schema
}

fn branches<'s>(schema: &'s Value, keyword: &str) -> impl Iterator<Item = &'s Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn collect(schema: &Value, root: &Value, depth: usize, found: &mut Map<String, Value>) {
    if depth == 0 {
        return;
    }
    let schema = follow(schema, root);
    for (key, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match found.get_mut(key) {
            None => drop(found.insert(key.clone(), of.clone())),
            // Of several alternatives, each of which is named by a constant.
            Some(known) => {
                if let (Some(a), Some(b)) = (choices(known), choices(of)) {
                    let new = b.into_iter().filter(|choice| !a.contains(choice));
                    known["enum"] = json!(a.iter().cloned().chain(new).collect::<Vec<_>>());
                }
            }
        }
    }
    for keyword in ["allOf", "oneOf", "anyOf"] {
        branches(schema, keyword).for_each(|branch| collect(branch, root, depth - 1, found));
    }
}

fn required(schema: &Value, root: &Value, depth: usize) -> Vec<String> {
    if depth == 0 {
        return Vec::new();
    }
    let schema = follow(schema, root);
    let own = branches(schema, "required").filter_map(Value::as_str).map(str::to_owned);
    let mut all: Vec<String> = own.collect();
    all.extend(branches(schema, "allOf").flat_map(|branch| required(branch, root, depth - 1)));
    for keyword in ["oneOf", "anyOf"] {
        let each: Vec<_> = branches(schema, keyword).map(|branch| required(branch, root, depth - 1)).collect();
        if let Some((first, others)) = each.split_first() {
            all.extend(first.iter().filter(|key| others.iter().all(|other| other.contains(key))).cloned());
        }
    }
    all
}

/// The texts that a value is one of.
fn choices(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(all)), _) => all.iter().map(text).collect(),
        (None, Some(only)) => Some(vec![text(only)?]),
        _ => None,
    }
}

/// The one type of a value, where it has one.
fn kind(schema: &Value, root: &Value, depth: usize) -> &'static str {
    if choices(schema).is_some() {
        return "select";
    }
    let is_map = || {
        let values = schema.get("additionalProperties").is_some_and(Value::is_object);
        values && schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty)
    };
    let named = match schema.get("type") {
        Some(Value::String(one)) => Some(one.as_str()),
        Some(Value::Array(several)) => {
            let mut some = several.iter().filter_map(Value::as_str).filter(|each| *each != "null");
            some.next().filter(|_| some.next().is_none())
        }
        _ => None,
    };
    match named {
        Some("string") => "string",
        Some("integer" | "number") => "number",
        Some("boolean") => "boolean",
        Some("array") => "array",
        Some("object") if is_map() => "map",
        _ if depth == 0 || schema.get("type").is_some() => "json",
        _ => {
            let all = branches(schema, "oneOf").chain(branches(schema, "anyOf"));
            let mut kinds = all.map(|branch| kind(follow(branch, root), root, depth - 1));
            let first = kinds.next().unwrap_or("json");
            if kinds.all(|each| each == first) { first } else { "json" }
        }
    }
}

fn field(key: &str, schema: &Value, root: &Value, required: bool) -> ConfigField {
    let meant = follow(schema, root);
    // What stands beside a reference is about this place.
    let said = |keyword: &str| schema.get(keyword).or_else(|| meant.get(keyword));
    let text = |keyword: &str| said(keyword).and_then(Value::as_str).unwrap_or_default();
    let of = |keyword: &str| {
        let inner = said(keyword).map(|inner| follow(inner, root));
        inner.map(|inner| kind(inner, root, MAX_REFERENCES).to_owned())
    };
    let kind = kind(meant, root, MAX_REFERENCES);
    let title = text("title");
    let example = said("examples").and_then(|all| all.get(0));
    ConfigField {
        key: key.to_owned(),
        label: if title.is_empty() { label(key) } else { title.to_owned() },
        kind: kind.to_owned(),
        required,
        default_value: said("default").cloned(),
        description: text("description").to_owned(),
        options: if kind == "select" { choices(meant).unwrap_or_default() } else { Vec::new() },
        placeholder: example.map(|example| example.as_str().map_or_else(|| example.to_string(), str::to_owned)),
        array_item_type: if kind == "array" { of("items") } else { None },
        map_value_type: if kind == "map" { of("additionalProperties") } else { None },
        sensitive: is_secret(meant) || is_secret(schema),
    }
}

/// Whether a value is a secret.
pub(super) fn is_secret(schema: &Value) -> bool {
    let says = |keyword: &str| schema.get(keyword).and_then(Value::as_bool).unwrap_or(false);
    says("x-windlass-secret") || says("writeOnly") || schema.get("format").is_some_and(|format| format == "password")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_contract::Descriptor;

    /// One line a field.
    fn shown(schema: &Value) -> Vec<String> {
        let line = |field: &ConfigField| {
            let inner = field.array_item_type.iter().chain(&field.map_value_type).map(|of| format!(" of {of}"));
            let mut line = format!("{}: {}{}", field.key, field.kind, inner.collect::<String>());
            let options = (!field.options.is_empty()).then(|| format!(" {}", field.options.join("|")));
            line.extend(options);
            line.extend(field.required.then_some(" required"));
            line.extend(field.sensitive.then_some(" secret"));
            line.extend(field.default_value.as_ref().map(|value| format!(" = {value}")));
            line
        };
        fields(schema).iter().map(line).collect()
    }

    #[test]
    fn what_the_bundled_plugins_and_the_engine_have() {
        let mut all = Vec::new();
        for text in [
            include_str!("../../../../../plugins/shell/src/descriptor.json"),
            include_str!("../../../../../plugins/artifact/src/descriptor.json"),
            include_str!("../../../../../plugins/container/src/descriptor.json"),
            include_str!("../../../../../plugins/agent/src/descriptor.json"),
            include_str!("../../../../../plugins/local/src/descriptor.json"),
        ] {
            let descriptor: Descriptor = serde_json::from_str(text).unwrap();
            for step in &descriptor.steps {
                all.push((step.name.clone(), step.config_schema.clone()));
            }
            all.extend(descriptor.provider.map(|it| (format!("provider.{}", it.name), it.config_schema)));
        }
        for (name, _, schema) in windlass_manifest::engine_steps() {
            all.push((name.to_owned(), schema));
        }
        let text: String =
            all.iter().map(|(name, schema)| format!("{name}\n  {}\n", shown(schema).join("\n  "))).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_a_schema_may_say() {
        let check = |of: Value, expect: &str| {
            let schema = json!({ "properties": { "x": of }, "$defs": {
                "port": { "type": "integer" }, "ring": { "$ref": "#/$defs/ring" },
                "deep": { "anyOf": [{ "$ref": "#/$defs/deep" }] },
            }});
            assert_eq!(shown(&schema), [expect], "{schema}");
        };
        check(json!({}), "x: json");
        check(json!(true), "x: json");
        check(json!({ "type": ["string", "null"], "default": null }), "x: string = null");
        check(json!({ "type": ["string", "number"] }), "x: json");
        check(json!({ "$ref": "#/$defs/port", "default": 80 }), "x: number = 80");
        check(json!({ "$ref": "#/$defs/ring" }), "x: json");
        check(json!({ "$ref": "#/$defs/deep" }), "x: json");
        check(json!({ "$ref": "https://elsewhere.test/schema" }), "x: json");
        check(json!({ "enum": ["a", "b"] }), "x: select a|b");
        check(json!({ "enum": ["a", 1] }), "x: json");
        check(json!({ "anyOf": [{ "type": "string" }, { "type": "string", "maxLength": 3 }] }), "x: string");
        check(json!({ "anyOf": [{ "type": "string" }, { "type": "boolean" }] }), "x: json");
        check(json!({ "type": "array", "items": { "$ref": "#/$defs/port" } }), "x: array of number");
        check(json!({ "type": "object", "additionalProperties": { "type": "string" } }), "x: map of string");
        check(json!({ "type": "object", "properties": { "y": {} }, "additionalProperties": {} }), "x: json");
        check(json!({ "type": "string", "format": "password" }), "x: string secret");
    }

    #[test]
    fn alternatives_are_shown_together() {
        let schema = json!({ "required": ["a"], "properties": { "a": { "type": "string" } }, "oneOf": [
            { "required": ["kind", "b"], "properties": { "kind": { "const": "one" }, "b": { "type": "number" } } },
            { "required": ["kind"], "properties": { "kind": { "const": "two" }, "b": { "type": "string" } } },
        ]});
        assert_eq!(shown(&schema), ["a: string required", "kind: select one|two required", "b: number"]);
    }

    #[test]
    fn names_for_people() {
        assert_eq!(label("shell_exec"), "Shell exec");
        assert_eq!(label("élan-vital"), "Élan vital");
        assert_eq!(label(""), "");
    }
}
