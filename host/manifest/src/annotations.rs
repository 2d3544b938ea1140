//! A step type's schema: compiled, and asked what its `x-windlass-` annotations say of each value.
//!
//! An annotation is found through `properties`, `patternProperties`, `additionalProperties`, `items`, `prefixItems`,
//! `$ref` within the schema, `allOf`, `then`, `else`, and those branches of `anyOf` and `oneOf` whose type the value could
//! have. `x-windlass-template` holds for everything below it until something below says otherwise; where several schemas
//! speak of one value, the strictest counts.

use crate::{
    pieces::is_template,
    plan::{Scalar, Treatment},
    yaml::{MAX_DEPTH, join_pointer},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The largest compiled form of one `pattern` of a plugin's schema: 1 MiB, as in the regex crate's own advice for
/// patterns of strangers. The engine is the linear one, so no pattern can hold the loader.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// A plugin's configuration schema.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    pub(crate) validator: jsonschema::Validator,
}

/// What a schema says of one value.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) template: Treatment,
    /// A secret's reference may stand here.
    pub(crate) secret: bool,
    /// It is the step's timeout.
    pub(crate) timeout: bool,
    /// It names a container's image.
    pub(crate) image: bool,
    /// The types it may have.
    pub(crate) types: Types,
}

impl Facts {
    /// What a single expression must give here, where that is no text.
    pub(crate) fn scalars(&self) -> Option<BTreeSet<Scalar>> {
        let scalars =
            [(Types::INTEGER, Scalar::Integer), (Types::NUMBER, Scalar::Number), (Types::BOOLEAN, Scalar::Boolean)];
        let scalars: BTreeSet<_> =
            scalars.into_iter().filter(|(bit, _)| self.types.has(*bit)).map(|(_, scalar)| scalar).collect();
        (!self.types.has(Types::STRING) && !scalars.is_empty()).then_some(scalars)
    }
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    const NULL: u8 = 1;
    const BOOLEAN: u8 = 2;
    const INTEGER: u8 = 4;
    const NUMBER: u8 = 8;
    const STRING: u8 = 16;
    const ARRAY: u8 = 32;
    const OBJECT: u8 = 64;
    const ALL: Types = Types(127);

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn named(name: &str) -> u8 {
        match name {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "integer" => Types::INTEGER,
            "number" => Types::NUMBER | Types::INTEGER,
            "string" => Types::STRING,
            "array" => Types::ARRAY,
            "object" => Types::OBJECT,
            _ => 0,
        }
    }

    /// The types that a value has, or may have once it is rendered.
    fn of(value: &Value) -> Types {
        Types(match value {
            Value::Null => Types::NULL,
            Value::Bool(_) => Types::BOOLEAN,
            Value::Number(_) => Types::NUMBER | Types::INTEGER,
            Value::String(text) if is_template(text) => Types::STRING | Types::BOOLEAN | Types::NUMBER | Types::INTEGER,
            Value::String(_) => Types::STRING,
            Value::Array(_) => Types::ARRAY,
            Value::Object(_) => Types::OBJECT,
        })
    }
}

impl Schema {
    /// Compiles a schema as a plugin gives it. Keys that it says nothing of are refused, unless it says
    /// `additionalProperties` or `unevaluatedProperties` itself: a misspelt key would else be dropped silently.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        let mut root = schema.clone();
        if let Value::Object(map) = &mut root
            && map.contains_key("properties")
            && !map.contains_key("additionalProperties")
            && !map.contains_key("unevaluatedProperties")
        {
            map.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_BYTES))
            .offline()
            .build(&root)
            .map_err(|error| error.to_string())?;
        Ok(Schema { root, validator })
    }

    /// The part of the schema at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer)
    }

    /// The names that the configuration's own keys may have.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
    }

    /// Whether the configuration has an `env` that is an object.
    pub(crate) fn takes_env(&self) -> bool {
        let mut types = Types(0);
        for schema in self.expanded(&self.root, &json!({})) {
            if let Some(env) = schema.get("properties").and_then(|properties| properties.get("env")) {
                types.0 |= self.types(env, 0).0;
            }
        }
        types.has(Types::OBJECT)
    }

    /// Calls `visit` with the JSON pointer, the value and the facts of each scalar in a configuration.
    pub(crate) fn scalars(&self, config: &Value, visit: &mut dyn FnMut(&str, &Value, &Facts)) {
        self.descend(config, &[&self.root], Treatment::Lenient, String::new(), visit);
    }

    fn descend(
        &self,
        value: &Value,
        schemas: &[&Value],
        inherited: Treatment,
        pointer: String,
        visit: &mut dyn FnMut(&str, &Value, &Facts),
    ) {
        let types = Types(schemas.iter().fold(Types::ALL.0, |types, schema| types & self.types(schema, 0).0));
        let schemas: Vec<&Value> = schemas.iter().flat_map(|schema| self.expanded(schema, value)).collect();
        let flag = |name: &str| schemas.iter().any(|schema| schema.get(name) == Some(&Value::Bool(true)));
        let template = schemas.iter().filter_map(|schema| treatment(schema)).max().unwrap_or(inherited);
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let below: Vec<&Value> = schemas.iter().flat_map(|schema| for_key(schema, key)).collect();
                    self.descend(value, &below, template, join_pointer(&pointer, key), visit);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    let below: Vec<&Value> = schemas.iter().filter_map(|schema| for_index(schema, index)).collect();
                    self.descend(value, &below, template, format!("{pointer}/{index}"), visit);
                }
            }
            scalar => {
                let facts = Facts {
                    template,
                    secret: flag("x-windlass-secret"),
                    timeout: flag("x-windlass-timeout"),
                    image: flag("x-windlass-image"),
                    types,
                };
                visit(&pointer, scalar, &facts);
            }
        }
    }

    /// A schema and all that it refers to which speaks of the same value.
    fn expanded<'s>(&'s self, schema: &'s Value, value: &Value) -> Vec<&'s Value> {
        let mut found: Vec<&Value> = Vec::new();
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            if !schema.is_object() || found.iter().any(|seen| std::ptr::eq(*seen, schema)) {
                continue;
            }
            found.push(schema);
            open.extend(self.reference(schema));
            open.extend(["then", "else"].iter().filter_map(|keyword| schema.get(keyword)));
            open.extend(schema.get("allOf").and_then(Value::as_array).into_iter().flatten());
            for keyword in ["anyOf", "oneOf"] {
                let branches = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
                open.extend(branches.filter(|branch| self.types(branch, 0).0 & Types::of(value).0 != 0));
            }
        }
        found
    }

    /// Where a schema's `$ref` leads, within this schema.
    fn reference<'s>(&'s self, schema: &Value) -> Option<&'s Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    /// The types that a schema allows.
    fn types(&self, schema: &Value, depth: usize) -> Types {
        let Value::Object(map) = schema else { return if schema == &json!(false) { Types(0) } else { Types::ALL } };
        if depth > MAX_DEPTH {
            return Types::ALL;
        }
        let mut types = match map.get("type") {
            Some(Value::String(name)) => Types::named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).fold(0, |all, name| all | Types::named(name))
            }
            _ => Types::ALL.0,
        };
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            types &= values.iter().fold(0, |all, value| all | Types::of(value).0);
        }
        if let Some(value) = map.get("const") {
            types &= Types::of(value).0;
        }
        if let Some(referred) = self.reference(schema) {
            types &= self.types(referred, depth + 1).0;
        }
        for all in map.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            types &= self.types(all, depth + 1).0;
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = map.get(keyword).and_then(Value::as_array) {
                types &= branches.iter().fold(0, |any, branch| any | self.types(branch, depth + 1).0);
            }
        }
        Types(types)
    }
}

fn treatment(schema: &Value) -> Option<Treatment> {
    match schema.get("x-windlass-template")?.as_str()? {
        "lenient" => Some(Treatment::Lenient),
        "strict" => Some(Treatment::Strict),
        // What is not understood is treated as the safest.
        _ => Some(Treatment::Never),
    }
}

fn for_key<'s>(schema: &'s Value, key: &str) -> Vec<&'s Value> {
    if let Some(property) = schema.get("properties").and_then(|properties| properties.get(key)) {
        return vec![property];
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten().map(|(_, s)| s);
    let rest = ["additionalProperties", "unevaluatedProperties"].iter().filter_map(|keyword| schema.get(keyword));
    patterns.chain(rest).collect()
}

fn for_index(schema: &Value, index: usize) -> Option<&Value> {
    let prefix = schema.get("prefixItems").and_then(Value::as_array);
    prefix.and_then(|prefix| prefix.get(index)).or_else(|| schema.get("items"))
}
