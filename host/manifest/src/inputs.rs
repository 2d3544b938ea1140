//! The values that a run is started with.

use crate::{
    codes,
    diagnostic::nearest,
    fields::is_identifier,
    plan::{InputType, Plan},
};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use windlass_contract::{Code, CodedError};

/// The longest value that an input may be given: 64 KiB. It goes into every template that names it, and into the event log.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;

/// How many inputs a run may be given: 1,000. They are stored with the run, and read by name.
pub const MAX_INPUTS: usize = 1_000;
/// How much of a given value is shown.
const MAX_SHOWN_CHARS: usize = 80;

/// Why an input could not be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// It is required and was not given.
    #[error("the input `{name}` is required")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The pipeline has no such input.
    #[error("the pipeline has no input `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The declared name that was probably meant.
        nearest: Option<String>,
    },
    /// The value is not of the input's type.
    #[error("the input `{name}` is {}, and {given:?} is none", with_article(wanted))]
    WrongType {
        /// Its name.
        name: String,
        /// Its type.
        wanted: &'static str,
        /// What was given, cut to 80 characters.
        given: String,
    },
    /// A plan that takes any input was given one that no template could read.
    #[error("{name:?} cannot be an input's name")]
    BadName {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// There are too many.
    #[error("{given} inputs are given; at most {MAX_INPUTS} are taken")]
    TooMany {
        /// How many.
        given: usize,
    },
    /// The value is too long.
    #[error("the input `{name}` has {bytes} bytes; at most {MAX_INPUT_BYTES} are taken")]
    TooLong {
        /// Its name.
        name: String,
        /// Its length.
        bytes: usize,
    },
}

impl InputError {
    /// The input that it is about; `None` where it is about all of them.
    pub fn input(&self) -> Option<&str> {
        match self {
            InputError::Missing { name }
            | InputError::Unknown { name, .. }
            | InputError::WrongType { name, .. }
            | InputError::BadName { name }
            | InputError::TooLong { name, .. } => Some(name),
            InputError::TooMany { .. } => None,
        }
    }
}

fn with_article(kind: &str) -> String {
    if kind == "text" { kind.to_owned() } else { format!("a {kind}") }
}

impl CodedError for InputError {
    fn code(&self) -> Code {
        codes::INPUT
    }
    fn help(&self) -> Option<String> {
        match self {
            InputError::Missing { name } => Some(format!("give it with --input {name}=VALUE")),
            InputError::Unknown { nearest: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            InputError::Unknown { nearest: None, .. } => Some("declare it under `inputs:`".to_owned()),
            InputError::WrongType { wanted: "boolean", .. } => Some("write true or false".to_owned()),
            InputError::BadName { .. } => {
                Some("use letters, digits, hyphens and underscores, starting with a letter".to_owned())
            }
            InputError::TooMany { .. } => Some("give a file's path instead, and read it in a step".to_owned()),
            InputError::WrongType { .. } | InputError::TooLong { .. } => None,
        }
    }
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Text, which is read as the input's type.
    Text(String),
    /// JSON, which must be of the input's type already.
    Json(Value),
}

/// The plan's inputs, each given text read as its type and defaults filled in. An optional input that was not given is not
/// in the map, and a missing value to templates. Where a plan takes inputs that it does not declare, they are text.
///
/// # Errors
/// Everything that is wrong, in the order of names.
pub fn bind_inputs(plan: &Plan, given: &BTreeMap<String, String>) -> Result<Map<String, Value>, Vec<InputError>> {
    bind(plan, given.iter().map(|(name, text)| (name.as_str(), text.as_str())), text_value)
}

/// As [`bind_inputs`], of JSON values: each must be of its input's type already. Where a plan takes inputs that it does not
/// declare, they may be lists and objects too.
///
/// # Errors
/// Everything that is wrong, in the order of names.
pub fn bind_json(plan: &Plan, given: Map<String, Value>) -> Result<Map<String, Value>, Vec<InputError>> {
    bind(plan, given.iter().map(|(name, value)| (name.as_str(), value)), json_value)
}

/// As both: each value as it was given.
///
/// # Errors
/// Everything that is wrong, in the order of names.
pub fn bind_given(plan: &Plan, given: &BTreeMap<String, Given>) -> Result<Map<String, Value>, Vec<InputError>> {
    let given = given.iter().map(|(name, value)| (name.as_str(), value));
    bind(plan, given, |name, value, kind| match value {
        Given::Text(text) => text_value(name, text, kind),
        Given::Json(value) => json_value(name, value, kind),
    })
}

fn text_value(name: &str, text: &str, kind: Option<InputType>) -> Result<Value, InputError> {
    within(name, text.len())?;
    read(text, kind).map_err(|wanted| wrong_type(name, wanted, text))
}

fn json_value(name: &str, value: &Value, kind: Option<InputType>) -> Result<Value, InputError> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    within(name, text.len())?;
    match (kind, value) {
        (None, _)
        | (Some(InputType::String), Value::String(_))
        | (Some(InputType::Number), Value::Number(_))
        | (Some(InputType::Boolean), Value::Bool(_)) => Ok(value.clone()),
        (Some(InputType::String), _) => Err(wrong_type(name, "text", &text)),
        (Some(InputType::Number), _) => Err(wrong_type(name, "number", &value.to_string())),
        (Some(InputType::Boolean), _) => Err(wrong_type(name, "boolean", &value.to_string())),
    }
}

/// Binds what is given, each value read for its type, or for none where the plan does not declare it.
fn bind<'g, T: Copy>(
    plan: &Plan,
    given: impl Iterator<Item = (&'g str, T)>,
    value: impl Fn(&str, T, Option<InputType>) -> Result<Value, InputError>,
) -> Result<Map<String, Value>, Vec<InputError>> {
    let given: BTreeMap<&str, T> = given.collect();
    if given.len() > MAX_INPUTS {
        return Err(vec![InputError::TooMany { given: given.len() }]);
    }
    let mut bound = Map::new();
    let mut errors = Vec::new();
    for (name, given) in given.iter().filter(|(name, _)| !plan.inputs.contains_key(**name)) {
        let taken = if !plan.open_inputs {
            let nearest = nearest(name, plan.inputs.keys().map(String::as_str));
            Err(InputError::Unknown { name: (*name).to_owned(), nearest })
        } else if is_identifier(name) {
            value(name, *given, None)
        } else {
            Err(InputError::BadName { name: name.chars().take(MAX_SHOWN_CHARS).collect() })
        };
        match taken {
            Ok(value) => drop(bound.insert((*name).to_owned(), value)),
            Err(error) => errors.push(error),
        }
    }
    for (name, decl) in &plan.inputs {
        match (given.get(name.as_str()), &decl.default) {
            (Some(given), _) => match value(name, *given, Some(decl.kind)) {
                Ok(value) => drop(bound.insert(name.clone(), value)),
                Err(error) => errors.push(error),
            },
            (None, Some(default)) => drop(bound.insert(name.clone(), default.clone())),
            (None, None) if decl.required => errors.push(InputError::Missing { name: name.clone() }),
            (None, None) => {}
        }
    }
    if errors.is_empty() { Ok(bound) } else { Err(errors) }
}

fn within(name: &str, bytes: usize) -> Result<(), InputError> {
    if bytes > MAX_INPUT_BYTES { Err(InputError::TooLong { name: name.to_owned(), bytes }) } else { Ok(()) }
}

fn wrong_type(name: &str, wanted: &'static str, given: &str) -> InputError {
    InputError::WrongType { name: name.to_owned(), wanted, given: given.chars().take(MAX_SHOWN_CHARS).collect() }
}

fn read(text: &str, kind: Option<InputType>) -> Result<Value, &'static str> {
    match kind {
        None | Some(InputType::String) => Ok(Value::from(text)),
        Some(InputType::Boolean) => text.parse::<bool>().map(Value::from).map_err(|_| "boolean"),
        Some(InputType::Number) => serde_json::from_str::<Number>(text).map(Value::from).map_err(|_| "number"),
    }
}
