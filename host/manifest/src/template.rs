//! Templates in a configuration, and conditions: rendered and evaluated while a run goes on.
//!
//! - Only the strings that [`plan::PluginWork::treatment`] lists are rendered; all others reach the plugin as written.
//! - A rendered value is never rendered again: rendering is one pass over the text that the author wrote.
//! - Nothing is escaped for HTML or for a shell. A value never reaches shell text, because a schema marks shell text
//!   `never` and the loader refuses templates there.
//! - A missing value is empty text with a warning, or an error where the string or the pipeline is strict.
//! - A string that is exactly one `{{ expression }}` becomes text too, except where the schema takes no text but a number
//!   or a boolean: there the value keeps its type, and any other type is an error. Lists and objects are never made by
//!   a template: what a schema says of their parts could not be checked before the run.
//! - A rendered value cannot become a secret's reference: whoever may set an input could else read any secret.
//!
//! A literal `{{` is written `{{ '{{' }}`. `{% … %}` is refused; `{#` has no meaning.

use crate::{
    codes,
    expression::{self, Evaluator, Expr, Fault, Fuel, parse, to_text, type_name},
    pieces::{Piece, pieces, single},
    plan::{self, Plan, Scalar, Treatment},
    text::SECRET_PREFIX,
    yaml::join_pointer,
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, ops::Range};
use windlass_contract::{Code, CodedError};

/// The longest text that one string may render to: 4 MiB, both streams of a step (1 MiB each) with as much around them.
pub const MAX_RENDERED_BYTES: usize = 4 * 1024 * 1024;
/// How long a value is in an explanation: 200 characters, a line or two. A person reads it to see why, not what.
pub const MAX_EXPLAINED_CHARS: usize = 200;

/// What templates and conditions read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The run's inputs, as [`crate::bind_inputs`] gives them.
    pub inputs: Map<String, Value>,
    /// The pipeline's environment, as [`render_env`] gives it.
    pub env: BTreeMap<String, String>,
    /// The run.
    pub run: RunContext,
    /// The steps of the current state that have ended, by name.
    pub steps: BTreeMap<String, StepContext>,
    /// What states that have ended have given, by name: `{{ BUILD.output.stdout }}`.
    pub states: Map<String, Value>,
    /// What was put on the blackboard: `{{ blackboard.NAME }}`.
    pub blackboard: Map<String, Value>,
    /// The feedback with which the current state was entered: `{{ state.feedback }}`.
    pub feedback: Option<String>,
}

/// The run, as templates see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunContext {
    /// Its id.
    pub id: String,
    /// The id of the last run of the same pipeline before it.
    pub previous: Option<String>,
}

/// A step that has ended, as templates see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepContext {
    /// Its outcome: one of the closed list, such as `succeeded`.
    pub outcome: String,
    /// What it gave.
    pub outputs: Map<String, Value>,
}

/// How the run stands when a step's `if` is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Every needed step succeeded, or failed with `on_failure: continue`.
    pub all_needs_ok: bool,
    /// A step that is needed, directly or not, has failed.
    pub any_failed: bool,
    /// The run is being cancelled.
    pub cancelled: bool,
}

impl Status {
    /// `success()`: what a step without an `if` waits for.
    pub fn success(self) -> bool {
        self.all_needs_ok && !self.cancelled
    }
}

/// Something that was rendered and is probably not as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where in the configuration: a JSON pointer.
    pub pointer: String,
    /// What, in one sentence.
    pub message: String,
}

/// Why a configuration or condition could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (in `{text}`, at {place})")]
pub struct RenderError {
    /// The stable code.
    pub code: Code,
    /// What went wrong.
    pub message: String,
    /// The expression it went wrong in.
    pub text: String,
    /// Where: `if`, `env.NAME`, or a JSON pointer into the configuration.
    pub place: String,
    /// What to do next.
    pub help: Option<String>,
}

impl CodedError for RenderError {
    fn code(&self) -> Code {
        self.code
    }
    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

impl RenderError {
    fn new(fault: Fault, source: &str, place: &str) -> Self {
        const MAX_QUOTED_CHARS: usize = 120;
        let text = source.get(fault.span).unwrap_or(source).chars().take(MAX_QUOTED_CHARS).collect();
        RenderError { code: fault.code, message: fault.message, text, place: place.to_owned(), help: fault.help }
    }
}

/// Renders a step's configuration.
///
/// # Errors
/// When an expression fails: a missing value where that is an error, a wrong type, an object in text, too much work.
pub fn render_config(
    work: &plan::PluginWork,
    plan: &Plan,
    context: &Context,
) -> Result<(Value, Vec<Warning>), RenderError> {
    let mut renderer = Renderer::new(plan.strict, context);
    let config = renderer.value(&work.config, String::new(), work)?;
    Ok((config, renderer.warnings))
}

/// Renders the pipeline's `env` over inputs and run: what [`Context::env`] is set to before the first step. Secrets'
/// references stay out of it, since they are never text.
///
/// # Errors
/// As [`render_config`].
pub fn render_env(plan: &Plan, context: &Context) -> Result<(BTreeMap<String, String>, Vec<Warning>), RenderError> {
    let mut renderer = Renderer::new(plan.strict, context);
    let mut env = BTreeMap::new();
    for (name, text) in plan.env.iter().filter(|(_, text)| !text.starts_with("secret:")) {
        let treatment = if plan.strict { Treatment::Strict } else { Treatment::Lenient };
        env.insert(name.clone(), renderer.text(text, &format!("env.{name}"), treatment)?);
    }
    Ok((env, renderer.warnings))
}

/// Renders one text: a transition's feedback, a prompt, a group's name. A missing value is empty text with a warning, or an
/// error where the plan is strict.
///
/// # Errors
/// As [`render_config`].
pub fn render_text(
    text: &str,
    plan: &Plan,
    context: &Context,
    place: &str,
) -> Result<(String, Vec<Warning>), RenderError> {
    let mut renderer = Renderer::new(plan.strict, context);
    let text = renderer.text(text, place, Treatment::Lenient)?;
    Ok((text, renderer.warnings))
}

/// Renders one text to a value: where it is a single expression, what that gives, with its type; else text. It is for what
/// takes any value, such as a sub-run's input. A missing value is `null`, or an error where the plan is strict.
///
/// # Errors
/// As [`render_config`].
pub fn render_value(text: &str, plan: &Plan, context: &Context, place: &str) -> Result<Value, RenderError> {
    any_value(text, &mut Renderer::new(plan.strict, context), place)
}

/// Renders every text within a value as [`render_value`] does, leniently; all of them from one fuel.
pub(crate) fn render_tree(value: &Value, context: &Context) -> Result<Value, RenderError> {
    fn tree(value: &Value, pointer: String, renderer: &mut Renderer<'_>) -> Result<Value, RenderError> {
        Ok(match value {
            Value::String(text) => any_value(text, renderer, &pointer)?,
            Value::Array(items) => {
                let each = items.iter().enumerate();
                each.map(|(index, item)| tree(item, format!("{pointer}/{index}"), renderer))
                    .collect::<Result<_, _>>()?
            }
            Value::Object(map) => {
                let each = map.iter();
                each.map(|(key, item)| Ok((key.clone(), tree(item, join_pointer(&pointer, key), renderer)?)))
                    .collect::<Result<_, RenderError>>()?
            }
            scalar => scalar.clone(),
        })
    }
    tree(value, String::new(), &mut Renderer::new(false, context))
}

fn any_value(text: &str, renderer: &mut Renderer<'_>, place: &str) -> Result<Value, RenderError> {
    let failed = |fault| RenderError::new(fault, text, place);
    let pieces = pieces(text).map_err(failed)?;
    let Some(expr) = single(&pieces) else {
        // What has no template in it is what its author wrote, a secret's reference as well.
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            return Ok(Value::String(text.to_owned()));
        }
        return Ok(Value::String(renderer.text(text, place, Treatment::Lenient)?));
    };
    let mut evaluator = Evaluator { context: renderer.context, status: None, missing: Vec::new() };
    let value = evaluator.eval(expr, &mut renderer.fuel).map_err(failed)?.into_owned();
    if let Some(path) = evaluator.missing.first().filter(|_| renderer.strict) {
        return Err(failed(missing_value(path, expr)));
    }
    renderer.fuel.burn(expression::size(&value), &expr.span).map_err(failed)?;
    if secrets_in(&value) {
        return Err(failed(rendered_secret(expr.span.clone())));
    }
    Ok(value)
}

/// Evaluates an expression that is no step's `if`: of a transition or a gate. It cannot ask how the run stands.
///
/// # Errors
/// When it cannot be read, or does not give a boolean.
pub fn evaluate_expression(text: &str, context: &Context) -> Result<bool, RenderError> {
    parse(text)
        .and_then(|expr| Evaluator { context, status: None, missing: Vec::new() }.boolean(&expr, &mut Fuel::new()))
        .map_err(|fault| RenderError::new(fault, text, "expression"))
}

/// Every path in an expression with the value that it has now, each once and in written order: what tells a person why a
/// condition was not met. Values are cut to [`MAX_EXPLAINED_CHARS`]; one that is missing is `null`. Of an expression that
/// cannot be read there is nothing to tell.
pub fn explain(text: &str, context: &Context) -> Vec<(String, Value)> {
    let Ok(expr) = parse(text) else { return Vec::new() };
    let mut found: Vec<(String, Value)> = Vec::new();
    let mut fuel = Fuel::new();
    expr.walk(&mut |expr| {
        let expression::ExprKind::Path(path) = &expr.kind else { return };
        let name = path.text();
        if found.iter().any(|(known, _)| *known == name) {
            return;
        }
        let mut evaluator = Evaluator { context, status: None, missing: Vec::new() };
        let value = evaluator.eval(expr, &mut fuel).map_or(Value::Null, |value| short(&value));
        found.push((name, value));
    });
    found
}

/// A value as it is shown to people: whole where it is short, else the beginning of its text.
fn short(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => std::borrow::Cow::Borrowed(text.as_str()),
        // Serialised no further than it is shown: a list of a million parts is no reason to write them all.
        Value::Array(_) | Value::Object(_) if expression::size(value) > 4 * MAX_EXPLAINED_CHARS => {
            return Value::String(format!("{} of {} bytes", type_name(value), expression::size(value)));
        }
        other => return other.clone(),
    };
    match text.char_indices().nth(MAX_EXPLAINED_CHARS) {
        Some((end, _)) => Value::String(format!("{}…", &text[..end])),
        None => value.clone(),
    }
}

/// Evaluates a step's `if`. A condition that does not ask for the run's status is asked only after `success()`.
///
/// # Errors
/// When it cannot be read, or does not give a boolean.
pub fn evaluate_condition(text: &str, context: &Context, status: Status) -> Result<bool, RenderError> {
    let evaluate = || {
        let expr = parse(text)?;
        if !expr.mentions_status() && !status.success() {
            return Ok(false);
        }
        Evaluator { context, status: Some(status), missing: Vec::new() }.boolean(&expr, &mut Fuel::new())
    };
    evaluate().map_err(|fault| RenderError::new(fault, text, "if"))
}

/// Whether a condition asks for the run's status, and so replaces the `success()` it else is joined to.
pub fn mentions_status(text: &str) -> bool {
    parse(text).is_ok_and(|expr| expr.mentions_status())
}

struct Renderer<'c> {
    context: &'c Context,
    strict: bool,
    fuel: Fuel,
    warnings: Vec<Warning>,
}

impl<'c> Renderer<'c> {
    fn new(strict: bool, context: &'c Context) -> Self {
        Renderer { context, strict, fuel: Fuel::new(), warnings: Vec::new() }
    }

    fn value(&mut self, value: &Value, pointer: String, step: &plan::PluginWork) -> Result<Value, RenderError> {
        Ok(match value {
            Value::String(text) => match step.treatment.get(&pointer) {
                None | Some(Treatment::Never) => value.clone(),
                Some(treatment) => match step.typed.get(&pointer) {
                    Some(scalars) => self.scalar(text, &pointer, scalars)?,
                    None => Value::String(self.text(text, &pointer, *treatment)?),
                },
            },
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.value(item, format!("{pointer}/{index}"), step))
                .collect::<Result<_, _>>()?,
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| Ok((key.clone(), self.value(item, join_pointer(&pointer, key), step)?)))
                .collect::<Result<_, RenderError>>()?,
            scalar => scalar.clone(),
        })
    }

    fn text(&mut self, source: &str, place: &str, treatment: Treatment) -> Result<String, RenderError> {
        let failed = |fault| RenderError::new(fault, source, place);
        let mut out = String::new();
        for piece in pieces(source).map_err(failed)? {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Expr(expr) => {
                    let mut evaluator = Evaluator { context: self.context, status: None, missing: Vec::new() };
                    let value = evaluator.eval(&expr, &mut self.fuel).map_err(failed)?;
                    if let Some(path) = evaluator.missing.first() {
                        if self.strict || treatment == Treatment::Strict {
                            return Err(failed(missing_value(path, &expr)));
                        }
                        let message = format!("`{path}` has no value; empty text stands in for it");
                        self.warnings.push(Warning { pointer: place.to_owned(), message });
                    }
                    let text = to_text(&value, &expr).map_err(failed)?;
                    self.fuel.burn(text.len(), &expr.span).map_err(failed)?;
                    if out.len() + text.len() > MAX_RENDERED_BYTES {
                        let message = format!("the text becomes longer than {MAX_RENDERED_BYTES} bytes");
                        return Err(failed(Fault::new(codes::TOO_COSTLY, expr.span.clone(), message)));
                    }
                    out.push_str(&text);
                }
            }
        }
        if out.starts_with(SECRET_PREFIX) {
            return Err(failed(rendered_secret(0..source.len())));
        }
        Ok(out)
    }

    /// A string that is one expression, where the schema takes no text.
    fn scalar(
        &mut self,
        source: &str,
        place: &str,
        scalars: &std::collections::BTreeSet<Scalar>,
    ) -> Result<Value, RenderError> {
        let failed = |fault| RenderError::new(fault, source, place);
        let pieces = pieces(source).map_err(failed)?;
        let Some(expr) = single(&pieces) else {
            let message = "text around the expression, where no text is wanted";
            return Err(failed(Fault::new(codes::EXPRESSION_TYPE, 0..source.len(), message)));
        };
        let mut evaluator = Evaluator { context: self.context, status: None, missing: Vec::new() };
        let value = evaluator.eval(expr, &mut self.fuel).map_err(failed)?.into_owned();
        let sound = match &value {
            Value::Bool(_) => scalars.contains(&Scalar::Boolean),
            Value::Number(number) => {
                scalars.contains(&Scalar::Number)
                    || (scalars.contains(&Scalar::Integer) && (number.is_i64() || number.is_u64()))
            }
            _ => false,
        };
        if sound {
            return Ok(value);
        }
        let message = match evaluator.missing.first() {
            Some(path) => format!("`{path}` has no value, and {} is wanted", scalar_names(scalars)),
            None => format!("{} is wanted, and this is {}", scalar_names(scalars), type_name(&value)),
        };
        let code = if evaluator.missing.is_empty() { codes::EXPRESSION_TYPE } else { codes::MISSING_VALUE };
        Err(failed(Fault::new(code, expr.span.clone(), message)))
    }
}

fn missing_value(path: &str, expr: &Expr) -> Fault {
    Fault::new(codes::MISSING_VALUE, expr.span.clone(), format!("`{path}` has no value"))
        .help("give it a value, or write `| default('…')`")
}

fn rendered_secret(span: Range<usize>) -> Fault {
    Fault::new(codes::RENDERED_SECRET, span, "a rendered value begins with `secret:`")
        .help("write secret references literally; a template cannot choose a secret")
}

/// Whether a text in it would be read as a secret's reference.
fn secrets_in(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(SECRET_PREFIX),
        Value::Array(items) => items.iter().any(secrets_in),
        Value::Object(map) => map.values().any(secrets_in),
        _ => false,
    }
}

/// "an integer or a boolean".
pub(crate) fn scalar_names(scalars: &std::collections::BTreeSet<Scalar>) -> String {
    let names = scalars.iter().map(|scalar| match scalar {
        Scalar::Integer => "an integer",
        Scalar::Number => "a number",
        Scalar::Boolean => "a boolean",
    });
    names.collect::<Vec<_>>().join(" or ")
}
