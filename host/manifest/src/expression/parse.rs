//! Text to [`Expr`].

use super::{Comparison, Expr, ExprKind, Fault, Filter, Function, MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH, Path};
use crate::{codes, diagnostic::nearest};
use serde_json::{Number, Value};
use std::ops::Range;

/// Parses a whole expression. Spans count from the beginning of `text`.
pub(crate) fn parse(text: &str) -> Result<Expr, Fault> {
    if text.len() > MAX_EXPRESSION_BYTES {
        let message = format!("the expression has {} bytes; at most {MAX_EXPRESSION_BYTES} are read", text.len());
        return Err(Fault::new(codes::TOO_COSTLY, 0..text.len(), message));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    if parser.tokens.is_empty() {
        return Err(Fault::new(codes::SYNTAX, 0..text.len(), "the expression is empty"));
    }
    let expr = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some((Token::Symbol("="), span)) => {
            Err(Fault::new(codes::SYNTAX, span.clone(), "`=` is no operator").help("write == to compare"))
        }
        Some((Token::Name(word), span)) if word == "in" => {
            Err(Fault::new(codes::SYNTAX, span.clone(), "`in` is no operator").help("write contains(list, value)"))
        }
        Some((_, span)) => {
            let message = format!("`{}` is not expected here", &text[span.clone()]);
            Err(Fault::new(codes::SYNTAX, span.clone(), message))
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Symbol(&'static str),
    Name(String),
    Path(Path),
    Text(String),
    Number(Number),
}

/// Longest first.
const SYMBOLS: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", ",", "|", "="];

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        let token = if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if byte == b'\'' || byte == b'"' {
            Token::Text(quoted(text, &mut at)?)
        } else if byte.is_ascii_digit() || (byte == b'-' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)) {
            at += 1;
            while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.') {
                at += 1;
            }
            let number = serde_json::from_str(&text[start..at]).map_err(|_| {
                Fault::new(codes::SYNTAX, start..at, format!("`{}` is no number", &text[start..at]))
                    .help("put text in quotes")
            })?;
            Token::Number(number)
        } else if is_name_start(byte) || (byte == b'.' && bytes.get(at + 1).is_some_and(|b| is_name_start(*b))) {
            path(text, &mut at)?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| text[at..].starts_with(**symbol)) {
            at += symbol.len();
            Token::Symbol(symbol)
        } else {
            let c = text[at..].chars().next().unwrap_or_default();
            let fault =
                Fault::new(codes::SYNTAX, at..at + c.len_utf8(), format!("`{c}` has no meaning in an expression"));
            return Err(match c {
                '+' | '-' | '*' | '/' | '%' | '~' => fault.help("there is no arithmetic here; compute it in a step"),
                '{' | '}' => fault.help("write the expression without braces; nothing gets escaped, so two suffice"),
                '$' => fault.help("write names without `$`"),
                _ => fault,
            });
        };
        tokens.push((token, start..at));
    }
    Ok(tokens)
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// `'…'` or `"…"`, with `\\`, `\'`, `\"`, `\n`, `\t`.
fn quoted(text: &str, at: &mut usize) -> Result<String, Fault> {
    let start = *at;
    let mut chars = text[start..].char_indices();
    let quote = chars.next().map(|(_, c)| c);
    let mut out = String::new();
    while let Some((offset, c)) = chars.next() {
        if Some(c) == quote {
            *at = start + offset + 1;
            return Ok(out);
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some((_, 'n')) => out.push('\n'),
            Some((_, 't')) => out.push('\t'),
            Some((_, c @ ('\\' | '\'' | '"'))) => out.push(c),
            Some((end, c)) => {
                let span = start + offset..start + end + c.len_utf8();
                return Err(
                    Fault::new(codes::SYNTAX, span, format!("`\\{c}` is no escape")).help("write \\\\ for a backslash")
                );
            }
            None => break,
        }
    }
    Err(Fault::new(codes::SYNTAX, start..text.len(), "the text is not closed"))
}

/// A name alone, or a path.
fn path(text: &str, at: &mut usize) -> Result<Token, Fault> {
    let bytes = text.as_bytes();
    let dotted = bytes[*at] == b'.';
    *at += usize::from(dotted);
    let mut segments = Vec::new();
    let mut brackets = false;
    loop {
        let start = *at;
        while bytes.get(*at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || (*b == b'-' && *at > start)) {
            *at += 1;
        }
        if *at == start {
            let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
            return Err(Fault::new(codes::SYNTAX, start..end, "a name is missing after the dot"));
        }
        segments.push(text[start..*at].to_owned());
        while bytes.get(*at) == Some(&b'[') {
            brackets = true;
            let open = *at;
            *at += 1;
            match bytes.get(*at) {
                Some(b'\'' | b'"') => segments.push(quoted(text, at)?),
                Some(b) if b.is_ascii_digit() => {
                    let start = *at;
                    while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                        *at += 1;
                    }
                    segments.push(text[start..*at].to_owned());
                }
                _ => {}
            }
            if bytes.get(*at) != Some(&b']') || *at == open + 1 {
                return Err(Fault::new(codes::SYNTAX, open..(*at).max(open + 1), "write ['name'] or [0]"));
            }
            *at += 1;
        }
        if bytes.get(*at) != Some(&b'.') {
            break;
        }
        *at += 1;
    }
    match segments.as_slice() {
        [name] if !dotted && !brackets => Ok(Token::Name(name.clone())),
        _ => Ok(Token::Path(Path { dotted, segments })),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Symbol(s), _)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Name(name), _)) if name == word);
        self.at += usize::from(found);
        found
    }

    fn here(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.text.len()..self.text.len(), |(_, span)| span.clone())
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_EXPRESSION_DEPTH {
            let message = format!("the expression nests deeper than {MAX_EXPRESSION_DEPTH} levels");
            return Err(Fault::new(codes::TOO_COSTLY, self.here(), message));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expr, Fault> {
        let mut left = self.and()?;
        let mut links = 0;
        while self.symbol("||") || self.word("or") {
            self.chain(&mut links)?;
            let right = self.and()?;
            left = joined(left, right, ExprKind::Or);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Fault> {
        let mut left = self.not()?;
        let mut links = 0;
        while self.symbol("&&") || self.word("and") {
            self.chain(&mut links)?;
            let right = self.not()?;
            left = joined(left, right, ExprKind::And);
        }
        Ok(left)
    }

    /// A chain of operators is a tree as deep as the chain is long, and the evaluator recurses over it.
    fn chain(&self, links: &mut usize) -> Result<(), Fault> {
        const MAX_LINKS: usize = 128;
        *links += 1;
        if *links > MAX_LINKS {
            let message = format!("more than {MAX_LINKS} operators or filters in a row");
            return Err(Fault::new(codes::TOO_COSTLY, self.here(), message));
        }
        Ok(())
    }

    fn not(&mut self) -> Result<Expr, Fault> {
        let start = self.here().start;
        if self.symbol("!") || self.word("not") {
            let inner = self.deeper(Self::not)?;
            let span = start..inner.span.end;
            return Ok(Expr { kind: ExprKind::Not(Box::new(inner)), span });
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr, Fault> {
        let left = self.pipe()?;
        let Some((Token::Symbol(symbol), _)) = self.tokens.get(self.at) else { return Ok(left) };
        let Some(comparison) = Comparison::find(symbol) else { return Ok(left) };
        self.at += 1;
        let right = self.pipe()?;
        if let Some((Token::Symbol(symbol), span)) = self.tokens.get(self.at)
            && Comparison::find(symbol).is_some()
        {
            return Err(
                Fault::new(codes::SYNTAX, span.clone(), "comparisons cannot be chained").help("join them with `and`")
            );
        }
        Ok(joined(left, right, |a, b| ExprKind::Compare(comparison, a, b)))
    }

    fn pipe(&mut self) -> Result<Expr, Fault> {
        let mut value = self.primary()?;
        let mut links = 0;
        while self.symbol("|") {
            self.chain(&mut links)?;
            let span = self.here();
            let Some((Token::Name(name), _)) = self.tokens.get(self.at).cloned() else {
                return Err(Fault::new(codes::SYNTAX, span, "a filter's name is missing after `|`"));
            };
            self.at += 1;
            let Some(filter) = Filter::find(&name) else {
                return Err(unknown("filter", &name, span, Filter::NAMES));
            };
            let arguments = if self.symbol("(") { self.arguments()? } else { Vec::new() };
            let end = self.tokens[self.at - 1].1.end;
            arity(filter.name(), filter.arity(), arguments.len(), span.start..end)?;
            let span = value.span.start..end;
            value = Expr { kind: ExprKind::Filter(filter, Box::new(value), arguments), span };
        }
        Ok(value)
    }

    /// After `(`, up to and with `)`.
    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut arguments = Vec::new();
        if self.symbol(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.deeper(Self::or)?);
            if self.symbol(")") {
                return Ok(arguments);
            }
            if !self.symbol(",") {
                return Err(Fault::new(codes::SYNTAX, self.here(), "`,` or `)` is missing here"));
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let span = self.here();
        let Some((token, _)) = self.tokens.get(self.at).cloned() else {
            return Err(Fault::new(codes::SYNTAX, span, "the expression ends where a value is expected"));
        };
        self.at += 1;
        let kind = match token {
            Token::Text(text) => ExprKind::Literal(Value::String(text)),
            Token::Number(number) => ExprKind::Literal(Value::Number(number)),
            Token::Path(path) => ExprKind::Path(path),
            Token::Symbol("(") => {
                let inner = self.deeper(Self::or)?;
                if !self.symbol(")") {
                    return Err(Fault::new(codes::SYNTAX, self.here(), "`)` is missing here"));
                }
                return Ok(Expr { kind: inner.kind, span: span.start..self.tokens[self.at - 1].1.end });
            }
            Token::Symbol(symbol) => {
                return Err(Fault::new(codes::SYNTAX, span, format!("`{symbol}` stands where a value is expected")));
            }
            Token::Name(name) => match name.as_str() {
                "true" => ExprKind::Literal(Value::Bool(true)),
                "false" => ExprKind::Literal(Value::Bool(false)),
                "null" => ExprKind::Literal(Value::Null),
                "and" | "or" | "not" => {
                    return Err(Fault::new(codes::SYNTAX, span, format!("`{name}` stands where a value is expected")));
                }
                _ if self.symbol("(") => {
                    let Some(function) = Function::find(&name) else {
                        return Err(unknown("function", &name, span, Function::NAMES));
                    };
                    let arguments = self.arguments()?;
                    let span = span.start..self.tokens[self.at - 1].1.end;
                    arity(function.name(), function.arity(), arguments.len(), span.clone())?;
                    return Ok(Expr { kind: ExprKind::Call(function, arguments), span });
                }
                _ => ExprKind::Path(Path { dotted: false, segments: vec![name] }),
            },
        };
        Ok(Expr { kind, span })
    }
}

fn joined(left: Expr, right: Expr, kind: impl FnOnce(Box<Expr>, Box<Expr>) -> ExprKind) -> Expr {
    let span = left.span.start..right.span.end;
    Expr { kind: kind(Box::new(left), Box::new(right)), span }
}

fn unknown(what: &str, name: &str, span: Range<usize>, known: &[&str]) -> Fault {
    let fault = Fault::new(codes::SYNTAX, span, format!("there is no {what} `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help(format!("known are {}", known.join(", "))),
    }
}

fn arity(name: &str, wanted: Range<usize>, given: usize, span: Range<usize>) -> Result<(), Fault> {
    if wanted.contains(&given) {
        return Ok(());
    }
    let count = match (wanted.start, wanted.end - 1) {
        (0, 0) => "no argument".to_owned(),
        (least, most) if least == most => format!("{most} argument{}", if most == 1 { "" } else { "s" }),
        (least, most) => format!("{least} to {most} arguments"),
    };
    Err(Fault::new(codes::SYNTAX, span, format!("`{name}` takes {count}, and {given} are given")))
}
