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
    /// Whether there may be inputs that are not declared.
    pub(crate) open_inputs: bool,
    /// The pipeline's `env`. `None` where it cannot be read: in `env` itself.
    pub(crate) env: Option<&'k BTreeMap<String, String>>,
    /// The steps. `None` where they cannot be read.
    pub(crate) steps: Option<&'k dyn Steps>,
    /// The states of a workflow. `None` in a pipeline of steps, which has none that could be read.
    pub(crate) states: Option<&'k dyn States>,
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

/// The states that can be read from one place of a workflow.
pub(crate) trait States {
    /// Every state's name.
    fn names(&self) -> Vec<&str>;
    /// Whether there is a state of that name.
    fn exists(&self, name: &str) -> bool;
    /// Whether it can have ended when this place is reached.
    fn may_have_ended(&self, name: &str) -> bool;
    /// The names that may follow the state's own, where their list is closed.
    fn results(&self, name: &str) -> Option<Vec<&str>>;
    /// Whether a transition into the state that reads gives it feedback.
    fn has_feedback(&self) -> bool;
    /// Whether something puts a value of that name on the blackboard.
    fn puts(&self, name: &str) -> bool;
    /// Whether a state that has ended had a step of that name, which can still be read as one.
    fn had_step(&self, _: &str) -> bool {
        false
    }
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
    pub(crate) fn name(self) -> &'static str {
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
            } else {
                let mut texts = arguments.iter().zip(types);
                let by = function.name();
                if *function == Function::Contains
                    && let Some((haystack, kind)) = texts.next()
                    && kind != Some(Type::Text)
                {
                    holds(kind, by, haystack.span.clone(), faults);
                    // A list may hold anything.
                    texts.next();
                }
                for (argument, kind) in texts {
                    want(Type::Text, kind, by, argument.span.clone(), faults);
                }
            }
            Some(Type::Boolean)
        }
        ExprKind::Filter(filter, value, arguments) => {
            let kind = check(value, known, faults);
            let argument = arguments.first().and_then(|argument| check(argument, known, faults));
            if let (Filter::Join | Filter::Split, Some(separator)) = (filter, arguments.first()) {
                want(Type::Text, argument, filter.name(), separator.span.clone(), faults);
                if *filter == Filter::Split && matches!(&separator.kind, ExprKind::Literal(by) if by == "") {
                    let message = "`split` wants a separator that is not empty";
                    faults.push(Fault::new(codes::EXPRESSION_TYPE, separator.span.clone(), message));
                }
            }
            match filter {
                Filter::Json => Some(Type::Text),
                Filter::Default => (kind == argument).then_some(kind).flatten(),
                Filter::Length => {
                    holds(kind, filter.name(), value.span.clone(), faults);
                    Some(Type::Number)
                }
                Filter::Keys => {
                    // No type that is known before the run is an object's.
                    if let Some(kind) = kind {
                        let message = format!("`keys` wants an object, and this is {}", kind.name());
                        faults.push(Fault::new(codes::EXPRESSION_TYPE, value.span.clone(), message));
                    }
                    Some(Type::List)
                }
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

/// That something has parts that can be counted or searched.
fn holds(given: Option<Type>, by: &str, span: Range<usize>, faults: &mut Vec<Fault>) {
    if let Some(given) = given
        && !matches!(given, Type::Text | Type::List)
    {
        let message = format!("`{by}` wants text, a list or an object, and this is {}", given.name());
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
                if known.open_inputs {
                    return Ok(None);
                }
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
        Target::Outputs { step, rest } => outputs(step, rest, &span, known),
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
        Target::Feedback => match known.states {
            None => Err(fault("`state.feedback` is known in workflows only".to_owned())
                .help("a step reads what another gave: steps.NAME.outputs.NAME")),
            Some(states) if !states.has_feedback() => {
                let message = "no transition into this state gives feedback, so this is always empty";
                Err(Fault::new(codes::NEVER_SET, span, message)
                    .help("add `feedback:` to a transition that leads here")
                    .warning())
            }
            Some(_) => Ok(Some(Type::Text)),
        },
        Target::UnknownState(part) => {
            let near = known.nearest(part, ["feedback"]);
            Err(suggest(fault(format!("`state` has no `{part}`")), "state.", near, "known is state.feedback"))
        }
        // What is put there is known only as the run goes on.
        Target::Blackboard { name, rest } => match known.states {
            Some(states) if states.exists(name) && !states.puts(name) => state(states, name, rest, &span, known),
            _ => Ok(None),
        },
        Target::Named { name, rest } => named(name, rest, &span, known),
        Target::Root(root) => Err(fault(format!("`{root}` is no value by itself")).help(format!("write {root}.NAME"))),
    }
}

/// What a step's outputs hold at a path.
fn outputs(step: &str, rest: &[String], span: &Range<usize>, known: &Known<'_>) -> Result<Option<Type>, Fault> {
    reach(step, span, known)?;
    if let (Some(first), Some(outputs)) = (rest.first(), known.steps.and_then(|steps| steps.outputs(step)))
        && !outputs.contains(&first.as_str())
    {
        let message = format!("the step `{step}` gives no output `{first}`");
        return Err(Fault::new(codes::UNKNOWN_VALUE, span.clone(), message).help(
            match known.nearest(first, outputs.iter().copied()) {
                Some(near) => format!("did you mean `steps.{step}.outputs.{near}`?"),
                None => format!("it gives {}", outputs.join(", ")),
            },
        ));
    }
    Ok(None)
}

/// What a state has given at a path.
fn state(
    states: &dyn States,
    name: &str,
    rest: &[String],
    span: &Range<usize>,
    known: &Known<'_>,
) -> Result<Option<Type>, Fault> {
    if !states.may_have_ended(name) {
        let message = format!("the state `{name}` cannot have run before this one, so this is always empty");
        return Err(Fault::new(codes::NEVER_SET, span.clone(), message)
            .help("read a state that leads here, by transitions")
            .warning());
    }
    let part = match rest {
        [alias, part, ..] if alias == "output" || alias == "outputs" => Some(part),
        [alias] if alias == "output" || alias == "outputs" => None,
        rest => rest.first(),
    };
    if let (Some(part), Some(results)) = (part, states.results(name))
        && !results.contains(&part.as_str())
    {
        let fault = Fault::new(codes::UNKNOWN_VALUE, span.clone(), format!("the state `{name}` gives no `{part}`"));
        return Err(fault.help(match known.nearest(part, results.iter().copied()) {
            Some(near) => format!("did you mean `{name}.output.{near}`?"),
            None => format!("it gives {}", results.join(", ")),
        }));
    }
    Ok(None)
}

/// What a name reads that is no root.
fn named(name: &str, rest: &[String], span: &Range<usize>, known: &Known<'_>) -> Result<Option<Type>, Fault> {
    if let Some(states) = known.states {
        if states.exists(name) {
            return state(states, name, rest, span, known);
        }
        // Only a state has these parts; anything else may be an input.
        let is_states = matches!(rest, [part, _, ..] if part == "output" || part == "consensus" || part == "agents");
        if states.puts(name) || !is_states {
            return Ok(None);
        }
        let fault = Fault::new(codes::UNKNOWN_VALUE, span.clone(), format!("there is no state `{name}`"));
        return Err(match known.nearest(name, states.names()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help("read a state of this workflow, or blackboard.NAME"),
        });
    }
    if let (Some(steps), [first, rest @ ..]) = (known.steps, rest)
        && steps.exists(name)
    {
        if first == "outcome" {
            reach(name, span, known)?;
            return Ok(Some(Type::Text));
        }
        let alias = first == "output" || first == "outputs";
        return outputs(name, if alias { rest } else { std::slice::from_ref(first) }, span, known);
    }
    if known.open_inputs {
        let message = format!("`{name}` is no step here, so it can only be an input");
        let fault = Fault::new(codes::UNKNOWN_VALUE, span.clone(), message).warning();
        return Err(match known.steps.and_then(|steps| known.nearest(name, steps.names())) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(format!("write inputs.{name} where an input is meant")),
        });
    }
    let fault = Fault::new(codes::UNKNOWN_VALUE, span.clone(), format!("`{name}` is not known here"));
    if let Some(input) = find_loose(name, known.inputs.keys().map(String::as_str)) {
        return Err(fault.help(format!("did you mean `inputs.{input}`?")));
    }
    if known.steps.is_some_and(|steps| steps.exists(name)) {
        return Err(fault.help(format!("did you mean `steps.{name}.outputs.…`?")));
    }
    Err(fault.help(match known.nearest(name, ["inputs", "env", "run", "steps", "blackboard"]) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "values are inputs.NAME, env.NAME, run.id, steps.NAME.outputs.NAME; put text in quotes".to_owned(),
    }))
}

impl Known<'_> {
    fn nearest<'n>(&self, written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.suggest { diagnostic::nearest(written, names) } else { None }
    }
}

/// That a step exists, and has ended when this place is reached.
fn reach(step: &str, span: &Range<usize>, known: &Known<'_>) -> Result<(), Fault> {
    if let Some(states) = known.states {
        if states.had_step(step) {
            return Ok(());
        }
        if known.steps.is_none() {
            return Err(Fault::new(codes::UNKNOWN_VALUE, span.clone(), "a workflow has no steps that could be read")
                .help("read a state: NAME.output.stdout"));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::parse;

    /// What is said of an expression that reads no values: its type, or the first thing that is wrong.
    fn said(text: &str) -> String {
        let (inputs, env) = (BTreeMap::new(), BTreeMap::new());
        let known = Known {
            inputs: &inputs,
            open_inputs: false,
            env: Some(&env),
            steps: None,
            states: None,
            status: false,
            suggest: false,
        };
        let mut faults = Vec::new();
        let kind = check(&parse(text).expect("an expression"), &known, &mut faults);
        match faults.first() {
            Some(fault) => format!("{} {}", &text[fault.span.clone()], fault.message),
            None => kind.map_or("unknown", Type::name).to_owned(),
        }
    }

    #[test]
    fn what_would_fail_in_a_run_is_told_before_it() {
        let check = |text: &str, expect: &str| assert_eq!(said(text), expect, "{text}");
        check("'a' | length", "a number");
        check("'a,b' | split(',') | length", "a number");
        check("1 | length", "1 `length` wants text, a list or an object, and this is a number");
        check("null | length", "null `length` wants text, a list or an object, and this is nothing");
        check("'a' | keys", "'a' `keys` wants an object, and this is text");
        check("'a' | split(1)", "1 `split` wants text, and this is a number");
        check("'a' | split('')", "'' `split` wants a separator that is not empty");
        check("'a' | split('a') | join(true)", "true `join` wants text, and this is a boolean");
        check("contains('a', 1)", "1 `contains` wants text, and this is a number");
        check("contains('a' | split('a'), 1)", "a boolean");
        check("contains(1, 'a')", "1 `contains` wants text, a list or an object, and this is a number");
        check("startsWith('a', null)", "null `startsWith` wants text, and this is nothing");
    }
}
