//! What a trigger says of an event: filters (expressions) and a run's inputs (templates), over one value called `event`.
//!
//! - They are checked when the trigger is saved, and read nothing but the parts of `event` that the caller names.
//! - Evaluating is paid for from a fuel, as in a run: what an event holds was written by strangers.
//! - A rendered value cannot become a secret's reference, and is never rendered again.
//!
//! **Not here.** Where events come from, and what is in them (`server`).

use crate::{
    diagnostic::nearest,
    expression::{self, Expr, ExprKind, Fault, Known, States, check, parse},
    pieces::{Piece, cut},
    template::{Context, RenderError, evaluate_expression, render_tree},
    yaml::join_pointer,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use windlass_contract::{Code, CodedError};

/// The one name that filters and inputs read.
const EVENT: &str = "event";

/// What is wrong with a filter or a template of an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct EventError {
    /// The stable code.
    pub code: Code,
    /// Where in the value: a JSON pointer; empty for a filter.
    pub pointer: String,
    /// Where in the text: the character, from 1.
    pub column: usize,
    /// What.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl CodedError for EventError {
    fn code(&self) -> Code {
        self.code
    }
    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

fn error(fault: Fault, text: &str, pointer: &str) -> EventError {
    let before = text.get(..fault.span.start).unwrap_or(text);
    let column = before.chars().count() + 1;
    EventError { code: fault.code, pointer: pointer.to_owned(), column, message: fault.message, help: fault.help }
}

/// The event, to the checker of expressions: a state that has ended.
struct Event;

impl States for Event {
    fn names(&self) -> Vec<&str> {
        vec![EVENT]
    }
    fn exists(&self, name: &str) -> bool {
        name == EVENT
    }
    fn may_have_ended(&self, _: &str) -> bool {
        true
    }
    fn results(&self, _: &str) -> Option<Vec<&str>> {
        None
    }
    fn has_feedback(&self) -> bool {
        false
    }
    fn puts(&self, _: &str) -> bool {
        false
    }
}

/// That an expression reads only these parts of the event.
fn reads(expr: &Expr, parts: &[&str], faults: &mut Vec<Fault>) {
    expr.walk(&mut |expr| {
        let ExprKind::Path(path) = &expr.kind else { return };
        let fault = |message| Fault::new(crate::codes::UNKNOWN_VALUE, expr.span.clone(), message);
        let known = || parts.iter().map(|part| format!("{EVENT}.{part}")).collect::<Vec<_>>().join(", ");
        match path.segments.as_slice() {
            [root, part, ..] if root == EVENT && !path.dotted => {
                if !parts.contains(&part.as_str()) {
                    let help = match nearest(part, parts.iter().copied()) {
                        Some(near) => format!("did you mean `{EVENT}.{near}`?"),
                        None => format!("known are {}", known()),
                    };
                    faults.push(fault(format!("`{EVENT}` has no `{part}` here")).help(help));
                }
            }
            [root] if root == EVENT => {
                let help = format!("write what of it: {}", known());
                faults.push(fault(format!("`{EVENT}` is no value by itself")).help(help));
            }
            _ => {
                let help = format!("known are {}; put text in quotes", known());
                faults.push(fault(format!("`{}` is not known here", path.text())).help(help));
            }
        }
    });
}

/// Checks one expression as far as that can be done before an event comes.
fn check_expression(expr: &Expr, parts: &[&str], boolean: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    reads(expr, parts, &mut faults);
    if faults.is_empty() {
        let inputs = BTreeMap::new();
        let known = Known {
            inputs: &inputs,
            open_inputs: false,
            env: None,
            steps: None,
            states: Some(&Event),
            status: false,
            suggest: true,
        };
        if boolean {
            expression::boolean(expr, &known, &mut faults);
        } else {
            check(expr, &known, &mut faults);
        }
    }
    faults.retain(|fault| !fault.warning);
    faults
}

/// Checks a filter that may read these parts of the event.
///
/// # Errors
/// The first thing that is wrong with it: its syntax, a name that is not known, or a type.
pub fn check_filter(text: &str, parts: &[&str]) -> Result<(), EventError> {
    let expr = parse(text).map_err(|fault| error(fault, text, ""))?;
    match check_expression(&expr, parts, true).into_iter().next() {
        Some(fault) => Err(error(fault, text, "")),
        None => Ok(()),
    }
}

/// What is wrong with the templates of inputs that may read these parts of the event.
pub fn check_inputs(inputs: &Map<String, Value>, parts: &[&str]) -> Vec<EventError> {
    fn look(value: &Value, pointer: String, parts: &[&str], found: &mut Vec<EventError>) {
        match value {
            Value::String(text) => {
                let (pieces, mut faults) = cut(text);
                for piece in &pieces {
                    if let Piece::Expr(expr) = piece {
                        faults.extend(check_expression(expr, parts, false));
                    }
                }
                found.extend(faults.into_iter().map(|fault| error(fault, text, &pointer)));
            }
            Value::Array(items) => {
                let each = items.iter().enumerate();
                each.for_each(|(index, item)| look(item, format!("{pointer}/{index}"), parts, found));
            }
            Value::Object(map) => {
                map.iter().for_each(|(key, item)| look(item, join_pointer(&pointer, key), parts, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    inputs.iter().for_each(|(name, value)| look(value, join_pointer("", name), parts, &mut found));
    found
}

fn context(event: Value) -> Context {
    Context { states: Map::from_iter([(EVENT.to_owned(), event)]), ..Context::default() }
}

/// An event, ready to be asked.
#[derive(Debug, Clone)]
pub struct Asked(Context);

impl Asked {
    /// An event with these parts.
    pub fn new(event: Value) -> Asked {
        Asked(context(event))
    }

    /// Whether a filter takes the event.
    ///
    /// # Errors
    /// When it does not give a boolean, compares what cannot be compared, or costs too much.
    pub fn passes(&self, filter: &str) -> Result<bool, RenderError> {
        evaluate_expression(filter, &self.0)
    }

    /// A run's inputs, each text rendered: where it is one template alone, to what that gives, with its type. What the event does not have
    /// is `null`, or empty text within text.
    ///
    /// # Errors
    /// When an expression fails, costs too much, or would give a secret's reference.
    pub fn inputs(&self, inputs: &Map<String, Value>) -> Result<Map<String, Value>, RenderError> {
        match render_tree(&Value::Object(inputs.clone()), &self.0)? {
            Value::Object(inputs) => Ok(inputs),
            _ => Ok(Map::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PARTS: &[&str] = &["body", "headers"];

    #[test]
    fn a_filter_is_checked_before_any_event_comes() {
        let check = |text: &str, expect: &str| {
            let said = check_filter(text, PARTS).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
            assert_eq!(said, expect, "{text}");
        };
        check("event.body.action == 'published'", "fine");
        check("event.headers.x-github-event == 'push' and not (event.body.a | length > 3)", "fine");
        check("event.body.action", "fine");
        check("event.bdoy.action == 'x'", "column 1: `event` has no `bdoy` here");
        check("event.body.a == 'x' or secrets.token == 'y'", "column 24: `secrets.token` is not known here");
        check("run.id == 'x'", "column 1: `run.id` is not known here");
        check("event == 'x'", "column 1: `event` is no value by itself");
        check("'ü' == event.body.a and", "column 24: the expression ends where a value is expected");
        check("'text'", "column 1: a boolean is wanted here, and this is text");
        check("success()", "column 1: `success()` is known in `if` only");
    }

    #[test]
    fn templates_of_inputs_are_checked_with_their_places() {
        let inputs =
            json!({ "a": "{{ event.body.x }}", "b": ["ok", { "c/d": "x {{ evnt.body }}" }], "e": "{{ event.body" });
        let found = check_inputs(inputs.as_object().unwrap(), PARTS);
        let said: Vec<_> = found.iter().map(|error| (error.pointer.as_str(), error.column)).collect();
        assert_eq!(said, [("/b/1/c~1d", 6), ("/e", 1)]);
    }

    #[test]
    fn an_event_is_asked() {
        let event =
            Asked::new(json!({ "body": { "n": 3, "list": [1, 2], "text": "x", "output": { "a": 1 } }, "headers": {} }));
        let passes = |text: &str| event.passes(text).map_err(|error| error.message);
        assert_eq!(passes("event.body.n > 2 and event.body.text == 'x'"), Ok(true));
        assert_eq!(passes("event.body.nothing == null"), Ok(true));
        assert!(passes("event.body.n == '3'").is_err(), "types are not mixed");
        let inputs = json!({ "n": "{{ event.body.n }}", "all": "{{ event.body.list }}", "t": "<{{ event.body.text }}>", "m": "{{ event.body.no }}", "five": 5 });
        let rendered = event.inputs(inputs.as_object().unwrap()).unwrap();
        assert_eq!(Value::Object(rendered), json!({ "n": 3, "all": [1, 2], "t": "<x>", "m": null, "five": 5 }));
    }

    #[test]
    fn what_strangers_write_stays_a_value() {
        let event = Asked::new(
            json!({ "body": { "title": "{{ event.headers.a }}", "s": "secret:cloud/token" }, "headers": { "a": "1" } }),
        );
        let render = |text: &str| event.inputs(json!({ "x": text }).as_object().unwrap());
        assert_eq!(render("{{ event.body.title }}").unwrap()["x"], "{{ event.headers.a }}");
        assert!(render("{{ event.body.s }}").is_err());
        assert!(render("secret:{{ event.body.title }}").is_err());
        assert!(render("{{ event.body }}").is_err(), "not within a value either");
        assert_eq!(
            render("secret:cloud/token").unwrap()["x"],
            "secret:cloud/token",
            "what the trigger's author wrote is theirs"
        );
    }

    #[test]
    fn a_costly_filter_ends() {
        let event = Asked::new(json!({ "body": { "text": "x".repeat(1 << 20) } }));
        let costly = format!("({})", vec!["(event.body.text | upper | lower | upper | lower) == 'y'"; 30].join(" or "));
        assert!(event.passes(&costly).is_err_and(|error| error.message.contains("cost")));
    }
}
