//! [`Expr`] to a value.

use super::{Comparison, Expr, ExprKind, Fault, Filter, Function, Path, Target, find_loose, type_name};
use crate::{
    codes,
    template::{Context, Status, StepContext},
};
use serde_json::{Number, Value};
use std::{borrow::Cow, cmp::Ordering};

/// What evaluation may cost: one unit per part of an expression and per byte or element made.
#[derive(Debug)]
pub(crate) struct Fuel(u64);

impl Fuel {
    /// For one step's configuration, or one condition: 32 Mi units. The largest text that may come of it (4 MiB) can be
    /// rendered some times over, and it is spent in well under half a second.
    pub(crate) const DEFAULT: u64 = 32 * 1024 * 1024;

    pub(crate) fn new() -> Self {
        Fuel(Self::DEFAULT)
    }

    pub(crate) fn burn(&mut self, units: usize, span: &std::ops::Range<usize>) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(units as u64).ok_or_else(|| {
            let message = format!("the expressions here cost more than {} units", Self::DEFAULT);
            Fault::new(codes::TOO_COSTLY, span.clone(), message)
                .help("make the value smaller in the step that gives it")
        })?;
        Ok(())
    }
}

/// Evaluates expressions over one context.
pub(crate) struct Evaluator<'c> {
    pub(crate) context: &'c Context,
    /// In conditions.
    pub(crate) status: Option<Status>,
    /// The paths that had no value and for which no `default` stood in.
    pub(crate) missing: Vec<String>,
}

type Evaluated<'c> = Result<Cow<'c, Value>, Fault>;

fn owned<'c>(value: impl Into<Value>) -> Evaluated<'c> {
    Ok(Cow::Owned(value.into()))
}

impl<'c> Evaluator<'c> {
    pub(crate) fn eval<'e>(&mut self, expr: &'e Expr, fuel: &mut Fuel) -> Evaluated<'e>
    where
        'c: 'e,
    {
        fuel.burn(1, &expr.span)?;
        match &expr.kind {
            ExprKind::Literal(value) => Ok(Cow::Borrowed(value)),
            ExprKind::Path(path) => Ok(self.read(path, expr, fuel)?.unwrap_or_else(|| {
                self.missing.push(path.text());
                Cow::Owned(Value::Null)
            })),
            ExprKind::Call(function, arguments) => self.call(*function, arguments, expr, fuel),
            ExprKind::Filter(Filter::Default, value, arguments) => {
                let before = self.missing.len();
                let value = self.eval(value, fuel)?;
                if !value.is_null() {
                    return Ok(value);
                }
                self.missing.truncate(before);
                self.eval(&arguments[0], fuel)
            }
            ExprKind::Filter(filter, value, arguments) => {
                let value = self.eval(value, fuel)?;
                let argument = arguments.first().map(|argument| self.eval(argument, fuel)).transpose()?;
                self.filter(*filter, &value, argument.as_deref(), expr, fuel)
            }
            ExprKind::Not(inner) => owned(!self.boolean(inner, fuel)?),
            ExprKind::And(a, b) => owned(self.boolean(a, fuel)? && self.boolean(b, fuel)?),
            ExprKind::Or(a, b) => owned(self.boolean(a, fuel)? || self.boolean(b, fuel)?),
            ExprKind::Compare(comparison, a, b) => {
                let (a, b) = (self.eval(a, fuel)?, self.eval(b, fuel)?);
                fuel.burn(size(&a).min(size(&b)), &expr.span)?;
                owned(compare(*comparison, &a, &b, expr)?)
            }
        }
    }

    /// Evaluates where a boolean is wanted: nothing else counts as one.
    pub(crate) fn boolean(&mut self, expr: &Expr, fuel: &mut Fuel) -> Result<bool, Fault> {
        match *self.eval(expr, fuel)? {
            Value::Bool(flag) => Ok(flag),
            ref other => Err(Fault::new(
                codes::EXPRESSION_TYPE,
                expr.span.clone(),
                format!("a boolean is wanted here, and this is {}", type_name(other)),
            )
            .help("compare it, as in `x == 'yes'` or `x != null`")),
        }
    }

    fn read(&self, path: &Path, expr: &Expr, fuel: &mut Fuel) -> Result<Option<Cow<'c, Value>>, Fault> {
        let context = self.context;
        let value = match path.target() {
            Target::Input { name, loose, rest } => {
                let name = if loose { find_loose(name, context.inputs.keys().map(String::as_str)) } else { Some(name) };
                name.and_then(|name| part(context.inputs.get(name)?, rest)).map(Cow::Borrowed)
            }
            Target::Env { name, rest: [] } => context.env.get(name).map(|text| Cow::Owned(Value::from(text.as_str()))),
            Target::RunId => Some(Cow::Owned(Value::from(context.run.id.as_str()))),
            Target::RunPrevious => context.run.previous.as_deref().map(|id| Cow::Owned(Value::from(id))),
            Target::Outcome { step } => match context.steps.get(step) {
                Some(step) => Some(outcome(step)),
                None => self.of_another_state(step).and_then(|step| step.get("outcome")).map(Cow::Borrowed),
            },
            Target::Outputs { step, rest } => match context.steps.get(step) {
                Some(step) => outputs(step, rest, expr, fuel)?,
                None => self.of_another_state(step).and_then(|step| part(step, rest)).map(Cow::Borrowed),
            },
            Target::Blackboard { name, rest } => self.on_blackboard(name, rest).map(Cow::Borrowed),
            Target::Feedback => context.feedback.as_deref().map(|text| Cow::Owned(Value::from(text))),
            Target::Named { name, rest } => match (context.states.get(name), context.steps.get(name), rest) {
                (Some(state), ..) => given(state, rest).map(Cow::Borrowed),
                (None, Some(step), [key]) if key == "outcome" => Some(outcome(step)),
                (None, Some(step), [alias, rest @ ..])
                    if (alias == "output" || alias == "outputs") && !step.outputs.contains_key(alias) =>
                {
                    outputs(step, rest, expr, fuel)?
                }
                (None, Some(step), rest) => outputs(step, rest, expr, fuel)?,
                (None, None, rest) => self.on_blackboard(name, rest).map(Cow::Borrowed),
            },
            Target::Env { .. }
            | Target::Root(_)
            | Target::UnknownRun(_)
            | Target::UnknownState(_)
            | Target::UnknownStepPart { .. } => None,
        };
        Ok(value.filter(|value| !value.is_null()))
    }

    /// A step of a state that has ended: what a compensation reads of the steps before it. A step's name is its own in the
    /// whole plan.
    fn of_another_state(&self, step: &str) -> Option<&'c Value> {
        self.context.states.values().find_map(|state| state.get("output")?.get(step))
    }

    /// What was put on the blackboard, else what a state has given, else an input.
    fn on_blackboard(&self, name: &str, rest: &[String]) -> Option<&'c Value> {
        let context = self.context;
        match (context.blackboard.get(name), context.states.get(name)) {
            (Some(value), _) => part(value, rest),
            (None, Some(state)) => given(state, rest),
            (None, None) => part(context.inputs.get(name)?, rest),
        }
    }

    fn call<'e>(&mut self, function: Function, arguments: &'e [Expr], expr: &Expr, fuel: &mut Fuel) -> Evaluated<'e>
    where
        'c: 'e,
    {
        if function.is_status() {
            let Some(status) = self.status else {
                let message = format!("`{}()` is known in `if` only", function.name());
                return Err(Fault::new(codes::UNKNOWN_VALUE, expr.span.clone(), message));
            };
            return owned(match function {
                Function::Success => status.success(),
                Function::Failure => status.any_failed && !status.cancelled,
                Function::Cancelled => status.cancelled,
                _ => true,
            });
        }
        let [haystack, needle] = arguments else { return owned(Value::Null) };
        let (haystack, needle) = (self.eval(haystack, fuel)?, self.eval(needle, fuel)?);
        fuel.burn(size(&haystack), &expr.span)?;
        let wrong = |expr: &Expr, value: &Value, wanted: &str| {
            let message = format!("`{}` wants {wanted} here, and this is {}", function.name(), type_name(value));
            Fault::new(codes::EXPRESSION_TYPE, expr.span.clone(), message)
        };
        match (function, &*haystack, &*needle) {
            (Function::StartsWith, Value::String(text), Value::String(part)) => owned(text.starts_with(part.as_str())),
            (Function::EndsWith, Value::String(text), Value::String(part)) => owned(text.ends_with(part.as_str())),
            (Function::Contains, Value::String(text), Value::String(part)) => owned(text.contains(part.as_str())),
            (Function::Contains, Value::Array(items), needle) => owned(items.iter().any(|item| equal(item, needle))),
            (Function::Contains, Value::Object(map), Value::String(key)) => owned(map.contains_key(key.as_str())),
            (Function::Contains, Value::String(_) | Value::Object(_), needle) => {
                Err(wrong(&arguments[1], needle, "text"))
            }
            (Function::Contains, haystack, _) => Err(wrong(&arguments[0], haystack, "text, a list or an object")),
            (_, Value::String(_), needle) => Err(wrong(&arguments[1], needle, "text")),
            (_, haystack, _) => Err(wrong(&arguments[0], haystack, "text")),
        }
    }

    fn filter<'e>(
        &mut self,
        filter: Filter,
        value: &Value,
        argument: Option<&Value>,
        expr: &Expr,
        fuel: &mut Fuel,
    ) -> Evaluated<'e> {
        // Nothing stays nothing, so that a missing value is told of once and where it is read.
        if value.is_null() && filter != Filter::Json {
            return owned(Value::Null);
        }
        fuel.burn(size(value), &expr.span)?;
        let wrong = |wanted: &str, given: &Value| {
            let message = format!("`{}` wants {wanted}, and this is {}", filter.name(), type_name(given));
            Err(Fault::new(codes::EXPRESSION_TYPE, expr.span.clone(), message))
        };
        match (filter, value) {
            (Filter::Json, value) => owned(value.to_string()),
            (Filter::Lower, Value::String(text)) => owned(text.to_lowercase()),
            (Filter::Upper, Value::String(text)) => owned(text.to_uppercase()),
            (Filter::Trim, Value::String(text)) => owned(text.trim()),
            (Filter::FirstLine, Value::String(text)) => owned(text.lines().next().unwrap_or_default()),
            (Filter::Length, Value::String(text)) => owned(text.chars().count()),
            (Filter::Length, Value::Array(items)) => owned(items.len()),
            (Filter::Length, Value::Object(map)) => owned(map.len()),
            (Filter::Keys, Value::Object(map)) => owned(map.keys().cloned().map(Value::String).collect::<Vec<_>>()),
            (Filter::Split, Value::String(text)) => match argument {
                Some(Value::String(by)) if by.is_empty() => Err(Fault::new(
                    codes::EXPRESSION_TYPE,
                    expr.span.clone(),
                    "`split` wants a separator that is not empty",
                )),
                Some(Value::String(by)) => {
                    // Each piece costs a value, however short it is.
                    let pieces: Vec<Value> = text.split(by.as_str()).map(Value::from).collect();
                    fuel.burn(pieces.len() * 32, &expr.span)?;
                    owned(pieces)
                }
                other => wrong("text as separator", other.unwrap_or(&Value::Null)),
            },
            (Filter::Join, Value::Array(items)) => {
                let by = match argument {
                    None => ",",
                    Some(Value::String(by)) => by.as_str(),
                    Some(other) => return wrong("text as separator", other),
                };
                fuel.burn(by.len().saturating_mul(items.len()), &expr.span)?;
                let pieces = items.iter().map(|item| to_text(item, expr)).collect::<Result<Vec<_>, _>>()?;
                owned(pieces.join(by))
            }
            (Filter::Keys, other) => wrong("an object", other),
            (Filter::Join, other) => wrong("a list", other),
            (Filter::Length, other) => wrong("text, a list or an object", other),
            (_, other) => wrong("text", other),
        }
    }
}

/// The part of a value that a path leads to.
fn part<'v>(mut value: &'v Value, rest: &[String]) -> Option<&'v Value> {
    for segment in rest {
        value = match value {
            Value::Object(map) => map.get(segment)?,
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// A part of what a state has given. `output` is all of it, where it has no `output` of its own that leads further; and what is not
/// found beside its `output` is looked for in it, such as a step by its name.
fn given<'v>(state: &'v Value, rest: &[String]) -> Option<&'v Value> {
    part(state, rest).or_else(|| match rest {
        [alias, rest @ ..] if alias == "output" || alias == "outputs" => part(state, rest),
        rest => part(state.get("output")?, rest),
    })
}

fn outcome<'c>(step: &StepContext) -> Cow<'c, Value> {
    Cow::Owned(Value::from(step.outcome.as_str()))
}

/// A part of what a step has given, or all of it.
fn outputs<'c>(
    step: &'c StepContext,
    rest: &[String],
    expr: &Expr,
    fuel: &mut Fuel,
) -> Result<Option<Cow<'c, Value>>, Fault> {
    let Some((first, rest)) = rest.split_first() else {
        let all = Value::Object(step.outputs.clone());
        fuel.burn(size(&all), &expr.span)?;
        return Ok(Some(Cow::Owned(all)));
    };
    Ok(step.outputs.get(first).and_then(|value| part(value, rest)).map(Cow::Borrowed))
}

/// A scalar as text; an object or list is none.
pub(crate) fn to_text<'v>(value: &'v Value, expr: &Expr) -> Result<Cow<'v, str>, Fault> {
    match value {
        Value::Null => Ok(Cow::Borrowed("")),
        Value::Bool(flag) => Ok(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Array(_) | Value::Object(_) => {
            let message = format!("{} is no text", type_name(value));
            Err(Fault::new(codes::NOT_TEXT, expr.span.clone(), message).help("add `| json` to write it as JSON"))
        }
    }
}

/// Roughly the bytes of a value.
pub(crate) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 1,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 1,
        _ => 8,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

/// Whole numbers are compared as such: above 2⁵³, two of them may be one float.
fn order(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn compare(comparison: Comparison, a: &Value, b: &Value, expr: &Expr) -> Result<bool, Fault> {
    let mismatch = |why: String| {
        let fault = Fault::new(codes::EXPRESSION_TYPE, expr.span.clone(), why);
        Err(fault.help("put text in quotes, write numbers and booleans without"))
    };
    let same_type = std::mem::discriminant(a) == std::mem::discriminant(b);
    match comparison {
        Comparison::Equal | Comparison::NotEqual => {
            if !same_type && !a.is_null() && !b.is_null() {
                return mismatch(format!("{} is compared with {}", type_name(a), type_name(b)));
            }
            Ok(equal(a, b) == (comparison == Comparison::Equal))
        }
        _ => {
            let ordering = match (a, b) {
                (Value::Number(a), Value::Number(b)) => order(a, b),
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                _ => {
                    return mismatch(format!(
                        "`{}` compares two numbers or two texts, and these are {} and {}",
                        comparison.name(),
                        type_name(a),
                        type_name(b)
                    ));
                }
            };
            Ok(ordering.is_some_and(|ordering| match comparison {
                Comparison::Less => ordering.is_lt(),
                Comparison::LessOrEqual => ordering.is_le(),
                Comparison::Greater => ordering.is_gt(),
                _ => ordering.is_ge(),
            }))
        }
    }
}
