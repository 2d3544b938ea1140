//! How a container's process ended, in words, and what of its output becomes a result. Pure.

use crate::containers;

/// How much of an output becomes a result, in bytes of JSON: 1.5 MiB. The host captures 1 MiB of each output; as JSON that is more,
/// by its escapes. The results of a step may be 4 MiB together, and two of these leave room for the rest.
pub const OUTPUT_LIMIT: usize = 1536 * 1024;

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its exit code.
    pub code: i32,
    /// The kernel ended a process of the container for lack of memory.
    pub out_of_memory: bool,
    /// The container's own timeout was reached.
    pub timed_out: bool,
}

impl From<containers::Exit> for End {
    fn from(exit: containers::Exit) -> Self {
        End { code: exit.code, out_of_memory: exit.out_of_memory, timed_out: exit.timed_out }
    }
}

/// In words, why `subject` ("the command") failed; none where it did not.
pub fn failure(subject: &str, end: End) -> Option<String> {
    let code = end.code;
    Some(match end {
        End { out_of_memory: true, .. } => {
            format!("{subject} ran out of memory (exit code {code}): raise `memory`, or let it use less")
        }
        End { timed_out: true, .. } => {
            format!("{subject} was ended by its timeout (exit code {code}): raise `timeout`, or make it faster")
        }
        End { code: 0, .. } => return None,
        End { code: 126, .. } => format!("{subject} exited 126: what it calls cannot be executed"),
        End { code: 127, .. } => format!("{subject} exited 127: what it calls is not in the image"),
        End { code: 129..=192, .. } => format!("{subject} exited {code}: ended by signal {}", code - 128),
        End { .. } => format!("{subject} exited {code}"),
    })
}

/// `text` if its JSON is within [`OUTPUT_LIMIT`], else its head and tail with a marked gap.
pub fn fit(text: &str) -> String {
    let cost = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    };
    if text.chars().map(cost).sum::<usize>() <= OUTPUT_LIMIT {
        return text.to_owned();
    }
    // Half for the head, half for the tail; the marker's few bytes come on top, for which the limit leaves room.
    let within = |chars: &mut dyn Iterator<Item = char>| {
        let mut spent = 0;
        chars
            .take_while(|c| {
                spent += cost(*c);
                spent <= OUTPUT_LIMIT / 2
            })
            .map(char::len_utf8)
            .sum::<usize>()
    };
    let head = within(&mut text.chars());
    let tail = text.len() - within(&mut text.chars().rev());
    format!("{}\n[… {} bytes left out; they are in the log …]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_host_captures_of_ordinary_output_is_a_result_as_it_is() {
        let line = "test a::module::with_a_name ... \"ok\"\n";
        let text = line.repeat((1 << 20) / line.len());
        assert_eq!(fit(&text), text);
    }

    proptest! {
        // Each case is megabytes of text.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_output_fits_its_limit(unit in "\\PC{1,8}|[\\x00-\\x1f\"\\\\]{1,8}", times in 1usize..400_000) {
            let text = unit.repeat(times);
            let json = serde_json::to_string(&fit(&text)).expect("it is text");
            prop_assert!(json.len() <= OUTPUT_LIMIT + 200, "{}", json.len());
        }
    }
}
