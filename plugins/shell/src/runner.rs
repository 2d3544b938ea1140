//! The script that runs a step's commands, and what it reported. Pure.
//!
//! The script is fixed text: the commands are its arguments, so nothing is ever spliced into shell text. It holds to
//! what POSIX says, and the tests run it in each shell that this machine has (dash, bash, busybox).
//!
//! - Each command is evaluated in the same shell, so `cd`, variables and functions last.
//! - `set -e` holds at the start of each command, also inside one of several lines. `set +e` lasts until that command's
//!   end; then its last status counts.
//! - A command sees no arguments (`$#` is 0), not the other commands.
//! - Before each command its text is printed, bold, to standard output: [`report`] takes these headers out again, so that
//!   the output `stdout` holds what the commands printed and nothing else.
//! - When the script ends early, its last line on standard error says where. A command that sets a trap on `EXIT` of its
//!   own, or replaces the shell by `exec`, takes that line away; the exit code is right all the same.

use windlass_plugin::process::{End, fit};

/// The script: the argument of the shell's `-c`.
pub const SCRIPT: &str = include_str!("runner.sh");

/// `$0` of the script: what a shell puts before its own messages.
const NAME: &str = "windlass";

/// The shell's arguments for `commands`.
pub fn arguments(commands: &[String]) -> Vec<String> {
    ["-c", SCRIPT, NAME].into_iter().map(str::to_owned).chain(commands.iter().cloned()).collect()
}

/// What a script that has ended left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the commands printed to standard output, without the headers, trimmed at the end and cut to what a result may have.
    pub stdout: String,
    /// What they printed to standard error, trimmed and cut likewise.
    pub stderr: String,
    /// The number, from 1, of the command after which the script ended early. None when all have run, and when it is not
    /// known.
    pub stopped_at: Option<usize>,
}

/// Reads the report out of what the container printed.
pub fn report(commands: &[String], stdout: &str, stderr: &str) -> Report {
    let (stderr, stopped_at) = split_last_line(stderr, commands.len());
    Report { stdout: fit(without_headers(commands, stdout).trim_end()), stderr: fit(stderr.trim_end()), stopped_at }
}

/// Takes each command's header out of `stdout`, in their order. One that is not there was never printed, or fell into
/// the gap of a long output.
fn without_headers(commands: &[String], stdout: &str) -> String {
    let mut kept = String::with_capacity(stdout.len());
    let mut rest = stdout;
    for command in commands {
        let header = format!("\u{1b}[1m$ {command}\u{1b}[0m\n");
        if let Some((before, after)) = rest.split_once(&header) {
            kept.push_str(before);
            rest = after;
        }
    }
    kept + rest
}

/// Splits the script's own last line, `windlass: command 2 of 3 exited 1`, from `stderr`.
fn split_last_line(stderr: &str, commands: usize) -> (&str, Option<usize>) {
    let parse = |at: usize| {
        let line = stderr[at..].strip_prefix("windlass: command ")?.strip_suffix('\n')?;
        let (number, rest) = line.split_once(" of ")?;
        let (total, status) = rest.split_once(" exited ")?;
        let number = number.parse().ok().filter(|number| (1..=commands).contains(number))?;
        (total.parse() == Ok(commands) && status.parse::<u8>().is_ok()).then_some(number)
    };
    // Not by lines: a command's last line may lack its end, and then this one stands right behind it.
    match stderr.rfind("windlass: command ").and_then(|at| Some((at, parse(at)?))) {
        Some((at, number)) => (&stderr[..at], Some(number)),
        None => (stderr, None),
    }
}

/// In words, why the step failed; none where it did not.
pub fn failure(end: End, report: &Report, commands: usize) -> Option<String> {
    let subject = match report.stopped_at {
        Some(number) => format!("command {number} of {commands}"),
        None if commands == 1 => "the command".to_owned(),
        None => "a command".to_owned(),
    };
    windlass_plugin::process::failure(&subject, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    /// Each shell of this machine that could run the script, with its arguments before `-c`. `sh` is always there.
    fn shells() -> Vec<Vec<&'static str>> {
        [vec!["sh"], vec!["dash"], vec!["bash"], vec!["bash", "--posix"], vec!["busybox", "sh"]]
            .into_iter()
            .filter(|shell| {
                Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_ok_and(|o| o.status.success())
            })
            .collect()
    }

    /// Runs `commands` in every shell, and checks what is reported: exit code, standard output, the command that ended it.
    fn check(commands: &[&str], expect: (i32, &str, Option<usize>)) {
        let commands: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
        let shells = shells();
        assert!(!shells.is_empty(), "this machine has no sh");
        for shell in shells {
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .args(arguments(&commands))
                .stdin(Stdio::null())
                .output()
                .expect("the shell starts");
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let report = report(&commands, &stdout, &stderr);
            let found = (output.status.code().unwrap_or(-1), report.stdout.as_str(), report.stopped_at);
            assert_eq!(found, expect, "{commands:?} in {shell:?}; standard error: {stderr}");
        }
    }

    #[test]
    fn commands_share_one_shell() {
        check(&["cd /", "pwd"], (0, "/", None));
        check(&["x=1; export y=2", "echo $x; sh -c 'echo $y'"], (0, "1\n2", None));
        check(&["greet() { echo hello; }", "greet"], (0, "hello", None));
        check(&["set -- a b", "echo $# $1"], (0, "2 a", None));
        check(&["umask 077", "umask"], (0, "0077", None));
    }

    #[test]
    fn the_first_failure_ends_it() {
        check(&["echo a", "false", "echo never"], (1, "a", Some(2)));
        check(&["exit 7", "echo never"], (7, "", Some(1)));
        check(&["false\necho never"], (1, "", Some(1)));
        check(&["if true; then\n  echo a\n  false\n  echo never\nfi"], (1, "a", Some(1)));
        check(&["f() { false; echo never; }", "f"], (1, "", Some(2)));
        check(&["x=$(false)"], (1, "", Some(1)));
        check(&["(exit 3)"], (3, "", Some(1)));
        check(&["no-such-command-here"], (127, "", Some(1)));
        check(&["if"], (2, "", Some(1)));
    }

    #[test]
    fn what_is_caught_is_no_failure() {
        check(&["false || echo caught", "if false; then :; fi", "! false"], (0, "caught", None));
        check(&["set +e\nfalse\necho on", "false\necho never"], (1, "on", Some(2)));
        check(&["set +e\nfalse", "echo never"], (1, "", Some(1)));
    }

    #[test]
    fn exit_zero_ends_it_early_and_says_so() {
        check(&["exit 0", "echo never"], (0, "", Some(1)));
    }

    #[test]
    fn the_commands_are_not_text_of_the_script() {
        check(&["echo \"$#|$*|$1\"", "echo b"], (0, "0||\nb", None));
        check(&["echo 'it''s' \"quoted\" \\$HOME `echo t`"], (0, "its quoted $HOME t", None));
        check(&["echo '; exit 9'", "echo \"$(echo 'a b')\""], (0, "; exit 9\na b", None));
        check(&["cat <<EOF\n$((1 + 1)) %s \\n\nEOF"], (0, "2 %s \\n", None));
        check(&["-n"], (127, "", Some(1)));
        check(&["# only a comment", "", "echo a"], (0, "a", None));
        check(&["read x || echo no input"], (0, "no input", None));
    }

    #[test]
    fn a_trap_of_its_own_takes_the_last_line_away_but_not_the_code() {
        check(&["trap 'echo bye' EXIT", "exit 4"], (4, "bye", None));
        check(&["exec sh -c 'exit 5'", "echo never"], (5, "", None));
    }

    #[test]
    fn output_without_a_last_newline() {
        check(&["printf a", "printf b; printf c >&2; exit 2"], (2, "ab", Some(2)));
    }

    #[test]
    fn a_forged_last_line_does_not_count() {
        let check = |stderr: &str, expect: Option<usize>| {
            let commands = ["a".to_owned(), "b".to_owned()];
            assert_eq!(report(&commands, "", stderr).stopped_at, expect, "{stderr:?}");
        };
        check("windlass: command 2 of 2 exited 1\n", Some(2));
        check("xwindlass: command 2 of 2 exited 1\n", Some(2));
        check("windlass: command 2 of 2 exited 1\nmore\n", None);
        check("windlass: command 3 of 2 exited 1\n", None);
        check("windlass: command 0 of 2 exited 1\n", None);
        check("windlass: command 1 of 9 exited 1\n", None);
        check("windlass: command 1 of 2 exited x\n", None);
        check("windlass: command 1 of 2 exited 1", None);
        check("windlass: command ", None);
    }

    #[test]
    fn failures_in_words() {
        let check = |end: End, stopped_at: Option<usize>, expect: Option<&str>| {
            let report = Report { stdout: String::new(), stderr: String::new(), stopped_at };
            assert_eq!(failure(end, &report, 3).as_deref(), expect);
        };
        let end = |code| End { code, out_of_memory: false, timed_out: false };
        check(end(0), None, None);
        check(end(0), Some(1), None);
        check(end(1), Some(2), Some("command 2 of 3 exited 1"));
        check(end(1), None, Some("a command exited 1"));
        check(end(127), Some(1), Some("command 1 of 3 exited 127: what it calls is not in the image"));
        check(end(139), Some(1), Some("command 1 of 3 exited 139: ended by signal 11"));
        let oom = Some("a command ran out of memory (exit code 137): raise `memory`, or let it use less");
        check(End { out_of_memory: true, ..end(137) }, None, oom);
        let slow = Some("a command was ended by its timeout (exit code 143): raise `timeout`, or make it faster");
        check(End { timed_out: true, ..end(143) }, None, slow);
    }

    proptest! {
        #[test]
        fn headers_are_taken_out_and_nothing_else(outputs in proptest::collection::vec("[a-z\n$ ]{0,20}", 1..6)) {
            let commands: Vec<String> = (0..outputs.len()).map(|n| format!("command-{n}")).collect();
            let printed: String = commands.iter().zip(&outputs).map(|(c, o)| format!("\u{1b}[1m$ {c}\u{1b}[0m\n{o}")).collect();
            prop_assert_eq!(without_headers(&commands, &printed), outputs.concat());
        }
    }
}
