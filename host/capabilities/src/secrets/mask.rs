//! Keeping secret values out of everything that people read.
//!
//! A [`Masker`] knows the values of one run; each becomes a set of *needles*: the value itself and the forms in which
//! ordinary tools print it (lines, JSON leaves, base64 at three offsets, hex, URL, JSON and XML escapes). A
//! [`MaskStream`] replaces every needle by `***`, leftmost and longest first, also where a value is cut by chunk borders:
//! it holds back exactly the bytes that could still become a needle (a proper prefix of one), and nothing else, so a live
//! log does not stall.
//!
//! Masking is a safety net against accidents. It does not promise to stop a program that means to disguise a value.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::{Engine as _, engine::general_purpose};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::{
    collections::BTreeSet,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use windlass_contract::SecretValue;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// What stands in a needle's place.
pub const MASK: &[u8] = b"***";

/// Values and lines below this many bytes are not masked: they would blank out ordinary text. Whoever adds one is told.
pub const MIN_VALUE: usize = 4;

/// Leaves of a JSON value below this many bytes are not masked on their own (`"true"`, `"eu"` …).
const MIN_JSON_LEAF: usize = 6;

/// Base64 that was cut at both ends is masked from this many characters on: four would hit text by chance.
const MIN_ENCODED: usize = 5;

/// Above this many bytes of needles the automaton is an NFA: a DFA would take hundreds of MiB.
const DFA_NEEDLE_BYTES: usize = 96 << 10;

/// What `encodeURIComponent` leaves as it is, beside letters and digits.
const URL_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// One form of a value; wiped like the value itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, ZeroizeOnDrop)]
struct Needle(Vec<u8>);

impl Deref for Needle {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The needles of a run, compiled.
struct Table {
    search: AhoCorasick,
    /// Sorted, for "is this the beginning of a needle?".
    needles: Vec<Needle>,
    /// Which two bytes begin a needle: one bit for each pair. Almost every position of a log is ruled out by it.
    pairs: Box<[u64; 1024]>,
    /// Which single byte begins one.
    firsts: [bool; 256],
    longest: usize,
}

impl Table {
    fn build(needles: &BTreeSet<Needle>) -> Option<Table> {
        if needles.is_empty() {
            return None;
        }
        let bytes: usize = needles.iter().map(|needle| needle.len()).sum();
        let kind = if bytes <= DFA_NEEDLE_BYTES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(kind))
            .build(needles.iter().map(|needle| &**needle))
            .or_else(|_| {
                // Only the size of a DFA can be refused; the NFA of the same needles is a fraction of it.
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                    .build(needles.iter().map(|needle| &**needle))
            })
            .ok()?;
        let (mut pairs, mut firsts) = (Box::new([0u64; 1024]), [false; 256]);
        for needle in needles {
            let pair = usize::from(needle[0]) << 8 | usize::from(needle[1]);
            pairs[pair / 64] |= 1 << (pair % 64);
            firsts[usize::from(needle[0])] = true;
        }
        let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
        Some(Table { search, needles: needles.iter().cloned().collect(), pairs, firsts, longest })
    }

    /// Whether `text` is the beginning of a needle that is longer than it.
    fn is_proper_prefix(&self, text: &[u8]) -> bool {
        let after = self.needles.partition_point(|needle| &**needle <= text);
        self.needles.get(after).is_some_and(|needle| needle.starts_with(text))
    }

    /// Where the longest end of `text` begins, not before `from`, that could still become a needle; else `text.len()`.
    fn hold_from(&self, text: &[u8], from: usize) -> usize {
        let start = from.max(text.len().saturating_sub(self.longest - 1));
        for at in start..text.len() {
            let candidate = match text[at..] {
                [first, second, ..] => {
                    let pair = usize::from(first) << 8 | usize::from(second);
                    self.pairs[pair / 64] >> (pair % 64) & 1 == 1
                }
                [first] => self.firsts[usize::from(first)],
                [] => false,
            };
            if candidate && self.is_proper_prefix(&text[at..]) {
                return at;
            }
        }
        text.len()
    }

    /// Masks `text` into `out` and returns how many bytes of it are settled; with `last`, all are.
    fn mask(&self, text: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let hold = |from| if last { text.len() } else { self.hold_from(text, from) };
        let (mut settled, mut held) = (0, hold(0));
        for found in self.search.find_iter(text) {
            // A match that begins in the held part may still turn out to be a longer one.
            if found.start() >= held {
                break;
            }
            out.extend_from_slice(&text[settled..found.start()]);
            out.extend_from_slice(MASK);
            settled = found.end();
            if settled > held {
                held = hold(settled);
            }
        }
        out.extend_from_slice(&text[settled..held]);
        held
    }
}

#[derive(Default)]
struct Shared {
    needles: Mutex<BTreeSet<Needle>>,
    /// `None` inside when there is nothing to mask; the outer `None` says it has to be built again.
    table: RwLock<Option<Option<Arc<Table>>>>,
}

/// The secret values of a run. Clones share them; values may be added while streams are running.
#[derive(Clone, Default)]
pub struct Masker(Arc<Shared>);

impl Masker {
    /// A masker that knows no value yet.
    pub fn new() -> Self {
        Masker::default()
    }

    /// Masks `value` from now on, in every stream of this masker. False when it is shorter than [`MIN_VALUE`] and so
    /// cannot be masked: whoever holds a log should say so there.
    pub fn add(&self, value: &SecretValue) -> bool {
        let found = needles_of(value.expose());
        if found.is_empty() {
            return false;
        }
        let mut needles = self.0.needles.lock().unwrap_or_else(PoisonError::into_inner);
        let before = needles.len();
        needles.extend(found);
        if needles.len() != before {
            *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        true
    }

    fn table(&self) -> Option<Arc<Table>> {
        if let Some(table) = &*self.0.table.read().unwrap_or_else(PoisonError::into_inner) {
            return table.clone();
        }
        let needles = self.0.needles.lock().unwrap_or_else(PoisonError::into_inner);
        let built = Table::build(&needles).map(Arc::new);
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Some(built.clone());
        built
    }

    /// `text` with every known value replaced.
    pub fn mask(&self, text: &str) -> String {
        match self.table() {
            None => text.to_owned(),
            Some(table) => {
                let mut out = Vec::with_capacity(text.len());
                table.mask(text.as_bytes(), true, &mut out);
                String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            }
        }
    }

    /// `bytes` with every known value replaced.
    pub fn mask_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut stream, mut out) = (self.stream(), Vec::with_capacity(bytes.len()));
        stream.push(bytes, &mut out);
        stream.finish(&mut out);
        out
    }

    /// Whether a known value stands in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.table().is_some_and(|table| table.search.is_match(bytes))
    }

    /// A stream of its own, for one output of one process.
    pub fn stream(&self) -> MaskStream {
        MaskStream { masker: self.clone(), held: Vec::new() }
    }
}

/// Masks a stream of bytes. What is pushed comes out at once, but for an end that may be the beginning of a value.
pub struct MaskStream {
    masker: Masker,
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes the next bytes, and appends to `out` what is settled.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(table) = self.masker.table() else {
            out.extend_from_slice(bytes);
            return;
        };
        if self.held.is_empty() {
            let settled = table.mask(bytes, false, out);
            self.held.extend_from_slice(&bytes[settled..]);
        } else {
            self.held.extend_from_slice(bytes);
            let settled = table.mask(&self.held, false, out);
            self.held.drain(..settled);
        }
    }

    /// The stream has ended: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        match self.masker.table() {
            Some(table) => {
                table.mask(&held, true, out);
            }
            None => out.extend_from_slice(&held),
        }
    }
}

/// Every form of `value` that is looked for.
fn needles_of(value: &[u8]) -> Vec<Needle> {
    let mut found: BTreeSet<Needle> = BTreeSet::new();
    if value.trim_ascii().len() < MIN_VALUE {
        return Vec::new();
    }
    let mut plain: BTreeSet<Needle> = BTreeSet::new();
    let mut add_plain = |bytes: &[u8]| {
        plain.insert(Needle(bytes.to_vec()));
    };
    add_plain(value);
    add_plain(value.trim_ascii());
    for line in value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.len() >= MIN_VALUE {
            add_plain(line);
        }
    }
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(value) {
        let mut leaves = Vec::new();
        json_leaves(&json, &mut leaves);
        leaves.into_iter().filter(|leaf| leaf.len() >= MIN_JSON_LEAF).for_each(|leaf| add_plain(leaf.as_bytes()));
    }
    for bytes in &plain {
        encodings(bytes, &mut |form: Vec<u8>| {
            if form.len() >= MIN_VALUE {
                found.insert(Needle(form));
            }
        });
    }
    found.extend(plain);
    found.into_iter().collect()
}

fn json_leaves<'a>(value: &'a serde_json::Value, leaves: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => leaves.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| json_leaves(item, leaves)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| json_leaves(field, leaves)),
        _ => {}
    }
}

/// The forms in which tools print `bytes`.
fn encodings(bytes: &[u8], add: &mut dyn FnMut(Vec<u8>)) {
    for engine in [&general_purpose::STANDARD_NO_PAD, &general_purpose::URL_SAFE_NO_PAD] {
        // Base64 looks different depending on how many bytes stand before the value: three offsets, without the
        // characters at either end that neighbours share.
        for offset in 0..3 {
            let mut padded = Zeroizing::new(vec![0; offset]);
            padded.extend_from_slice(bytes);
            let text = engine.encode(&*padded);
            let front = [0, 2, 3][offset];
            let back = usize::from(padded.len() % 3 != 0);
            let middle = text.get(front..text.len() - back).unwrap_or_default();
            if middle.len() >= MIN_ENCODED {
                add(middle.as_bytes().to_vec());
            }
        }
    }
    // `base64` and PEM wrap their lines.
    let text = general_purpose::STANDARD.encode(bytes);
    for width in [64, 76] {
        if text.len() > width {
            text.as_bytes()
                .chunks(width)
                .filter(|line| line.len() >= 2 * MIN_ENCODED)
                .for_each(|line| add(line.to_vec()));
        }
    }
    let lower = hex::encode(bytes);
    add(lower.to_uppercase().into_bytes());
    add(lower.into_bytes());
    for set in [NON_ALPHANUMERIC, URL_COMPONENT] {
        let upper = percent_encode(bytes, set).to_string();
        for form in [upper.replace("%20", "+"), upper] {
            add(lower_percent(&form).into_bytes());
            add(form.into_bytes());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(json) = serde_json::to_string(text) {
            let inner = &json[1..json.len() - 1];
            add(inner.as_bytes().to_vec());
            add(inner.replace('/', "\\/").into_bytes());
            add(ascii_json(inner).into_bytes());
        }
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        add(xml.replace('"', "&quot;").replace('\'', "&apos;").into_bytes());
        add(xml.replace('"', "&#34;").replace('\'', "&#39;").into_bytes());
        add(xml.replace('"', "&quot;").replace('\'', "&#39;").into_bytes());
        add(xml.into_bytes());
    }
}

/// `%2F` as `%2f`.
fn lower_percent(text: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        if c == '%' {
            digits = 2;
            return c;
        }
        let lowered = if digits > 0 { c.to_ascii_lowercase() } else { c };
        digits = i32::max(digits - 1, 0);
        lowered
    };
    text.chars().map(lower).collect()
}

/// JSON text with everything outside ASCII as `\uXXXX`, as Python prints it.
fn ascii_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masker(values: &[&str]) -> Masker {
        let masker = Masker::new();
        for value in values {
            assert!(masker.add(&SecretValue::new(value.as_bytes().to_vec())), "{value:?} is long enough");
        }
        masker
    }

    fn through(masker: &Masker, chunks: &[&[u8]]) -> Vec<u8> {
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        chunks.iter().for_each(|chunk| stream.push(chunk, &mut out));
        stream.finish(&mut out);
        out
    }

    #[test]
    fn every_needle_is_found_when_cut_at_every_byte() {
        let masker = masker(&[
            "hunter2-hunter2",
            "multi\nline value\nof three",
            r#"{"token":"abc\"def/ghi","n":1}"#,
            "tüp<&>\"' x",
        ]);
        let needles: Vec<Needle> = masker.0.needles.lock().unwrap().iter().cloned().collect();
        assert!(needles.len() > 60, "only {} forms", needles.len());
        for needle in &needles {
            let whole = [b"before ".as_slice(), needle, b" after"].concat();
            let expect = through(&masker, &[&whole]);
            assert!(!expect.windows(needle.len()).any(|w| w == &**needle));
            for cut in 0..=whole.len() {
                assert_eq!(through(&masker, &[&whole[..cut], &whole[cut..]]), expect);
            }
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(through(&masker, &bytes), expect);
        }
    }

    #[test]
    fn forms_of_a_value() {
        let check = |value: &str, text: &str, expect: &str| {
            assert_eq!(masker(&[value]).mask(text), expect, "{value:?} in {text:?}");
        };
        check("s3cr3t-value", "a s3cr3t-value b", "a *** b");
        check("s3cr3t-value", "dXNlcjpzM2NyM3QtdmFsdWU=", "dXNlcjp***U=");
        check("s3cr3t-value", "7333637233742d76616c7565", "***");
        check("s3cr3t-value", "7333637233742D76616C7565", "***");
        check("a b/c+d&e", "x=a%20b%2Fc%2Bd%26e a+b%2fc%2bd%26e", "x=*** ***");
        check(
            "say \"hi\" & <go>",
            r#"{"x":"say \"hi\" & <go>"} say &quot;hi&quot; &amp; &lt;go&gt;"#,
            r#"{"x":"***"} ***"#,
        );
        check("line one\nline two\n", "> line two\n> line one", "> ***\n> ***");
        check("{\"password\":\"correct horse\"}", "login with correct horse", "login with ***");
        check("abcdef", "abcde abcdefg", "abcde ***g");
        check("größe-geheim", r#""gr\u00f6\u00dfe-geheim""#, r#""***""#);
    }

    #[test]
    fn the_longer_value_wins_and_short_ones_are_told() {
        assert_eq!(masker(&["token", "token-long"]).mask("token-long token-lon"), "*** ***-lon");
        assert!(!Masker::new().add(&SecretValue::new(b"abc".to_vec())));
        assert!(!Masker::new().add(&SecretValue::new(b" \n\n  ".to_vec())));
        // A short line of a long value is not a needle: `}` must not blank out every log.
        assert_eq!(masker(&["key {\n}\nlong line"]).mask("{ } long line"), "{ } ***");
    }

    #[test]
    fn only_a_possible_beginning_is_held_back() {
        let masker = masker(&["s3cr3t-value"]);
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        stream.push(b"progress 10%\rdone s3c", &mut out);
        assert_eq!(out, b"progress 10%\rdone ");
        stream.push(b"ond", &mut out);
        assert_eq!(out, b"progress 10%\rdone s3cond");
    }

    #[test]
    fn a_value_that_is_added_while_streaming_is_masked_from_then_on() {
        let masker = masker(&["first-value"]);
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        stream.push(b"second-value first-value ", &mut out);
        masker.add(&SecretValue::new(b"second-value".to_vec()));
        stream.push(b"second-va", &mut out);
        stream.push(b"lue\n", &mut out);
        stream.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "second-value *** ***\n");
    }

    proptest! {
        /// However a text is cut, the masked text is the same.
        #[test]
        fn chunk_borders_do_not_matter(
            values in prop::collection::vec("[ab]{4,7}", 1..5),
            text in "[abc]{0,80}",
            cuts in prop::collection::vec(0usize..80, 0..8),
        ) {
            let masker = Masker::new();
            for value in &values {
                masker.add(&SecretValue::new(value.clone().into_bytes()));
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let masked = through(&masker, &chunks);
            let expect = masker.mask(&text);
            prop_assert_eq!(masked.as_slice(), expect.as_bytes());
            for value in &values {
                prop_assert!(!masked.windows(value.len()).any(|window| window == value.as_bytes()));
            }
        }
    }
}
