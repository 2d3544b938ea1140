//! JUnit's XML, as everybody writes it: `testsuites` or `testsuite` at the root, suites in suites, times with commas, surefire's reruns.
//!
//! A document type is refused, and with it every entity but the five of XML: no report needs one, and nothing is fetched or expanded.

use super::{Format, cut};
use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
    reader::Reader,
};
use windlass_capabilities::artifacts::reports;

/// How deep elements are in each other. Suites are nested by folders; nobody has so many.
const MAX_DEPTH: usize = 64;
/// How many tests are read of one report.
const MAX_TESTS: usize = 100_000;
/// How much of a failure's text is kept, in bytes (4 KiB): an assertion and the beginning of its trace.
const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// How much of a name is kept, in bytes.
const MAX_NAME_BYTES: usize = 500;

/// How a test went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// It failed in a way that its author did not foresee.
    Error,
    /// It failed.
    Failed,
    /// It failed first, and passed then.
    Flaky,
    /// It was skipped.
    Skipped,
    /// It passed.
    Passed,
}

impl Status {
    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Error => "error",
            Status::Failed => "failed",
            Status::Flaky => "flaky",
            Status::Skipped => "skipped",
            Status::Passed => "passed",
        }
    }

    /// Whether somebody has to look.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Status::Error | Status::Failed)
    }
}

/// A test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// Its class, or the suites that it is in.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// How it went.
    pub status: Status,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it said.
    pub message: Option<String>,
}

/// Reports of tests.
pub(crate) const JUNIT: Format<Vec<Test>> = Format { endings: reports::JUNIT, read };

/// The tests of a report; `None` where the XML is something else.
fn read(text: &str) -> Result<Option<Vec<Test>>, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut report = Report::default();
    loop {
        let place = |error: String, reader: &Reader<&[u8]>| format!("byte {}: {error}", reader.error_position());
        let taken = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Start(element)) if report.depth == 0 && !is_root(&element) => return Ok(None),
            Ok(event) => report.take(&event),
            Err(error) => Err(error.to_string()),
        };
        taken.map_err(|error| place(error, &reader))?;
    }
    if report.depth > 0 {
        return Err("it ends in the middle".to_owned());
    }
    Ok(report.seen_root.then_some(report.tests))
}

fn is_root(element: &BytesStart<'_>) -> bool {
    matches!(element.local_name().as_ref(), "testsuites" | "testsuite")
}

#[derive(Default)]
struct Report {
    seen_root: bool,
    depth: usize,
    /// The names of the suites around, with the depth of each.
    suites: Vec<(usize, String)>,
    test: Option<(usize, Test)>,
    /// What a failure says is gathered while this is so; the depth of its element.
    said: Option<(usize, String)>,
    tests: Vec<Test>,
}

impl Report {
    fn take(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::DocType(_) => {
                return Err("it declares a document type; reports need none, and none is read".to_owned());
            }
            Event::Start(element) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
                }
                self.seen_root = true;
                self.begin(element)?;
            }
            Event::End(_) => {
                self.end()?;
                self.depth = self.depth.saturating_sub(1);
            }
            Event::Text(text) => self.say(text),
            Event::CData(text) => self.say(text),
            Event::GeneralRef(entity) => {
                let character = match &**entity {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    // What is a number and no character is not worth a report.
                    other => match entity.resolve_char_ref() {
                        Ok(Some(character)) => character,
                        Err(_) => char::REPLACEMENT_CHARACTER,
                        Ok(None) => return Err(format!("there is no entity {}", cut(other, 100))),
                    },
                };
                self.say(character.encode_utf8(&mut [0; 4]));
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let attribute = |name: &str| attribute(element, name);
        let name = element.local_name();
        match (name.as_ref(), &mut self.test) {
            ("testsuite", None) => self.suites.push((self.depth, attribute("name")?.unwrap_or_default())),
            ("testcase", None) => {
                let class = attribute("classname")?.filter(|class| !class.trim().is_empty());
                let test = Test {
                    suite: class.unwrap_or_else(|| self.suite()),
                    name: attribute("name")?.filter(|name| !name.is_empty()).unwrap_or_else(|| "(no name)".to_owned()),
                    status: Status::Passed,
                    took_ms: attribute("time")?.map_or(0, |time| milliseconds(&time)),
                    message: None,
                };
                self.test = Some((self.depth, test));
            }
            (name, Some((depth, test))) if self.depth == *depth + 1 => {
                let status = match name {
                    "error" => Status::Error,
                    "failure" => Status::Failed,
                    "skipped" => Status::Skipped,
                    // One that failed in its reruns as well has a failure of its own beside them.
                    "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" => Status::Flaky,
                    _ => return Ok(()),
                };
                if status < test.status {
                    test.status = status;
                    self.said = Some((self.depth, attribute("message")?.unwrap_or_default()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if self.suites.last().is_some_and(|(depth, _)| *depth == self.depth) {
            self.suites.pop();
        }
        if let Some((_, said)) = self.said.take_if(|(depth, _)| *depth == self.depth)
            && let Some((_, test)) = &mut self.test
        {
            let said = said.trim();
            test.message = (!said.is_empty()).then(|| cut(said, MAX_MESSAGE_BYTES));
        }
        if let Some((_, test)) = self.test.take_if(|(depth, _)| *depth == self.depth) {
            if self.tests.len() == MAX_TESTS {
                return Err(format!("it has more than {MAX_TESTS} tests"));
            }
            self.tests.push(test);
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        if let Some((depth, said)) = &mut self.said
            && *depth == self.depth
            && said.len() <= MAX_MESSAGE_BYTES
        {
            // Many write the message again as the beginning of the text.
            let text = if said.is_empty() { text.trim_start() } else { text };
            if !said.is_empty() && text.trim_start().starts_with(said.as_str()) {
                said.clear();
                said.push_str(cut(text.trim_start(), MAX_MESSAGE_BYTES).as_str());
            } else {
                if !said.is_empty() && !said.ends_with('\n') && text.starts_with('\n') {
                    said.push('\n');
                }
                said.push_str(&cut(text.trim_start_matches('\n'), MAX_MESSAGE_BYTES));
            }
        }
    }

    fn suite(&self) -> String {
        let names: Vec<&str> =
            self.suites.iter().map(|(_, name)| name.as_str()).filter(|name| !name.is_empty()).collect();
        cut(&names.join(" › "), MAX_NAME_BYTES)
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let Some(attribute) = element.try_get_attribute(name).map_err(|error| error.to_string())? else { return Ok(None) };
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
    Ok(Some(cut(&value, if name == "message" { MAX_MESSAGE_BYTES } else { MAX_NAME_BYTES })))
}

/// A time in seconds, as `1.5`, `0,5`, `1,234.5`, `1.234,5` or `1e-3`; nothing that is not a time is one of 0.
fn milliseconds(text: &str) -> u64 {
    let text = text.trim();
    let plain = match (text.rfind(','), text.rfind('.')) {
        (Some(comma), Some(point)) if comma > point => text.replace('.', "").replace(',', "."),
        (Some(_), Some(_)) => text.replace(',', ""),
        (Some(_), None) if text.matches(',').count() == 1 => text.replace(',', "."),
        (Some(_), None) => text.replace(',', ""),
        (None, _) => text.to_owned(),
    };
    let seconds = plain.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds)).unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10^12")]
    let milliseconds = (seconds * 1000.0).round() as u64;
    milliseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(text: &str) -> Vec<Test> {
        read(text).expect("a report").expect("a report of tests")
    }

    #[test]
    fn suites_in_suites_and_every_way_to_end() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites><testsuite name="outer"><properties><property name="a" value="b"/></properties>
              <testsuite name="inner &amp; more">
                <testcase name="passes" time="1.5"/>
                <testcase name="fails" classname="a.B" time="0,25"><failure message="expected 1" type="X">expected 1
  at line 5 &lt;here&gt;</failure><system-out>noise</system-out></testcase>
                <testcase name="breaks"><error><![CDATA[<boom> & bang]]></error></testcase>
                <testcase name="is skipped"><skipped message="not today"/></testcase>
                <testcase name="is flaky"><flakyFailure message="once"><stackTrace>x</stackTrace></flakyFailure></testcase>
                <testcase name="fails each time"><rerunFailure message="again"/><failure message="first"/></testcase>
                <testcase/>
              </testsuite>
              <testcase name="outside" time="1,234.5"/>
            </testsuite></testsuites>"#;
        let seen: Vec<_> = tests(report)
            .into_iter()
            .map(|test| (test.suite, test.name, test.status.name(), test.took_ms, test.message))
            .collect();
        let inner = "outer › inner & more";
        let expected = [
            (inner, "passes", "passed", 1_500, None),
            ("a.B", "fails", "failed", 250, Some("expected 1\n  at line 5 <here>")),
            (inner, "breaks", "error", 0, Some("<boom> & bang")),
            (inner, "is skipped", "skipped", 0, Some("not today")),
            (inner, "is flaky", "flaky", 0, Some("once")),
            (inner, "fails each time", "failed", 0, Some("first")),
            (inner, "(no name)", "passed", 0, None),
            ("outer", "outside", "passed", 1_234_500, None),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(suite, name, status, took, said): (&str, &str, _, _, Option<&str>)| {
                (suite.to_owned(), name.to_owned(), status, took, said.map(str::to_owned))
            })
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn times_as_people_write_them() {
        let cases = [
            ("0.001", 1),
            ("1", 1_000),
            ("1,5", 1_500),
            ("1,234.567", 1_234_567),
            ("1.234,567", 1_234_567),
            ("1,234,567", 1_234_567_000),
            ("1e-3", 1),
            (" 2 ", 2_000),
            ("", 0),
            ("-1", 0),
            ("NaN", 0),
            ("inf", 0),
            ("1e300", 0),
            ("soon", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(milliseconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn other_xml_is_no_report() {
        for text in ["", "  ", "<?xml version=\"1.0\"?>", "<html/>", "<!-- a --><project><testsuite/></project>"] {
            assert_eq!(read(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn what_is_hostile_or_broken_is_refused_with_the_reason() {
        let bombs = r#"<!DOCTYPE testsuite [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite name="&b;"/>"#;
        let outside = r#"<!DOCTYPE testsuite SYSTEM "file:///etc/passwd"><testsuite/>"#;
        let deep = format!("<testsuite>{}", "<testsuite>".repeat(MAX_DEPTH));
        let cases = [
            (bombs, "document type"),
            (outside, "document type"),
            (deep.as_str(), "nested"),
            ("<testsuite><testcase><failure>&xxe;</failure></testcase></testsuite>", "no entity xxe"),
            (r#"<testsuite name="&xxe;"></testsuite>"#, "xxe"),
            ("<testsuite>", "middle"),
            ("<testsuite></testcase>", "testcase"),
            ("<testsuite><testcase name=></testsuite>", "byte"),
        ];
        for (text, why) in cases {
            let error = read(text).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
        let many = format!("<testsuite>{}</testsuite>", "<testcase name='a'/>".repeat(MAX_TESTS + 1));
        assert!(read(&many).expect_err("too many").contains("more than"));
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "ä".repeat(MAX_MESSAGE_BYTES);
        let report = format!("<testsuite><testcase name='{long}'><failure>{long}</failure></testcase></testsuite>");
        let test = tests(&report).remove(0);
        assert!(test.name.len() <= MAX_NAME_BYTES + 3 && test.name.ends_with('…'));
        let message = test.message.expect("a message");
        assert!(message.len() <= 2 * MAX_MESSAGE_BYTES && message.ends_with('…'), "{}", message.len());
    }
}
