//! Two JSON Schemas of one thing: what the later one refuses that the earlier one accepted, as far as that can be seen.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How deep schemas are compared: the schemas of plugins have few levels, and a reference may lead in circles.
const MAX_SCHEMA_DEPTH: usize = 32;

/// Keywords of which a greater value refuses more.
const FLOORS: [&str; 6] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"];
/// Keywords of which a smaller value refuses more.
const CEILINGS: [&str; 6] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"];
/// Keywords that refuse something, and whose values cannot be compared: what is new or another is taken to refuse more.
const OPAQUE: [&str; 10] = [
    "pattern",
    "const",
    "not",
    "if",
    "multipleOf",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "contains",
    "patternProperties",
];

/// What of a configuration is refused now and was accepted; each in words.
pub(super) fn stricter(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Comparison { old_root: old, new_root: new }.stricter("", old, new, MAX_SCHEMA_DEPTH, &mut found);
    found
}

/// What could be read of the outputs and cannot any more; each in words.
pub(super) fn lost(old: &Value, new: &Value) -> Vec<String> {
    let properties = |schema: &Value| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let now = properties(new);
    let mut found = Vec::new();
    for (name, before) in properties(old) {
        match now.get(&name) {
            None => found.push(format!("{name} is gone")),
            // Who reads an output is right to expect what was said: it may be less, not more.
            Some(after) if !types(&before).is_superset(&types(after)) => {
                found.push(format!("{name} was {} and is {}", words(&types(&before)), words(&types(after))));
            }
            Some(_) => {}
        }
    }
    found
}

struct Comparison<'a> {
    old_root: &'a Value,
    new_root: &'a Value,
}

/// The schema that a reference within the same document leads to.
fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..MAX_SCHEMA_DEPTH {
        let pointer = at.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

fn place(at: &str, what: &str) -> String {
    if at.is_empty() { what.to_owned() } else { format!("{at}: {what}") }
}

const ALL_TYPES: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];

/// The types that a schema accepts; an integer is written `integer`, a number is both.
fn types(schema: &Value) -> BTreeSet<&str> {
    let mut said: BTreeSet<&str> = match schema.get("type") {
        Some(Value::String(one)) => [one.as_str()].into(),
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => ALL_TYPES.into(),
    };
    if said.contains("number") {
        said.insert("integer");
    }
    said
}

fn words(types: &BTreeSet<&str>) -> String {
    if types.is_superset(&ALL_TYPES.into()) {
        return "anything".to_owned();
    }
    let named = types.iter().filter(|name| **name != "integer" || !types.contains("number"));
    named.copied().collect::<Vec<_>>().join(" or ")
}

fn object<'a>(schema: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    schema.get(key)?.as_object()
}

fn names(schema: &Value, key: &str) -> BTreeSet<String> {
    let all = schema.get(key).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a schema refuses properties that it does not name.
fn is_closed(schema: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"].iter().any(|key| schema.get(key) == Some(&Value::Bool(false)))
}

impl Comparison<'_> {
    fn stricter(&self, at: &str, old: &Value, new: &Value, depth: usize, found: &mut Vec<String>) {
        let (old, new) = (followed(self.old_root, old), followed(self.new_root, new));
        if old == new && self.old_root == self.new_root || *new == Value::Bool(true) || *old == Value::Bool(false) {
            return;
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        if *new == Value::Bool(false) {
            return found.push(place(at, "it may not be there any more"));
        }
        self.values(at, old, new, found);
        self.properties(at, old, new, depth, found);
        self.alternatives(at, old, new, depth, found);
        if let (Some(before), Some(after)) = (old.get("items"), new.get("items")) {
            self.stricter(&format!("{at}[]"), before, after, depth, found);
        } else if new.get("items").is_some_and(|items| *items != Value::Bool(true)) {
            found.push(place(at, "its items may not be anything any more"));
        }
    }

    /// Types, lists of values, bounds, and what the values of ours are treated as.
    fn values(&self, at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
        let (before, after) = (types(old), types(new));
        if !after.is_superset(&before) {
            found.push(place(at, &format!("it was {} and must be {}", words(&before), words(&after))));
        }
        let values = |schema: &Value| schema.get("enum").and_then(Value::as_array).cloned();
        match (values(old), values(new)) {
            (_, None) => {}
            (None, Some(_)) => found.push(place(at, "only some values are accepted")),
            (Some(before), Some(after)) => {
                for gone in before.iter().filter(|value| !after.contains(value)) {
                    found.push(place(at, &format!("the value {gone} is refused")));
                }
            }
        }
        let number = |schema: &Value, key: &str| schema.get(key).and_then(Value::as_f64);
        for (keys, refuses_more) in
            [(FLOORS, f64::gt as fn(&f64, &f64) -> bool), (CEILINGS, f64::lt as fn(&f64, &f64) -> bool)]
        {
            for key in keys {
                let Some(after) = number(new, key) else { continue };
                if number(old, key).is_none_or(|before| refuses_more(&after, &before)) {
                    found.push(place(at, &format!("{key} is {after}")));
                }
            }
        }
        for key in OPAQUE {
            if new.get(key).is_some_and(|after| old.get(key) != Some(after)) {
                found.push(place(at, &format!("{key} is new or another")));
            }
        }
        let is_secret = |schema: &Value| schema.get("x-windlass-secret") == Some(&Value::Bool(true));
        if is_secret(old) && !is_secret(new) {
            found.push(place(at, "a reference to a secret is refused"));
        }
        let refuses_templates =
            |schema: &Value| schema.get("x-windlass-template").and_then(Value::as_str) == Some("never");
        if refuses_templates(new) && !refuses_templates(old) {
            found.push(place(at, "templates are refused"));
        }
    }

    fn properties(&self, at: &str, old: &Value, new: &Value, depth: usize, found: &mut Vec<String>) {
        for name in names(new, "required").difference(&names(old, "required")) {
            found.push(place(at, &format!("{name} is required")));
        }
        if is_closed(new) && !is_closed(old) && types(old).contains("object") {
            found.push(place(at, "keys that it does not name are refused"));
        }
        let (empty, before) = (Map::new(), object(old, "properties"));
        let after = object(new, "properties").unwrap_or(&empty);
        for (name, schema) in before.into_iter().flatten() {
            let inner = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            match after.get(name) {
                Some(now) => self.stricter(&inner, schema, now, depth, found),
                None => found.push(place(at, &format!("{name} is gone"))),
            }
        }
        // What was accepted under any name must be what it says, now that it is named.
        let known = |name: &String| before.is_some_and(|before| before.contains_key(name));
        let rest = old.get("additionalProperties");
        for (name, schema) in after.iter().filter(|(name, _)| !known(name) && !is_closed(old)) {
            let inner = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            if let Some(rest) = rest {
                self.stricter(&inner, rest, schema, depth, found);
            }
        }
        if let (Some(before), Some(after)) = (rest, new.get("additionalProperties"))
            && before.is_object()
            && after.is_object()
        {
            self.stricter(&format!("{at}.*"), before, after, depth, found);
        }
    }

    /// Each of the alternatives that there were is one that there is, or wider.
    fn alternatives(&self, at: &str, old: &Value, new: &Value, depth: usize, found: &mut Vec<String>) {
        for key in ["anyOf", "oneOf"] {
            let list = |schema: &Value| schema.get(key).and_then(Value::as_array).cloned();
            let Some(after) = list(new) else { continue };
            let before = list(old).unwrap_or_else(|| vec![old.clone()]);
            let is_covered = |one: &Value| {
                after.iter().any(|other| {
                    let mut why = Vec::new();
                    self.stricter(at, one, other, depth, &mut why);
                    why.is_empty()
                })
            };
            for (n, _) in before.iter().enumerate().filter(|(_, one)| !is_covered(one)) {
                found.push(place(at, &format!("alternative {} of {key} is gone or stricter", n + 1)));
            }
        }
        let all = |schema: &Value| schema.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default();
        let before = all(old);
        for (n, _) in all(new).iter().enumerate().filter(|(_, one)| !before.contains(one)) {
            found.push(place(at, &format!("part {} of allOf is new or another", n + 1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(properties: Value) -> Value {
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    }

    #[test]
    fn configurations() {
        let mut all = Vec::new();
        let mut check = |what: &str, old: Value, new: Value| {
            let found = stricter(&old, &new);
            all.push(format!("{what}: {}", if found.is_empty() { "compatible".to_owned() } else { found.join("; ") }));
        };
        let text = || json!({"type": "string"});
        let named = || with(json!({"name": text()}));
        check("the same", named(), named());
        check("a new optional key", named(), with(json!({"name": text(), "loud": {"type": "boolean"}})));
        let mut required = named();
        required["required"] = json!(["name"]);
        check("a new required key", named(), required.clone());
        check("no longer required", required, named());
        check("a key that is gone", named(), with(json!({})));
        check("a wider type", named(), with(json!({"name": {"type": ["string", "number"]}})));
        check("a narrower type", with(json!({"name": {"type": ["string", "number"]}})), named());
        check(
            "a number that must be whole",
            with(json!({"n": {"type": "number"}})),
            with(json!({"n": {"type": "integer"}})),
        );
        check(
            "a whole number that may be any",
            with(json!({"n": {"type": "integer"}})),
            with(json!({"n": {"type": "number"}})),
        );
        check("a type where there was none", with(json!({"n": {}})), with(json!({"n": text()})));
        check("a value less", with(json!({"n": {"enum": ["a", "b"]}})), with(json!({"n": {"enum": ["b"]}})));
        check("a value more", with(json!({"n": {"enum": ["a"]}})), with(json!({"n": {"enum": ["a", "b"]}})));
        check("values where there were none", named(), with(json!({"name": {"type": "string", "enum": ["a"]}})));
        check("a bound", named(), with(json!({"name": {"type": "string", "maxLength": 5}})));
        check(
            "a wider bound",
            with(json!({"n": {"type": "integer", "maximum": 5}})),
            with(json!({"n": {"type": "integer", "maximum": 6}})),
        );
        check("a pattern", named(), with(json!({"name": {"type": "string", "pattern": "^a"}})));
        check("closed", json!({"type": "object"}), json!({"type": "object", "additionalProperties": false}));
        check("deep", with(json!({"list": {"items": named()}})), with(json!({"list": {"items": with(json!({}))}})));
        check(
            "no secret any more",
            with(json!({"t": {"type": "string", "x-windlass-secret": true}})),
            with(json!({"t": text()})),
        );
        check(
            "no templates any more",
            named(),
            with(json!({"name": {"type": "string", "x-windlass-template": "never"}})),
        );
        let either = |all: Value| with(json!({"n": {"oneOf": all}}));
        check("an alternative more", either(json!([text()])), either(json!([text(), {"type": "null"}])));
        check("an alternative less", either(json!([text(), {"type": "null"}])), either(json!([text()])));
        let referred = |target: Value| json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": target}});
        check("behind a reference", referred(text()), referred(json!({"type": "null"})));
        let circle = |ty: &str| json!({"properties": {"n": {"$ref": "#"}, "x": {"type": ty}}});
        check("in a circle", circle("string"), circle("string"));
        insta::assert_snapshot!(all.join("\n"), @"
        the same: compatible
        a new optional key: compatible
        a new required key: name is required
        no longer required: compatible
        a key that is gone: name is gone
        a wider type: compatible
        a narrower type: name: it was number or string and must be string
        a number that must be whole: n: it was number and must be integer
        a whole number that may be any: compatible
        a type where there was none: n: it was anything and must be string
        a value less: n: the value \"a\" is refused
        a value more: compatible
        values where there were none: name: only some values are accepted
        a bound: name: maxLength is 5
        a wider bound: compatible
        a pattern: name: pattern is new or another
        closed: keys that it does not name are refused
        deep: list[]: name is gone
        no secret any more: t: a reference to a secret is refused
        no templates any more: name: templates are refused
        an alternative more: compatible
        an alternative less: n: alternative 2 of oneOf is gone or stricter
        behind a reference: n: it was string and must be null
        in a circle: compatible
        ");
    }

    #[test]
    fn outputs() {
        let check = |old: Value, new: Value, expect: &[&str]| assert_eq!(lost(&old, &new), expect);
        let text = json!({"properties": {"url": {"type": "string"}}});
        check(text.clone(), text.clone(), &[]);
        check(text.clone(), json!({"properties": {"url": {"type": "string"}, "id": {}}}), &[]);
        check(text.clone(), json!({"properties": {}}), &["url is gone"]);
        check(text.clone(), Value::Null, &["url is gone"]);
        check(
            text,
            json!({"properties": {"url": {"type": ["string", "null"]}}}),
            &["url was string and is null or string"],
        );
        check(Value::Null, json!({"properties": {"url": {}}}), &[]);
    }
}
