//! A step's configuration against its plugin's schema.

use crate::{
    annotations::Schema,
    catalogue::InstalledStep,
    codes,
    diagnostic::Report,
    pieces::{is_template, pieces, single},
    yaml::Node,
};
use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::{Map, Value};
use std::ops::Range;

/// Where the parts of a configuration were written.
pub(crate) struct Places<'n> {
    /// The value of `config:`, where there is one.
    pub(crate) config: Option<&'n Node>,
    /// Where the configuration as a whole is shown: its key, or the step's name.
    pub(crate) whole: Range<usize>,
    /// The pipeline's `env:`, whose values may have been merged in.
    pub(crate) env: Option<&'n Node>,
    /// The text of the file.
    pub(crate) source: &'n str,
}

impl<'n> Places<'n> {
    /// The node of a value, and whether it was written in the pipeline's `env`.
    pub(crate) fn node(&self, pointer: &str) -> Option<(&'n Node, bool)> {
        if let (Some(name), Some(env)) = (pointer.strip_prefix("/env/"), self.env) {
            let own = self.config.and_then(|config| config.get("env")).map(|entry| &entry.value);
            let name = name.replace("~1", "/").replace("~0", "~");
            if own.is_none_or(|own| own.get(&name).is_none())
                && let Some(entry) = env.get(&name)
            {
                return Some((&entry.value, true));
            }
        }
        self.config.map(|config| (config.at_pointer(pointer), false))
    }

    /// Where a value is shown: a scalar itself, a collection by its key.
    fn span(&self, pointer: &str) -> Range<usize> {
        let Some((node, _)) = self.node(pointer) else { return self.whole.clone() };
        if !matches!(node.kind, crate::yaml::Kind::List(_) | crate::yaml::Kind::Map(_)) {
            return node.span.clone();
        }
        let Some((parent, key)) = pointer.rsplit_once('/') else { return self.whole.clone() };
        let key = key.replace("~1", "/").replace("~0", "~");
        let parent = self.config.map(|config| config.at_pointer(parent));
        parent.and_then(|parent| parent.get(&key)).map_or_else(|| node.span.clone(), |entry| entry.key_span.clone())
    }

    /// Where a key of a mapping is shown.
    fn key(&self, pointer: &str, key: &str) -> Range<usize> {
        let mapping = self.config.map(|config| config.at_pointer(pointer));
        mapping.and_then(|mapping| mapping.get(key)).map_or_else(|| self.span(pointer), |entry| entry.key_span.clone())
    }
}

/// Reports each violation of the schema at the value that violates it. Values that still hold templates are held to what
/// can be known: a template may stand for a scalar, of any content.
pub(crate) fn check(
    config: &Value,
    step: &InstalledStep,
    schema: &Schema,
    places: &Places<'_>,
    report: &mut Report<'_>,
) {
    for error in schema.validator.iter_errors(config) {
        if !tolerated(&error, config) {
            explain(&error, config, step, schema, places, report);
        }
    }
}

/// Whether a violation is only that of a template's text, which nobody will see.
fn tolerated(error: &ValidationError<'_>, config: &Value) -> bool {
    use ValidationErrorKind as Kind;
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind() {
        return context.iter().any(|branch| branch.iter().all(|error| tolerated(error, config)));
    }
    let Some(Value::String(text)) = config.pointer(error.instance_path().as_str()) else { return false };
    if !is_template(text) {
        return false;
    }
    match error.kind() {
        Kind::Type { kind } => {
            let scalar = |name: &JsonType| matches!(name, JsonType::Boolean | JsonType::Integer | JsonType::Number);
            let wanted = match kind {
                TypeKind::Single(one) => scalar(one),
                TypeKind::Multiple(several) => several.iter().any(|one| scalar(&one)),
            };
            // A template that cannot be read is reported as that.
            wanted && pieces(text).map_or(true, |pieces| single(&pieces).is_some())
        }
        Kind::Pattern { .. }
        | Kind::Enum { .. }
        | Kind::Constant { .. }
        | Kind::Format { .. }
        | Kind::MinLength { .. }
        | Kind::MaxLength { .. }
        | Kind::OneOfMultipleValid { .. } => true,
        _ => false,
    }
}

fn explain(
    error: &ValidationError<'_>,
    config: &Value,
    step: &InstalledStep,
    schema: &Schema,
    places: &Places<'_>,
    report: &mut Report<'_>,
) {
    use ValidationErrorKind as Kind;
    let pointer = error.instance_path().as_str();
    let value = config.pointer(pointer).unwrap_or(&Value::Null);
    let this = pointer.rsplit('/').next().filter(|key| !key.is_empty() && key.parse::<usize>().is_err());
    let this = this.map_or_else(|| "this".to_owned(), |key| format!("`{key}`"));
    let span = places.span(pointer);
    match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            // The branch that is nearest: of the value's own type, with the fewest violations.
            let fits = |branch: &&Vec<ValidationError<'_>>| {
                !branch
                    .iter()
                    .any(|error| matches!(error.kind(), Kind::Type { .. }) && error.instance_path().as_str() == pointer)
            };
            if let Some(branch) = context.iter().filter(fits).min_by_key(|branch| branch.len()) {
                for error in branch.iter().filter(|error| !tolerated(error, config)) {
                    explain(error, config, step, schema, places, report);
                }
                return;
            }
            let mut wanted: Vec<String> = Vec::new();
            for error in context.iter().flatten() {
                if let Kind::Type { kind } = error.kind() {
                    wanted
                        .extend(type_words(kind).into_iter().filter(|word| !wanted.contains(word)).collect::<Vec<_>>());
                }
            }
            let message = format!("{this} must be {}, and this is {}", wanted.join(" or "), words(value));
            report.error(codes::CONFIG, span, message, None);
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let keyword = error.schema_path().as_str();
            let holder = keyword.rsplit_once('/').and_then(|(holder, _)| schema.at(holder));
            let known = known_keys(holder, schema, pointer);
            for key in unexpected {
                let place = if pointer.is_empty() { "its configuration".to_owned() } else { this.clone() };
                let message = if pointer.is_empty() {
                    format!("`{}` takes no key `{key}`", step.step.name)
                } else {
                    format!("{place} takes no key `{key}`")
                };
                let help = report
                    .did_you_mean(key, known.iter().map(String::as_str))
                    .or_else(|| (!known.is_empty()).then(|| format!("known keys are {}", known.join(", "))));
                report.error(codes::UNKNOWN_KEY, places.key(pointer, key), message, help);
            }
        }
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let (message, help) = if pointer.is_empty() {
                (
                    format!("`{}` needs `{key}` in its configuration", step.step.name),
                    format!("add `{key}:` under `config:`"),
                )
            } else {
                (format!("{this} needs `{key}`"), format!("add `{key}:` here"))
            };
            report.error(codes::MISSING_KEY, span, message, Some(help));
        }
        Kind::Type { kind } => {
            let message = format!("{this} must be {}, and this is {}", type_words(kind).join(" or "), words(value));
            let written = places.source.get(span.clone()).unwrap_or_default();
            report.error(codes::CONFIG, span, message, type_help(kind, value, written));
        }
        Kind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(plain).collect();
            let message = format!("{this} must be one of {}", options.join(", "));
            let help = report.did_you_mean(&plain(value), options.iter().map(String::as_str));
            report.error(codes::CONFIG, span, message, help);
        }
        _ => report.error(codes::CONFIG, span, error.masked_with(this).to_string(), None),
    }
}

/// The keys that a mapping may have.
fn known_keys(holder: Option<&Value>, schema: &Schema, pointer: &str) -> Vec<String> {
    let none = Map::new();
    let properties = holder.and_then(|holder| holder.get("properties")).and_then(Value::as_object).unwrap_or(&none);
    let mut known: Vec<String> = properties.keys().cloned().collect();
    if known.is_empty() && pointer.is_empty() {
        known = schema.keys().map(str::to_owned).collect();
    }
    known
}

fn type_word(name: JsonType) -> &'static str {
    match name {
        JsonType::Null => "nothing",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    }
}

fn type_words(kind: &TypeKind) -> Vec<String> {
    match kind {
        TypeKind::Single(one) => vec![type_word(*one).to_owned()],
        TypeKind::Multiple(several) => several.iter().map(|one| type_word(one).to_owned()).collect(),
    }
}

fn words(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a mapping",
        other => crate::expression::type_name(other),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn type_help(kind: &TypeKind, value: &Value, written: &str) -> Option<String> {
    let wants = |name: JsonType| match kind {
        TypeKind::Single(one) => *one == name,
        TypeKind::Multiple(several) => several.contains(name),
    };
    match value {
        Value::Number(_) | Value::Bool(_) if wants(JsonType::String) => {
            Some(format!("put it in quotes: \"{written}\""))
        }
        Value::String(text) if wants(JsonType::Boolean) => boolean_help(text),
        Value::String(text) if wants(JsonType::Array) && is_template(text) => {
            Some("a template gives one value; write the list out".to_owned())
        }
        Value::String(_) if wants(JsonType::Array) => Some("write a list: [\"…\"], or one `- …` a line".to_owned()),
        _ => None,
    }
}

/// What to write for a boolean in an older spelling.
pub(crate) fn boolean_help(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some("write true".to_owned()),
        "no" | "off" | "n" | "false" => Some("write false".to_owned()),
        _ => Some("write true or false".to_owned()),
    }
}
