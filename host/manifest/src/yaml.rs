//! YAML into a tree that knows where each of its parts was written.
//!
//! Stricter than YAML: one document of at most [`MAX_FILE_BYTES`]; keys are text and stand once; no tags, which would
//! be dropped silently; no merge keys; and no number that YAML 1.1 and 1.2 read differently. Plain scalars follow the
//! 1.2 core schema, so `no` is text and not `false`.
//!
//! Built on the event parser under serde-saphyr: its `Spanned<T>` gives a place only for what was deserialised into a
//! struct of ours, and a plugin's configuration has no struct here.

use crate::{codes, diagnostic::Report};
use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle};
use std::{collections::HashMap, ops::Range};

/// The largest file: 1 MiB. Larger ones are generated, and should be split or looped instead.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// How deep collections may nest: 64, which no hand-written pipeline reaches, and which recursion over the tree can bear.
pub const MAX_DEPTH: usize = 64;
/// How many nodes aliases may add to those that were written: 100,000. Stops "billion laughs".
pub const MAX_ALIAS_NODES: usize = 100_000;
/// How many bytes of text aliases may add: 4 MiB, four times the largest file.
pub const MAX_ALIAS_BYTES: usize = 4 * 1024 * 1024;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// What it is, in words.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::String(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// The entry called `key`, of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The node at a JSON pointer, or the nearest one above it that was written.
    pub(crate) fn at_pointer(&self, pointer: &str) -> &Node {
        let mut node = self;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                Kind::List(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
                Kind::Map(_) => node.get(&segment).map(|entry| &entry.value),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }
}

/// Appends `segment` to a JSON pointer.
pub(crate) fn join_pointer(pointer: &str, segment: &str) -> String {
    format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
}

/// Reads a file. `None` when there is nothing to go on with; what is wrong stands in `report`.
pub(crate) fn parse(text: &str, report: &mut Report<'_>) -> Option<Node> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_FILE_BYTES} are read", text.len());
        report.error(codes::TOO_LARGE, 0..0, message, Some("split the pipeline into several files".to_owned()));
        return None;
    }
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder {
        text,
        report,
        stack: Vec::new(),
        anchors: HashMap::new(),
        alias_nodes: 0,
        alias_bytes: 0,
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or(0..0);
                let tag = span.tag_span().and_then(|span| span.byte_range());
                if builder.event(event, range, tag).is_err() {
                    return None;
                }
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                builder.report.error(
                    codes::YAML_SYNTAX,
                    char_at(text, at),
                    format!("this is not YAML: {}", error.info()),
                    None,
                );
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() && !builder.report.has_errors() {
        let help = "a pipeline begins with `name:` and `steps:`".to_owned();
        builder.report.error(codes::NOT_ONE_DOCUMENT, 0..0, "the file holds no pipeline", Some(help));
    }
    root
}

/// The span of the character at `at`, or of the end.
fn char_at(text: &str, at: usize) -> Range<usize> {
    let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    at..at + text[at..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8)
}

/// The tree so far. `Err(())` stops the reading: what follows cannot be told from what was meant.
struct Builder<'a, 'r, 't> {
    text: &'a str,
    report: &'r mut Report<'t>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    alias_nodes: usize,
    alias_bytes: usize,
    root: Option<Node>,
    documents: usize,
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// A mapping's key that waits for its value, and whether the pair is to be kept.
    key: Option<(String, Range<usize>, bool)>,
    /// A mapping's keys and where they stand.
    seen: HashMap<String, usize>,
    nodes: usize,
    bytes: usize,
}

impl Builder<'_, '_, '_> {
    fn event(&mut self, event: Event<'_>, span: Range<usize>, tag: Option<Range<usize>>) -> Result<(), ()> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = "put each pipeline into a file of its own".to_owned();
                    self.report.error(codes::NOT_ONE_DOCUMENT, span, "a second document begins here", Some(help));
                    return Err(());
                }
            }
            Event::Alias(id) => {
                let Some((node, nodes, bytes)) = self.anchors.get(&id) else {
                    self.report.error(codes::YAML_SYNTAX, span, "an alias stands within what it names", None);
                    return Err(());
                };
                let (nodes, bytes) = (*nodes, *bytes);
                self.alias_nodes += nodes;
                self.alias_bytes += bytes;
                if self.alias_nodes > MAX_ALIAS_NODES || self.alias_bytes > MAX_ALIAS_BYTES {
                    let message = format!(
                        "the aliases up to here stand for more than {MAX_ALIAS_NODES} values or {MAX_ALIAS_BYTES} bytes"
                    );
                    self.report.error(codes::TOO_LARGE, span, message, None);
                    return Err(());
                }
                let node = Node { kind: node.kind.clone(), span };
                self.add(node, 0, nodes, bytes, true)?;
            }
            Event::Scalar(text, style, anchor, tagged) => {
                if tagged.is_some() {
                    self.refuse_tag(tag.unwrap_or_else(|| span.clone()));
                }
                let bytes = text.len();
                let is_key =
                    matches!(self.stack.last(), Some(Open { node: Node { kind: Kind::Map(_), .. }, key: None, .. }));
                let kind = if style == ScalarStyle::Plain && !is_key {
                    self.plain(&text, &span)
                } else {
                    Kind::String(text.into_owned())
                };
                self.add(Node { kind, span }, anchor, 1, bytes, false)?;
            }
            Event::SequenceStart(_, anchor, tagged) => {
                let tag = tagged.map(|_| tag.unwrap_or_else(|| span.clone()));
                self.open(Kind::List(Vec::new()), span, anchor, tag)?;
            }
            Event::MappingStart(_, anchor, tagged) => {
                let tag = tagged.map(|_| tag.unwrap_or_else(|| span.clone()));
                self.open(Kind::Map(Vec::new()), span, anchor, tag)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.stack.pop() {
                    open.node.span = trimmed(self.text, open.node.span.start..span.end);
                    self.add(open.node, open.anchor, open.nodes, open.bytes, false)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, span: Range<usize>) {
        let help = "leave the tag out; put text that looks like a number or boolean in quotes".to_owned();
        self.report.error(codes::TAG, span, "tags are not read here", Some(help));
    }

    fn open(&mut self, kind: Kind, span: Range<usize>, anchor: usize, tag: Option<Range<usize>>) -> Result<(), ()> {
        if let Some(tag) = tag {
            self.refuse_tag(tag);
        }
        if matches!(self.stack.last(), Some(Open { node: Node { kind: Kind::Map(_), .. }, key: None, .. })) {
            self.report.error(codes::KEY, span, "a list or mapping stands where a key must be text", None);
            return Err(());
        }
        if self.stack.len() >= MAX_DEPTH {
            self.report.error(codes::TOO_LARGE, span, format!("more than {MAX_DEPTH} levels deep"), None);
            return Err(());
        }
        let node = Node { kind, span };
        self.stack.push(Open { node, anchor, key: None, seen: HashMap::new(), nodes: 1, bytes: 0 });
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize, nodes: usize, bytes: usize, is_alias: bool) -> Result<(), ()> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes, bytes));
        }
        let depth = self.stack.len();
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        if is_alias && depth + height(&node) > MAX_DEPTH {
            self.report.error(codes::TOO_LARGE, node.span, format!("more than {MAX_DEPTH} levels deep"), None);
            return Err(());
        }
        open.nodes += nodes;
        open.bytes += bytes;
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                Some((key, key_span, keep)) => {
                    if keep {
                        entries.push(Entry { key, key_span, value: node });
                    }
                }
                None => match node.kind {
                    Kind::String(key) if !is_alias => {
                        let keep = if key == "<<" {
                            let help = "write the keys out, or name the whole value with an alias".to_owned();
                            self.report.error(
                                codes::KEY,
                                node.span.clone(),
                                "merge keys are not read here",
                                Some(help),
                            );
                            false
                        } else if let Some(first) = open.seen.get(&key) {
                            let message =
                                format!("`{key}` stands here twice; first on line {}", self.report.line_of(*first));
                            let help = Some("keep one of the two".to_owned());
                            self.report.error(codes::DUPLICATE_KEY, node.span.clone(), message, help);
                            false
                        } else {
                            open.seen.insert(key.clone(), node.span.start);
                            true
                        };
                        open.key = Some((key, node.span, keep));
                    }
                    _ => {
                        self.report.error(codes::KEY, node.span, "an alias cannot be a key", None);
                        return Err(());
                    }
                },
            },
            _ => {}
        }
        Ok(())
    }

    /// A plain scalar by the YAML 1.2 core schema.
    fn plain(&mut self, text: &str, span: &Range<usize>) -> Kind {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
            "true" | "True" | "TRUE" => return Kind::Bool(true),
            "false" | "False" | "FALSE" => return Kind::Bool(false),
            _ => {}
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let quoted = || Some(format!("put it in quotes if it is text: \"{text}\""));
        if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
            if unsigned.len() > 1 && unsigned.starts_with('0') {
                let message = format!("`{text}` is eight-based to some YAML readers and ten-based to others");
                self.report.error(codes::AMBIGUOUS_NUMBER, span.clone(), message, quoted());
                return Kind::String(text.to_owned());
            }
            let digits = text.strip_prefix('+').unwrap_or(text);
            return match digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from)) {
                Ok(number) => Kind::Number(number),
                Err(_) => {
                    let message = format!("`{text}` is too large for a number");
                    self.report.error(codes::AMBIGUOUS_NUMBER, span.clone(), message, quoted());
                    Kind::Number(0.into())
                }
            };
        }
        let based =
            |prefix, radix| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
        if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)) {
            return Kind::Number(number.into());
        }
        if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
            let message = format!("`{text}` is no number that can be passed on");
            self.report.error(codes::AMBIGUOUS_NUMBER, span.clone(), message, quoted());
            return Kind::Number(0.into());
        }
        if is_float(unsigned)
            && let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64)
        {
            return Kind::Number(number);
        }
        Kind::String(text.to_owned())
    }
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, without the sign.
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let sound = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    sound && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// How many levels of collections a node holds.
fn height(node: &Node) -> usize {
    match &node.kind {
        Kind::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| height(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// A block collection ends where the next thing begins; its span should end with its last character.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let inner = text.get(span.clone()).unwrap_or_default();
    span.start..span.start + inner.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a file holds, and the codes of what is wrong with it.
    fn read(text: &str) -> (Value, Vec<String>) {
        let mut report = Report::new(text);
        let value = parse(text, &mut report).map_or(Value::Null, |node| node.to_json());
        (value, report.finish().iter().map(|diagnostic| diagnostic.code.to_string()).collect())
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let check = |text: &str, expect: Value| assert_eq!(read(text), (json!([expect]), vec![]), "{text}");
        check("- no", json!("no"));
        check("- on", json!("on"));
        check("- true", json!(true));
        check("- False", json!(false));
        check("- 'true'", json!("true"));
        check("- ~", Value::Null);
        check("-", Value::Null);
        check("- 12", json!(12));
        check("- -0", json!(0));
        check("- +7", json!(7));
        check("- 0x1F", json!(31));
        check("- 0o17", json!(15));
        check("- 18446744073709551615", json!(u64::MAX));
        check("- 1.5", json!(1.5));
        check("- .5e3", json!(500.0));
        check("- 1.2.3", json!("1.2.3"));
        check("- 1_000", json!("1_000"));
        check("- 22:22", json!("22:22"));
        check("- 2026-01-01", json!("2026-01-01"));
        check("- .", json!("."));
        check("- |\n  a\n  b\n", json!("a\nb\n"));
        check("- \"\\u00e9\"", json!("é"));
        check("- {1: a, true: b, ~: c}", json!({ "1": "a", "true": "b", "~": "c" }));
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        assert_eq!(
            read("a: &x {k: [1]}\nb: *x\nc: &x 2\nd: *x"),
            (json!({ "a": {"k": [1]}, "b": {"k": [1]}, "c": 2, "d": 2 }), vec![])
        );
        assert_eq!(read("a: *x").1, ["WL0001"]);
        assert_eq!(read("? *x\n: 1").1, ["WL0001"]);
        assert_eq!(read("a: &x b\n*x : c").1, ["WL0006"]);
    }

    #[test]
    fn every_node_knows_where_it_was_written() {
        let text = "a: 'x'\nlist:\n  - ä: {k: v}\n  - |\n    text\nlast: 1\n";
        let mut report = Report::new(text);
        let root = parse(text, &mut report).expect("a tree");
        let check = |pointer: &str, expect: &str| {
            assert_eq!(text[root.at_pointer(pointer).span.clone()].trim(), expect, "{pointer}");
        };
        check("/a", "'x'");
        check("/list/0/ä", "{k: v}");
        check("/list/0/ä/k", "v");
        check("/list/0", "ä: {k: v}");
        check("/last", "1");
        check("/list/7", "- ä: {k: v}\n  - |\n    text");
    }
}
