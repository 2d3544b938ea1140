//! A text as a template: cut into plain text and expressions, with everything that is wrong with it.
//!
//! Not here: what the expressions give (`template`, while a run goes on), and what they may read (`text`, before it).

use crate::{
    codes,
    expression::{Expr, ExprKind, Fault, parse},
};
use std::ops::Range;

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

/// Where the templates of a text stand, with their braces. For a text that [`cut`] finds nothing wrong with.
pub(crate) fn spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|found| at + found) {
        let Some(close) = expression_end(text, open + 2) else { break };
        spans.push(open..close + 2);
        at = close + 2;
    }
    spans
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
