//! Templates in a configuration, and conditions: rendered and evaluated while a run goes on.
//!
//! - Only the strings that [`plan::Step::treatment`] lists are rendered; all others reach the plugin as written.
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
    plan::{self, Plan, Scalar, Treatment},
    yaml::join_pointer,
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, ops::Range};
use windlass_contract::{Code, CodedError};

/// The longest text that one string may render to: 1 MiB, as much as a step's outputs together.
pub const MAX_RENDERED_BYTES: usize = 1024 * 1024;

/// What templates and conditions read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The run's inputs, as [`crate::bind_inputs`] gives them.
    pub inputs: Map<String, Value>,
    /// The pipeline's environment, as [`render_env`] gives it.
    pub env: BTreeMap<String, String>,
    /// The run.
    pub run: RunContext,
    /// The steps that have ended, by name.
    pub steps: BTreeMap<String, StepContext>,
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
pub fn render_config(step: &plan::Step, plan: &Plan, context: &Context) -> Result<(Value, Vec<Warning>), RenderError> {
    let mut renderer = Renderer { context, strict: plan.strict, fuel: Fuel::new(), warnings: Vec::new() };
    let config = renderer.value(&step.config, String::new(), step)?;
    Ok((config, renderer.warnings))
}

/// Renders the pipeline's `env` over inputs and run: what [`Context::env`] is set to before the first step. Secrets'
/// references stay out of it, since they are never text.
///
/// # Errors
/// As [`render_config`].
pub fn render_env(plan: &Plan, context: &Context) -> Result<(BTreeMap<String, String>, Vec<Warning>), RenderError> {
    let mut renderer = Renderer { context, strict: plan.strict, fuel: Fuel::new(), warnings: Vec::new() };
    let mut env = BTreeMap::new();
    for (name, text) in plan.env.iter().filter(|(_, text)| !text.starts_with("secret:")) {
        let treatment = if plan.strict { Treatment::Strict } else { Treatment::Lenient };
        env.insert(name.clone(), renderer.text(text, &format!("env.{name}"), treatment)?);
    }
    Ok((env, renderer.warnings))
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

impl Renderer<'_> {
    fn value(&mut self, value: &Value, pointer: String, step: &plan::Step) -> Result<Value, RenderError> {
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
                        let message = format!("`{path}` has no value");
                        if self.strict || treatment == Treatment::Strict {
                            let fault = Fault::new(codes::MISSING_VALUE, expr.span.clone(), message);
                            return Err(failed(fault.help("give it a value, or write `| default('…')`")));
                        }
                        let message = format!("{message}; empty text stands in for it");
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
        if out.starts_with("secret:") {
            let message = "a rendered value begins with `secret:`";
            let fault = Fault::new(codes::RENDERED_SECRET, 0..source.len(), message);
            return Err(failed(fault.help("write secret references literally; a template cannot choose a secret")));
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

/// "an integer or a boolean".
pub(crate) fn scalar_names(scalars: &std::collections::BTreeSet<Scalar>) -> String {
    let names = scalars.iter().map(|scalar| match scalar {
        Scalar::Integer => "an integer",
        Scalar::Number => "a number",
        Scalar::Boolean => "a boolean",
    });
    names.collect::<Vec<_>>().join(" or ")
}

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Piece<'t> {
    Text(&'t str),
    /// Its spans count from the beginning of the whole text.
    Expr(Expr),
}

/// Whether a string is a template at all. A lone `{% … %}` makes it one, so that it is refused and not passed on.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || statement(text, 0..text.len()).is_some()
}

/// The only piece, if it is an expression; white space around it does not count.
pub(crate) fn single<'p>(pieces: &'p [Piece<'_>]) -> Option<&'p Expr> {
    let mut found = None;
    for piece in pieces {
        match piece {
            Piece::Text(text) if text.trim().is_empty() => {}
            Piece::Expr(expr) if found.is_none() => found = Some(expr),
            _ => return None,
        }
    }
    found
}

/// Cuts a template into text and expressions; the first fault ends it.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let (pieces, faults) = cut(text);
    faults.into_iter().next().map_or(Ok(pieces), Err)
}

/// Cuts a template into text and expressions, with everything that is wrong.
pub(crate) fn cut(text: &str) -> (Vec<Piece<'_>>, Vec<Fault>) {
    let (mut pieces, mut faults) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        faults.extend(statement(text, at..open));
        if open > at {
            pieces.push(Piece::Text(&text[at..open]));
        }
        if text[open..].starts_with("{{{") {
            let fault = Fault::new(codes::SYNTAX, open..open + 3, "three braces are not needed: nothing is escaped");
            faults.push(fault.help("write {{ and }}"));
            return (pieces, faults);
        }
        let Some(close) = expression_end(text, open + 2) else {
            let end = text[open..].find('\n').map_or(text.len(), |line| open + line);
            let fault = Fault::new(codes::SYNTAX, open..end, "`}}` is missing after this `{{`");
            faults.push(fault.help("a literal `{{` is written {{ '{{' }}"));
            return (pieces, faults);
        };
        match parse(&text[open + 2..close]) {
            Ok(mut expr) => {
                shift(&mut expr, open + 2);
                pieces.push(Piece::Expr(expr));
            }
            Err(mut fault) => {
                fault.span = fault.span.start + open + 2..fault.span.end + open + 2;
                faults.push(fault);
            }
        }
        at = close + 2;
    }
    faults.extend(statement(text, at..text.len()));
    if at < text.len() {
        pieces.push(Piece::Text(&text[at..]));
    }
    (pieces, faults)
}

/// A `{% … %}` in the text between expressions.
fn statement(text: &str, part: Range<usize>) -> Option<Fault> {
    let inner = &text[part.clone()];
    let open = inner.find("{%").filter(|open| inner[*open..].contains("%}"))?;
    let span = part.start + open..part.start + open + 2;
    let fault = Fault::new(codes::SYNTAX, span, "there are no statements in templates");
    Some(fault.help("use `if:` on the step, or a filter such as `| default('…')`"))
}

/// Where the `}}` stands that is not within quotes.
fn expression_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = from;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'\'' | b'"')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, b'{') if bytes.get(at + 1) == Some(&b'{') => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Moves all spans of an expression by `by`.
fn shift(expr: &mut Expr, by: usize) {
    use expression::ExprKind;
    expr.span = expr.span.start + by..expr.span.end + by;
    match &mut expr.kind {
        ExprKind::Literal(_) | ExprKind::Path(_) => {}
        ExprKind::Call(_, arguments) => arguments.iter_mut().for_each(|argument| shift(argument, by)),
        ExprKind::Filter(_, value, arguments) => {
            shift(value, by);
            arguments.iter_mut().for_each(|argument| shift(argument, by));
        }
        ExprKind::Not(inner) => shift(inner, by),
        ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Compare(_, a, b) => {
            shift(a, by);
            shift(b, by);
        }
    }
}
