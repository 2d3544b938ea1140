//! What an agent's last answer says. Pure.
//!
//! The answer is text. Its first fenced block, or the whole of it where there is none, may be a JSON document; then that is the
//! output, and the numbers `score` and `confidence` in it, where they lie between 0 and 1, are the verdict.

use serde_json::Value;

/// How sure an agent counts as that gives a score and does not say how sure it is.
const DEFAULT_CONFIDENCE: f64 = 0.8;

/// An agent's judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// From 0 to 1.
    pub score: f64,
    /// From 0 to 1.
    pub confidence: f64,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The JSON document, else the whole text without the white space around it.
    pub output: Value,
    /// The judgement, where it gives one.
    pub verdict: Option<Verdict>,
    /// What is wrong with the numbers, in words, where they are not between 0 and 1.
    pub warning: Option<String>,
}

/// Reads an answer.
pub fn read(text: &str) -> Answer {
    let document = fenced(text).unwrap_or(text).trim();
    let Ok(output) = serde_json::from_str::<Value>(document) else {
        return Answer { output: Value::String(text.trim().to_owned()), verdict: None, warning: None };
    };
    let share = |name: &str| match output.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("the answer's {name} is {value}, which is no number from 0 to 1, and does not count")),
        },
    };
    let (score, confidence) = (share("score"), share("confidence"));
    let warning = score.as_ref().err().or(confidence.as_ref().err()).cloned();
    let confidence = confidence.ok().flatten().unwrap_or(DEFAULT_CONFIDENCE);
    let verdict = score.ok().flatten().map(|score| Verdict { score, confidence });
    Answer { output, verdict, warning }
}

/// The content of the first fenced block.
fn fenced(text: &str) -> Option<&str> {
    let mut at = 0;
    let mut begun = None;
    for line in text.split_inclusive('\n') {
        let fence = line.trim_start().starts_with("```");
        match begun {
            None if fence => begun = Some(at + line.len()),
            Some(start) if fence => return Some(&text[start..at]),
            _ => {}
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn answers() {
        let check = |text: &str, output: Value, verdict: Option<(f64, f64)>| {
            let answer = read(text);
            let found = answer.verdict.map(|verdict| (verdict.score, verdict.confidence));
            assert_eq!((answer.output, found), (output, verdict), "{text}");
        };
        check("  it is done\n", json!("it is done"), None);
        check("{\"score\": 0.9}", json!({"score": 0.9}), Some((0.9, 0.8)));
        check("{\"score\": 1, \"confidence\": 0}", json!({"score": 1, "confidence": 0}), Some((1.0, 0.0)));
        check("Fine:\n```json\n{\"score\": 0.5}\n```\nSo.", json!({"score": 0.5}), Some((0.5, 0.8)));
        check("```\n[1, 2]\n```", json!([1, 2]), None);
        // The first block counts, also where a later one would be a document.
        check(
            "```\nmake\n```\n```json\n{\"score\": 1}\n```",
            json!("```\nmake\n```\n```json\n{\"score\": 1}\n```"),
            None,
        );
        check("```json\n{\"score\": 1}", json!("```json\n{\"score\": 1}"), None);
        check("I give {\"score\": 1}", json!("I give {\"score\": 1}"), None);
        check("{\"verdict\": {\"score\": 1}}", json!({"verdict": {"score": 1}}), None);
        check("", json!(""), None);
        check("42", json!(42), None);
    }

    #[test]
    fn numbers_that_are_no_share() {
        let check = |text: &str, verdict: bool, warning: &str| {
            let answer = read(text);
            assert_eq!(answer.verdict.is_some(), verdict, "{text}");
            assert!(answer.warning.is_some_and(|words| words.contains(warning)), "{text}");
        };
        check("{\"score\": 9}", false, "score is 9");
        check("{\"score\": -0.1}", false, "score is -0.1");
        check("{\"score\": \"0.9\"}", false, "score is \"0.9\"");
        check("{\"score\": 0.9, \"confidence\": 90}", true, "confidence is 90");
        assert_eq!(read("{\"score\": null}").warning, None);
    }

    proptest! {
        #[test]
        fn a_verdict_is_always_between_0_and_1(text in "\\PC{0,60}|[`{}\":a-z0-9.\n-]{0,60}", number in any::<f64>()) {
            for text in [text, format!("{{\"score\": {number:?}, \"confidence\": {number:?}}}")] {
                if let Some(Verdict { score, confidence }) = read(&text).verdict {
                    prop_assert!((0.0..=1.0).contains(&score) && (0.0..=1.0).contains(&confidence));
                }
            }
        }

        #[test]
        fn a_document_in_a_fence_is_the_document_alone(score in 0.0..=1.0f64, before in "[a-z \n]{0,20}") {
            let document = json!({"score": score}).to_string();
            let fenced = format!("{before}\n```json\n{document}\n```\nand more");
            prop_assert_eq!(read(&fenced), read(&document));
        }
    }
}
