//! What the fuzz targets need of this crate and nobody else: functions that are private, in terms of public types.
//!
//! Only there with the feature `fuzzing`, and no part of what the crate promises.

use crate::{
    codes,
    expression::{self, Expr, ExprKind, Filter, Known},
    pieces::{cut, spans},
    plan::InputDecl,
    states,
};
use std::{collections::BTreeMap, ops::Range};

/// Reads a duration, in milliseconds.
///
/// # Errors
/// With what to write, where it is none.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    crate::text::duration_ms(text)
}

/// What is known of an expression before it runs.
#[derive(Debug)]
pub struct Checked {
    /// The places of all that is wrong with it, within its text.
    pub faults: Vec<Range<usize>>,
    /// The type of what it gives, in the words of [`type_name`], where that is known.
    pub kind: Option<&'static str>,
    /// Every part of it has a known type: it cannot fail for a type when it is evaluated.
    pub certain: bool,
}

/// Parses and checks an expression that reads these inputs and variables. `None` where it cannot be parsed.
pub fn check_expression(
    text: &str,
    inputs: &BTreeMap<String, InputDecl>,
    env: &BTreeMap<String, String>,
) -> Option<Checked> {
    let expr = expression::parse(text).ok()?;
    let known =
        Known { inputs, open_inputs: false, env: Some(env), steps: None, states: None, status: false, suggest: true };
    let mut faults = Vec::new();
    let kind = expression::check(&expr, &known, &mut faults).map(expression::Type::name);
    let mut certain = faults.is_empty();
    expr.walk(&mut |part: &Expr| {
        // What `default` gives depends on whether its value is there, which a type does not say.
        let open = matches!(part.kind, ExprKind::Path(_) | ExprKind::Filter(Filter::Default, ..));
        certain &= !open || expression::check(part, &known, &mut Vec::new()).is_some();
    });
    Some(Checked { faults: faults.into_iter().map(|fault| fault.span).collect(), kind, certain })
}

/// What a value is, in words.
pub fn type_name(value: &serde_json::Value) -> &'static str {
    expression::type_name(value)
}

/// Whether a code says that an expression cannot be read.
pub fn is_syntax(code: windlass_contract::Code) -> bool {
    code == codes::SYNTAX
}

/// Whether a code says that an expression met a value of the wrong type.
pub fn is_type(code: windlass_contract::Code) -> bool {
    code == codes::EXPRESSION_TYPE
}

/// A shell text whose templates were taken out.
#[derive(Debug)]
pub struct Hoisted {
    /// The text, with variables in their places.
    pub text: String,
    /// The places of the templates in the text as it was given, with their braces.
    pub templates: Vec<Range<usize>>,
    /// For each, the number of its variable.
    pub numbers: Vec<usize>,
}

/// Takes the templates out of a shell text. `None` where one cannot be read, or where it is not certain how a shell would read its
/// value.
pub fn hoist(text: &str) -> Option<Hoisted> {
    if !cut(text).1.is_empty() {
        return None;
    }
    let templates = spans(text);
    let (text, numbers) = states::hoist(text, &templates)?;
    Some(Hoisted { text, templates, numbers })
}
