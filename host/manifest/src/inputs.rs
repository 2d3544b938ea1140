//! The values that a run is started with.

use crate::{
    codes,
    diagnostic::nearest,
    plan::{InputType, Plan},
};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use windlass_contract::{Code, CodedError};

/// The longest value that an input may be given: 64 KiB. It goes into every template that names it, and into the event log.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;

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
    #[error("the input `{name}` is a {wanted}, and {given:?} is none")]
    WrongType {
        /// Its name.
        name: String,
        /// Its type.
        wanted: &'static str,
        /// What was given, cut to 80 characters.
        given: String,
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
            InputError::WrongType { .. } | InputError::TooLong { .. } => None,
        }
    }
}

/// The plan's inputs, each given value read as its type and defaults filled in. An optional input that was not given is
/// not in the map, and a missing value to templates.
///
/// # Errors
/// Everything that is wrong, in the order of names.
pub fn bind_inputs(plan: &Plan, given: &BTreeMap<String, String>) -> Result<Map<String, Value>, Vec<InputError>> {
    let mut bound = Map::new();
    let mut errors = Vec::new();
    for name in given.keys().filter(|name| !plan.inputs.contains_key(*name)) {
        let nearest = nearest(name, plan.inputs.keys().map(String::as_str));
        errors.push(InputError::Unknown { name: name.clone(), nearest });
    }
    for (name, decl) in &plan.inputs {
        match (given.get(name), &decl.default) {
            (Some(text), _) if text.len() > MAX_INPUT_BYTES => {
                errors.push(InputError::TooLong { name: name.clone(), bytes: text.len() });
            }
            (Some(text), _) => match read(text, decl.kind) {
                Ok(value) => {
                    bound.insert(name.clone(), value);
                }
                Err(wanted) => {
                    let given = text.chars().take(80).collect();
                    errors.push(InputError::WrongType { name: name.clone(), wanted, given });
                }
            },
            (None, Some(default)) => {
                bound.insert(name.clone(), default.clone());
            }
            (None, None) if decl.required => errors.push(InputError::Missing { name: name.clone() }),
            (None, None) => {}
        }
    }
    if errors.is_empty() { Ok(bound) } else { Err(errors) }
}

fn read(text: &str, kind: InputType) -> Result<Value, &'static str> {
    match kind {
        InputType::String => Ok(Value::from(text)),
        InputType::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| "boolean"),
        InputType::Number => serde_json::from_str::<Number>(text).map(Value::from).map_err(|_| "number"),
    }
}
