//! The expression language of templates and conditions.
//!
//! One language for both. Values are JSON's; operators are typed: comparing text with a number is an error and never
//! quietly false. There are no loops, no assignments, no arithmetic and no side effects, and evaluation is paid for from
//! a [`Fuel`], so that an expression that a stranger wrote cannot hold the host.
//!
//! ```text
//! expr    = and ( ("or" | "||") and )*            and  = not ( ("and" | "&&") not )*
//! not     = ("not" | "!") not | compare           compare = pipe ( ("==" | "!=" | "<" | "<=" | ">" | ">=") pipe )?
//! pipe    = primary ( "|" filter ( "(" expr,* ")" )? )*
//! primary = 'text' | "text" | number | true | false | null | function "(" expr,* ")" | path | "(" expr ")"
//! path    = "."? name ( "." segment | "[" ('text' | number) "]" )*      segment may begin with a digit and hold hyphens
//! ```
//!
//! A parser of our own and not minijinja's: its `==` between types is quietly false with no way to hook in, its paths
//! take `a-b` as a subtraction, its syntax tree (which lint needs for columns) is not public, and the dialects' leading
//! dots would have to be rewritten in text first, after which no column is right any more.

mod check;
mod eval;
mod parse;

pub(crate) use check::{Known, States, Steps, Type, boolean, check};
pub(crate) use eval::{Evaluator, Fuel, size, to_text};
pub(crate) use parse::parse;

use serde_json::Value;
use std::ops::Range;
use windlass_contract::Code;

/// The longest expression: 4 KiB. Longer ones belong into a step.
pub const MAX_EXPRESSION_BYTES: usize = 4096;
/// How deep an expression may nest: 32; the parser and the evaluator recurse.
pub const MAX_EXPRESSION_DEPTH: usize = 32;

/// What is wrong with an expression, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// It is told of and does not stop the run: what stands there has a meaning, and probably not the one that was meant.
    pub(crate) warning: bool,
}

impl Fault {
    pub(crate) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Fault { code, span, message: message.into(), help: None, warning: false }
    }
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    pub(crate) fn warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

/// An expression and where it stands in its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExprKind {
    Literal(Value),
    Path(Path),
    Call(Function, Vec<Expr>),
    Filter(Filter, Box<Expr>, Vec<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
}

/// A path as written; what it means is decided by [`Path::target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// It began with a dot, as Go's templates write it.
    pub(crate) dotted: bool,
    /// Its segments, at least one.
    pub(crate) segments: Vec<String>,
}

/// What a path reads, once its aliases are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `inputs.NAME…`; `loose` finds the name in any case (`{{.Version}}`).
    Input { name: &'a str, loose: bool, rest: &'a [String] },
    /// `env.NAME`.
    Env { name: &'a str, rest: &'a [String] },
    /// `run.id`.
    RunId,
    /// `run.previous`.
    RunPrevious,
    /// `steps.NAME.outcome`.
    Outcome { step: &'a str },
    /// `steps.NAME.outputs…`.
    Outputs { step: &'a str, rest: &'a [String] },
    /// `blackboard.NAME…`: what was put there, else what a state has given, else an input.
    Blackboard { name: &'a str, rest: &'a [String] },
    /// `state.feedback`.
    Feedback,
    /// `NAME…`, where `NAME` is no root: what a state has given, else what a step has, else as `blackboard.NAME…`.
    Named { name: &'a str, rest: &'a [String] },
    /// A root alone, such as `inputs`: always incomplete.
    Root(&'a str),
    /// `state.x`.
    UnknownState(&'a str),
    /// `run.x`.
    UnknownRun(&'a str),
    /// `steps.NAME.x`.
    UnknownStepPart { step: &'a str, part: &'a str },
}

/// The names that begin a path and are no state's: a state of such a name could not be read.
pub(crate) const ROOTS: &[&str] = &["inputs", "input", "workflow", "env", "run", "steps", "blackboard", "state"];
/// The words that are no names in an expression.
pub(crate) const WORDS: &[&str] = &["true", "false", "null", "and", "or", "not", "in"];

impl Path {
    /// Resolves the aliases of the dialects: `.Version`, `.Env.X`, `.PreviousExecutionID`, `workflow.x`, `input.x`,
    /// `.steps.build.output.x`, `BUILD.output.x`.
    pub(crate) fn target(&self) -> Target<'_> {
        let segments = self.segments.as_slice();
        let Some((root, rest)) = segments.split_first() else { return Target::Root("") };
        match (root.as_str(), rest) {
            ("inputs" | "input" | "workflow", [name, rest @ ..]) => Target::Input { name, loose: false, rest },
            ("env", [name, rest @ ..]) => Target::Env { name, rest },
            ("Env", [name, rest @ ..]) if self.dotted => Target::Env { name, rest },
            ("PreviousExecutionID", []) if self.dotted => Target::RunPrevious,
            ("run", [part]) if part == "id" => Target::RunId,
            ("run", [part]) if part == "previous" => Target::RunPrevious,
            ("run", [part, ..]) => Target::UnknownRun(part),
            ("steps", [step, part]) if part == "outcome" => Target::Outcome { step },
            ("steps", [step, part, rest @ ..]) if part == "outputs" || part == "output" => {
                Target::Outputs { step, rest }
            }
            ("steps", [step, part, ..]) => Target::UnknownStepPart { step, part },
            ("steps", [step]) => Target::UnknownStepPart { step, part: "" },
            ("blackboard", [name, rest @ ..]) => Target::Blackboard { name, rest },
            ("state", [part]) if part == "feedback" => Target::Feedback,
            ("state", [part, ..]) => Target::UnknownState(part),
            (root, []) if ROOTS.contains(&root) => Target::Root(root),
            (name, rest) if self.dotted => Target::Input { name, loose: true, rest },
            (name, rest) => Target::Named { name, rest },
        }
    }

    /// As it was written, for messages.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", if self.dotted { "." } else { "" }, self.segments.join("."))
    }
}

/// The name among `names` that `name` means: exactly, or in any case where that is only one.
pub(crate) fn find_loose<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    if let Some(exact) = names.clone().find(|known| *known == name) {
        return Some(exact);
    }
    let mut same = names.filter(|known| known.eq_ignore_ascii_case(name));
    let found = same.next()?;
    same.next().is_none().then_some(found)
}

macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident = $name:literal $arity:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $enum { $($variant),* }
        impl $enum {
            pub(crate) const NAMES: &[&str] = &[$($name),*];
            pub(crate) fn find(name: &str) -> Option<Self> {
                match name { $($name => Some($enum::$variant),)* _ => None }
            }
            pub(crate) fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),* }
            }
            /// How many arguments it takes.
            pub(crate) fn arity(self) -> Range<usize> {
                match self { $($enum::$variant => $arity),* }
            }
        }
    };
}

names! {
    /// A filter, applied with `|`. The arity does not count the value on its left.
    Filter {
        Json = "json" 0..1, Lower = "lower" 0..1, Upper = "upper" 0..1, Trim = "trim" 0..1, Default = "default" 1..2,
        Length = "length" 0..1, FirstLine = "first_line" 0..1, Keys = "keys" 0..1, Join = "join" 0..2, Split = "split" 1..2,
    }
}

names! {
    /// A function. The last four tell how the run stands, and are known in conditions only.
    Function {
        StartsWith = "startsWith" 2..3, EndsWith = "endsWith" 2..3, Contains = "contains" 2..3,
        Success = "success" 0..1, Failure = "failure" 0..1, Always = "always" 0..1, Cancelled = "cancelled" 0..1,
    }
}

impl Function {
    pub(crate) fn is_status(self) -> bool {
        matches!(self, Function::Success | Function::Failure | Function::Always | Function::Cancelled)
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [(Comparison, &str); 6] = [
        (Comparison::Equal, "=="),
        (Comparison::NotEqual, "!="),
        (Comparison::Less, "<"),
        (Comparison::LessOrEqual, "<="),
        (Comparison::Greater, ">"),
        (Comparison::GreaterOrEqual, ">="),
    ];

    pub(crate) fn find(symbol: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == symbol).map(|(comparison, _)| *comparison)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(comparison, _)| *comparison == self).map_or("", |(_, name)| name)
    }
}

impl Expr {
    /// Calls `visit` with this expression and all within it.
    pub(crate) fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e Expr)) {
        visit(self);
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Path(_) => {}
            ExprKind::Call(_, arguments) => arguments.iter().for_each(|argument| argument.walk(visit)),
            ExprKind::Filter(_, value, arguments) => {
                value.walk(visit);
                arguments.iter().for_each(|argument| argument.walk(visit));
            }
            ExprKind::Not(inner) => inner.walk(visit),
            ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Compare(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
        }
    }

    /// Whether a function that tells how the run stands is called in it.
    pub(crate) fn mentions_status(&self) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= matches!(&expr.kind, ExprKind::Call(function, _) if function.is_status()));
        found
    }
}

/// What a value is, in words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
