//! Templates in shell text: each variable that takes a template's place is read by a shell as text of one word.
//!
//! The shell here is a reader of its own, written as a descent where the scanner under test is a stack of states: what one
//! of them gets wrong, the other one need not. It knows no more than it must and is asked only of texts that were accepted.
//! Real shells run in `manifest`'s tests (`shells`).

use crate::texts;
use windlass_manifest::fuzzing::{Hoisted, hoist};

const VARIABLE: &str = "WINDLASS_T";

/// A shell text with templates in it.
pub(crate) fn shell(input: &[u8]) {
    let Some([text]) = texts(input) else { return };
    // The author's own use of the name is another check's (`states`); a NUL cannot stand in an argument.
    if text.contains(VARIABLE) || text.contains('\0') {
        return;
    }
    let Some(hoisted) = hoist(text) else { return };
    the_rest_is_as_it_was(text, &hoisted);
    let mut reader = Reader { text: &hoisted.text, at: 0, seen: 0 };
    while reader.at < hoisted.text.len() {
        reader.list(None);
    }
    assert_eq!(reader.seen, hoisted.templates.len(), "not every variable is read: {text:?} became {:?}", hoisted.text);
}

/// Outside of the templates, nothing but quotes around the variables was put in.
fn the_rest_is_as_it_was(text: &str, hoisted: &Hoisted) {
    let (mut at, mut rest) = (0, hoisted.text.as_str());
    for (template, number) in hoisted.templates.iter().zip(&hoisted.numbers) {
        let before = &text[at..template.start];
        rest = rest.strip_prefix(before).unwrap_or_else(|| panic!("{text:?} became {:?}", hoisted.text));
        let variable = format!("${{{VARIABLE}{number}}}");
        let forms = [format!("'\"{variable}\"'"), format!("\"{variable}\""), variable];
        rest =
            forms.iter().find_map(|form| rest.strip_prefix(form)).unwrap_or_else(|| panic!("{text:?} lost a template"));
        at = template.end;
    }
    assert_eq!(rest, &text[at..], "{text:?} became {:?}", hoisted.text);
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// How many of the variables were read, each as text.
    seen: usize,
}

impl Reader<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn is_variable(&self) -> bool {
        self.text.as_bytes()[self.at..].starts_with(b"${WINDLASS_T")
    }

    fn never(&self, why: &str) -> ! {
        panic!("a variable {why}, at {} of {:?}", self.at, self.text)
    }

    /// Commands, to the bracket that closes them or the end.
    fn list(&mut self, end: Option<u8>) {
        let mut word = false;
        while let Some(byte) = self.byte(0) {
            if end == Some(byte) {
                self.at += 1;
                return;
            }
            if self.is_variable() {
                self.never("stands outside of quotes");
            }
            match byte {
                // The end of a line that is taken away ends no word and begins none.
                b'\\' if self.byte(1) == Some(b'\n') => {
                    self.at += 2;
                    continue;
                }
                b'\\' => self.at += 2,
                b'\'' => self.to(b'\'', "stands within single quotes"),
                b'"' => self.double(),
                b'`' => self.backticks(),
                b'$' => self.dollar(false),
                b'(' if self.byte(1) == Some(b'(') && !word => self.arithmetic(2),
                b'(' => {
                    self.at += 1;
                    self.list(Some(b')'));
                }
                b'<' if self.byte(1) == Some(b'<') && self.byte(2) == Some(b'<') => self.at += 3,
                // What follows a here-document belongs to it, until its line, which is not looked for.
                b'<' if self.byte(1) == Some(b'<') => {
                    if self.text[self.at..].contains(VARIABLE) {
                        self.never("stands after a here-document");
                    }
                    self.at = self.text.len();
                }
                b'#' if !word => {
                    while self.byte(0).is_some_and(|byte| byte != b'\n') {
                        self.seen += usize::from(self.is_variable());
                        self.at += 1;
                    }
                }
                _ => self.at += 1,
            }
            word = !matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' | b'#')
                || (byte == b'#' && word);
        }
    }

    /// Skips to behind the next `end`.
    fn to(&mut self, end: u8, why: &str) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            if self.is_variable() {
                self.never(why);
            }
            self.at += 1;
            if byte == end {
                return;
            }
        }
    }

    fn backticks(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            if self.is_variable() {
                self.never("stands within backticks");
            }
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'`' {
                return;
            }
        }
    }

    fn double(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            match byte {
                _ if self.is_variable() => {
                    self.seen += 1;
                    self.to(b'}', "");
                }
                b'\\' => self.at += 2,
                b'`' => self.backticks(),
                b'$' => self.dollar(true),
                b'"' => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }

    fn dollar(&mut self, quoted: bool) {
        match (self.byte(1), self.byte(2)) {
            (Some(b'('), Some(b'(')) => self.arithmetic(3),
            (Some(b'('), _) => {
                self.at += 2;
                self.list(Some(b')'));
            }
            (Some(b'{'), _) => self.parameter(quoted),
            (Some(b'$'), _) => self.at += 2,
            _ => self.at += 1,
        }
    }

    /// `${…}`, in which quotes count as outside of it.
    fn parameter(&mut self, quoted: bool) {
        self.at += 2;
        while let Some(byte) = self.byte(0) {
            if self.is_variable() {
                self.never("stands within `${…}`");
            }
            match byte {
                b'\\' => self.at += 2,
                b'\'' if !quoted => self.to(b'\'', "stands within `${…}`"),
                b'"' => self.to(b'"', "stands within `${…}`"),
                b'`' => self.backticks(),
                b'$' => self.dollar(quoted),
                _ => self.at += 1,
            }
            if byte == b'}' {
                return;
            }
        }
    }

    /// `((…))` and `$((…))`, from behind what opens it.
    fn arithmetic(&mut self, opening: usize) {
        self.at += opening;
        let mut depth = 2_usize;
        while let Some(byte) = self.byte(0) {
            if self.is_variable() {
                self.never("stands within arithmetic");
            }
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
