//! What can be known of an expression before it runs: names, and types where they are declared.

use super::{Comparison, Expr, ExprKind, Fault, Filter, Function, Path, Target, find_loose};
use crate::{
    codes, diagnostic,
    plan::{InputDecl, InputType},
    text::SECRET_PREFIX,
};
use std::{collections::BTreeMap, ops::Range};

/// What an expression at one place may read.
pub(crate) struct Known<'k> {
    pub(crate) inputs: &'k BTreeMap<String, InputDecl>,
    /// The pipeline's `env`. `None` where it cannot be read: in `env` itself.
    pub(crate) env: Option<&'k BTreeMap<String, String>>,
    /// The steps. `None` where they cannot be read.
    pub(crate) steps: Option<&'k dyn Steps>,
    /// Whether `success()` and the like are known.
    pub(crate) status: bool,
    /// Whether the nearest known name is searched for one that is unknown.
    pub(crate) suggest: bool,
}

/// The steps that can be read from one step.
pub(crate) trait Steps {
    /// The name of the step that reads.
    fn own(&self) -> Option<&str>;
    /// Every step's name.
    fn names(&self) -> Vec<&str>;
    /// Whether there is a step of that name.
    fn exists(&self, name: &str) -> bool;
    /// Whether it has ended whenever this place is reached.
    fn is_needed(&self, name: &str) -> bool;
    /// The names of its outputs, where its schema closes the list.
    fn outputs(&self, name: &str) -> Option<Vec<&str>>;
}

/// A type that is known before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Number,
    Text,
    List,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Null => "nothing",
            Type::Boolean => "a boolean",
            Type::Number => "a number",
            Type::Text => "text",
            Type::List => "a list",
        }
    }
}

/// Checks an expression and gives its type, where that is known.
pub(crate) fn check(expr: &Expr, known: &Known<'_>, faults: &mut Vec<Fault>) -> Option<Type> {
    let span = || expr.span.clone();
    match &expr.kind {
        ExprKind::Literal(value) => match value {
            serde_json::Value::Null => Some(Type::Null),
            serde_json::Value::Bool(_) => Some(Type::Boolean),
            serde_json::Value::Number(_) => Some(Type::Number),
            serde_json::Value::String(_) => Some(Type::Text),
            _ => None,
        },
        ExprKind::Path(path) => match target(path, span(), known) {
            Ok(kind) => kind,
            Err(fault) => {
                faults.push(fault);
                None
            }
        },
        ExprKind::Call(function, arguments) => {
            let types: Vec<_> = arguments.iter().map(|argument| check(argument, known, faults)).collect();
            if function.is_status() {
                if !known.status {
                    let message = format!("`{}()` is known in `if` only", function.name());
                    faults.push(Fault::new(codes::UNKNOWN_VALUE, span(), message));
                }
            } else if *function != Function::Contains {
                for (argument, kind) in arguments.iter().zip(types) {
                    want(Type::Text, kind, function.name(), argument.span.clone(), faults);
                }
            }
            Some(Type::Boolean)
        }
        ExprKind::Filter(filter, value, arguments) => {
            let kind = check(value, known, faults);
            let argument = arguments.first().and_then(|argument| check(argument, known, faults));
            match filter {
                Filter::Json => Some(Type::Text),
                Filter::Default => (kind == argument).then_some(kind).flatten(),
                Filter::Length => Some(Type::Number),
                Filter::Keys => Some(Type::List),
                Filter::Join => {
                    want(Type::List, kind, filter.name(), value.span.clone(), faults);
                    Some(Type::Text)
                }
                Filter::Split => {
                    want(Type::Text, kind, filter.name(), value.span.clone(), faults);
                    Some(Type::List)
                }
                Filter::Lower | Filter::Upper | Filter::Trim | Filter::FirstLine => {
                    want(Type::Text, kind, filter.name(), value.span.clone(), faults);
                    Some(Type::Text)
                }
            }
        }
        ExprKind::Not(inner) => {
            boolean(inner, known, faults);
            Some(Type::Boolean)
        }
        ExprKind::And(a, b) | ExprKind::Or(a, b) => {
            boolean(a, known, faults);
            boolean(b, known, faults);
            Some(Type::Boolean)
        }
        ExprKind::Compare(comparison, a, b) => {
            let (left, right) = (check(a, known, faults), check(b, known, faults));
            if let (Some(left), Some(right)) = (left, right) {
                let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                let sound = match (left, right) {
                    (Type::Null, _) | (_, Type::Null) => equality,
                    _ if left != right => false,
                    _ => equality || matches!(left, Type::Number | Type::Text),
                };
                if !sound {
                    let message =
                        format!("{} is compared with {} by `{}`", left.name(), right.name(), comparison.name());
                    let fault = Fault::new(codes::EXPRESSION_TYPE, span(), message);
                    faults.push(fault.help("put text in quotes, write numbers and booleans without"));
                }
            }
            Some(Type::Boolean)
        }
    }
}

/// Checks an expression where a boolean is wanted.
pub(crate) fn boolean(expr: &Expr, known: &Known<'_>, faults: &mut Vec<Fault>) {
    if let Some(kind) = check(expr, known, faults)
        && kind != Type::Boolean
    {
        let message = format!("a boolean is wanted here, and this is {}", kind.name());
        let fault = Fault::new(codes::EXPRESSION_TYPE, expr.span.clone(), message);
        faults.push(fault.help("compare it, as in `x == 'yes'` or `x != null`"));
    }
}

fn want(wanted: Type, given: Option<Type>, by: &str, span: Range<usize>, faults: &mut Vec<Fault>) {
    if let Some(given) = given
        && given != wanted
    {
        let message = format!("`{by}` wants {}, and this is {}", wanted.name(), given.name());
        faults.push(Fault::new(codes::EXPRESSION_TYPE, span, message));
    }
}

/// What a path reads; an error names what was probably meant.
fn target(path: &Path, span: Range<usize>, known: &Known<'_>) -> Result<Option<Type>, Fault> {
    let fault = |message: String| Fault::new(codes::UNKNOWN_VALUE, span.clone(), message);
    let suggest = |fault: Fault, prefix: &str, near: Option<String>, otherwise: &str| match near {
        Some(near) => fault.help(format!("did you mean `{prefix}{near}`?")),
        None => fault.help(otherwise),
    };
    let scalar = |rest: &[String], kind: Type, what: String| {
        if rest.is_empty() { Ok(Some(kind)) } else { Err(fault(format!("{what} is {} and has no parts", kind.name()))) }
    };
    match path.target() {
        Target::Input { name, loose, rest } => {
            let names = known.inputs.keys().map(String::as_str);
            let found =
                if loose { find_loose(name, names.clone()) } else { names.clone().find(|known| *known == name) };
            let Some(decl) = found.and_then(|name| known.inputs.get(name)) else {
                let fault = fault(format!("there is no input `{name}`"));
                return Err(suggest(fault, "inputs.", known.nearest(name, names), "declare it under `inputs:`"));
            };
            let kind = match decl.kind {
                InputType::String => Type::Text,
                InputType::Number => Type::Number,
                InputType::Boolean => Type::Boolean,
            };
            // An input that need not be given may be nothing.
            let known = scalar(rest, kind, format!("the input `{name}`"))?;
            Ok(known.filter(|_| decl.required || decl.default.is_some()))
        }
        Target::Env { name, rest } => {
            let Some(env) = known.env else {
                return Err(fault("`env` cannot be read here".to_owned()).help("`env:` may use inputs and run"));
            };
            match env.get(name) {
                None => {
                    let fault = fault(format!("the pipeline's `env` declares no `{name}`"));
                    let otherwise = "declare it under the pipeline's `env:`; the host's own environment is never read";
                    Err(suggest(fault, "env.", known.nearest(name, env.keys().map(String::as_str)), otherwise))
                }
                Some(text) if text.starts_with(SECRET_PREFIX) => {
                    Err(Fault::new(codes::SECRET_NOT_HERE, span, format!("`env.{name}` is a secret"))
                        .help("a secret is never text; give the step the reference where it takes secrets"))
                }
                Some(_) => scalar(rest, Type::Text, format!("`env.{name}`")),
            }
        }
        Target::RunId => Ok(Some(Type::Text)),
        // The first run has none before it.
        Target::RunPrevious => Ok(None),
        Target::Outcome { step } => {
            reach(step, &span, known)?;
            Ok(Some(Type::Text))
        }
        Target::Outputs { step, rest } => {
            reach(step, &span, known)?;
            if let (Some(first), Some(outputs)) = (rest.first(), known.steps.and_then(|steps| steps.outputs(step)))
                && !outputs.contains(&first.as_str())
            {
                let near = known.nearest(first, outputs.iter().copied());
                let otherwise = format!("it gives {}", outputs.join(", "));
                let fault = fault(format!("the step `{step}` gives no output `{first}`"));
                return Err(suggest(fault, &format!("steps.{step}.outputs."), near, &otherwise));
            }
            Ok(None)
        }
        Target::UnknownStepPart { step, part } => {
            reach(step, &span, known)?;
            let message = if part.is_empty() {
                format!("`steps.{step}` is a step and no value")
            } else {
                format!("a step has no `{part}`")
            };
            Err(fault(message).help(format!("write steps.{step}.outputs.NAME or steps.{step}.outcome")))
        }
        Target::UnknownRun(part) => {
            let near = known.nearest(part, ["id", "previous"]);
            Err(suggest(fault(format!("`run` has no `{part}`")), "run.", near, "known are run.id and run.previous"))
        }
        Target::Root(root) => Err(fault(format!("`{root}` is no value by itself")).help(format!("write {root}.NAME"))),
        Target::Unknown(root) => {
            let fault = fault(format!("`{root}` is not known here"));
            if let Some(input) = find_loose(root, known.inputs.keys().map(String::as_str)) {
                return Err(fault.help(format!("did you mean `inputs.{input}`?")));
            }
            if known.steps.is_some_and(|steps| steps.exists(root)) {
                return Err(fault.help(format!("did you mean `steps.{root}.outputs.…`?")));
            }
            let near = known.nearest(root, ["inputs", "env", "run", "steps"]);
            Err(suggest(
                fault,
                "",
                near,
                "values are inputs.NAME, env.NAME, run.id, steps.NAME.outputs.NAME; put text in quotes",
            ))
        }
    }
}

impl Known<'_> {
    fn nearest<'n>(&self, written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.suggest { diagnostic::nearest(written, names) } else { None }
    }
}

/// That a step exists, and has ended when this place is reached.
fn reach(step: &str, span: &Range<usize>, known: &Known<'_>) -> Result<(), Fault> {
    let Some(steps) = known.steps else {
        return Err(Fault::new(codes::UNKNOWN_VALUE, span.clone(), "steps cannot be read here")
            .help("`env:` is set before the first step; it may use inputs and run"));
    };
    if !steps.exists(step) {
        let fault = Fault::new(codes::UNKNOWN_VALUE, span.clone(), format!("there is no step `{step}`"));
        return Err(match known.nearest(step, steps.names()) {
            Some(near) => fault.help(format!("did you mean `steps.{near}`?")),
            None => fault,
        });
    }
    if steps.own() == Some(step) {
        return Err(Fault::new(codes::NOT_NEEDED, span.clone(), "a step cannot read what it has yet to give"));
    }
    if !steps.is_needed(step) {
        let message = format!("this step does not need `{step}`, which may not have run yet");
        return Err(
            Fault::new(codes::NOT_NEEDED, span.clone(), message).help(format!("add `{step}` to this step's `needs`"))
        );
    }
    Ok(())
}
