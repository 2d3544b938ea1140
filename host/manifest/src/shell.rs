//! Templates in shell text: each is taken out, and a variable that holds its value stands in its place.
//!
//! A value is never spliced into shell text: it could end a word, a quote or a command. [`hoist`] replaces each
//! `{{ expression }}` by a reference to an environment variable, quoted so that the shell reads exactly the value as
//! (part of) one word: `"${WINDLASS_T1}"` where the text is unquoted, `${WINDLASS_T1}` within double quotes, and
//! `'"${WINDLASS_T1}"'` within single ones.
//!
//! - The scanner knows quotes, escapes, comments, `$(…)`, `(…)`, `${…}` and `$((…))`, as POSIX shells and bash read them alike.
//! - Where they do not agree, or where a shell reads a text a second time (`eval`, `sh -c` within the text), a template is an
//!   [`Unsure`] fault and never a guess: here-documents, backticks, arithmetic, `${…}`, `$'…'`, `case` within `$(…)`.
//! - bash computes what stands where it wants a number or a variable's name, and what stands in brackets there is computed too,
//!   quoted or not: `a[$(…)]` in `[[ … -eq … ]]`, `let`, `read`, `declare`, `x[…]=`. A template there is a fault too.
//! - A text without templates is not looked at: what it says is the author's own.
//!
//! Not here: running a shell, and what becomes of the variables (`container`).

use std::ops::Range;

/// What the names of the variables begin with; a number from 1 follows.
pub(crate) const VARIABLE: &str = "WINDLASS_T";

/// The names that a POSIX shell goes by.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"];
/// What a text is for `eval` and the like.
pub(crate) const READ_TWICE: &str = "text that a shell reads a second time";
/// The commands that read their arguments as shell text again, here or elsewhere.
const READ_AGAIN: &[&str] = &["eval", "trap", "alias", "ssh", "su", "let", "compgen"];
/// The variables whose values a shell reads as shell text later.
const READ_LATER: &[&str] = &["PS4=", "ENV=", "BASH_ENV=", "PROMPT_COMMAND="];
/// The commands that read their arguments as names of variables.
const NAMING: &[&str] = &["read", "unset", "mapfile", "readarray", "getopts", "wait"];
/// Those that read them as names with values.
const DECLARING: &[&str] = &["declare", "typeset", "local", "readonly", "export"];
/// What a text is where bash wants a variable's name.
const NAMED: &str = "a variable's name, in which bash computes what stands in brackets";
/// The operators of `[[ … ]]` that compute both sides, or want a name.
const COMPUTING: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"];
/// The words that a command may follow.
const PREFIXES: &[&str] = &[
    "sudo", "env", "exec", "nohup", "time", "command", "builtin", "!", "{", "if", "then", "else", "elif", "while",
    "until", "do",
];

/// A template in a text: where it stands with its braces, and the expression in them without white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template<'t> {
    pub(crate) span: Range<usize>,
    pub(crate) expression: &'t str,
}

impl<'t> Template<'t> {
    /// The one at this place of a text.
    pub(crate) fn at(text: &'t str, span: Range<usize>) -> Self {
        Template { expression: text[span.start + 2..span.end - 2].trim(), span }
    }
}

/// A shell text without templates.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hoisted {
    /// The text.
    pub(crate) text: String,
    /// For each template of the text, the number of its variable, as in `expressions`.
    pub(crate) numbers: Vec<usize>,
}

/// A place where it is not known how a shell would read a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsure {
    /// The template.
    pub(crate) span: Range<usize>,
    /// What it stands in: "a here-document".
    pub(crate) within: &'static str,
}

/// Takes the templates out of a shell text. The n-th of `expressions` is the value of the variable with the number n, counted
/// from 1: those that are new are added, and one that is there already is used again.
pub(crate) fn hoist(text: &str, templates: &[Template<'_>], expressions: &mut Vec<String>) -> Result<Hoisted, Unsure> {
    let mut scanner = Scanner {
        text,
        at: 0,
        out: String::with_capacity(text.len()),
        stack: Vec::new(),
        words: Words::default(),
        outer: Vec::new(),
        lost: None,
    };
    let mut numbers = Vec::with_capacity(templates.len());
    for template in templates {
        scanner.advance(template.span.start);
        let unsure = |within| Unsure { span: template.span.clone(), within };
        let number = match expressions.iter().position(|known| known == template.expression) {
            Some(known) => known + 1,
            None => {
                expressions.push(template.expression.to_owned());
                expressions.len()
            }
        };
        scanner.put(number).map_err(unsure)?;
        scanner.at = template.span.end;
        numbers.push(number);
    }
    scanner.advance(text.len());
    if let Some(within) = scanner.open_quote() {
        let span = templates.last().map_or(0..0, |template| template.span.clone());
        return Err(Unsure { span, within });
    }
    Ok(Hoisted { text: scanner.out, numbers })
}

/// Where in an argv the text stands that a shell reads: `[sh, -c, TEXT, …]`, also behind `env` and `busybox`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// No argument is shell text.
    None,
    /// This one is.
    At(usize),
    /// This one is read by a shell that another command starts, which may not hand the environment on, or by one that computes
    /// what stands in plain `[ … ]`.
    Behind(usize),
}

/// Finds the shell text in an argv.
pub(crate) fn script(argv: &[String]) -> Script {
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let Some(shell) = argv.iter().position(|word| SHELLS.contains(&base(word).as_str())) else { return Script::None };
    let mut at = shell + 1;
    let mut command = false;
    while let Some(word) = argv.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        let Some(flags) = word.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else { break };
        if !flags.starts_with('-') {
            command |= flags.contains('c');
            // `-o NAME` takes the next word.
            at += usize::from(flags.ends_with('o'));
        }
        at += 1;
    }
    if !command || at >= argv.len() {
        return Script::None;
    }
    let computes = matches!(base(&argv[shell]).as_str(), "zsh" | "ksh" | "mksh");
    let plain = !computes && argv[..shell].iter().all(|word| matches!(base(word).as_str(), "env" | "busybox" | "exec"));
    if plain { Script::At(at) } else { Script::Behind(at) }
}

/// What the scanner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `$(…)`
    Command,
    /// `(…)`
    Parens,
    /// `${…}`
    Parameter,
    /// `$((…))` or `((…))`
    Arithmetic,
    /// `` `…` ``
    Backticks,
    /// `# …`
    Comment,
}

/// The words of the simple command that is being read, as far as they matter.
#[derive(Debug, Default)]
struct Words {
    current: String,
    /// The command's name was read.
    named: bool,
    /// A shell was named: its `-c` takes shell text.
    shell: bool,
    /// What follows is read as shell text.
    read_again: bool,
    /// What follows names variables.
    naming: bool,
    /// What follows declares variables: names with values.
    declaring: bool,
    /// So do the values: they are numbers, references, or lists.
    computing: bool,
    /// The last word was `-v`, which a variable's name follows.
    before_name: bool,
}

impl Words {
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.current);
        if word.is_empty() {
            return;
        }
        let base = word.rsplit('/').next().unwrap_or_default();
        self.read_again |=
            (!self.named && READ_AGAIN.contains(&base)) || (self.shell && word.starts_with('-') && word.contains('c'));
        self.naming |= !self.named && NAMING.contains(&base);
        self.computing |= self.declaring && word.starts_with('-') && word.contains(['i', 'n', 'a', 'A']);
        self.declaring |= !self.named && DECLARING.contains(&base);
        self.before_name = word == "-v";
        self.shell |= SHELLS.contains(&base);
        self.named |= !PREFIXES.contains(&base) && !word.starts_with('-') && !word.contains('=');
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    out: String,
    stack: Vec<In>,
    words: Words,
    /// Those of the commands around `$(…)`.
    outer: Vec<Words>,
    /// From here on, nothing is sure any more.
    lost: Option<&'static str>,
}

impl Scanner<'_> {
    fn inside(&self) -> Option<In> {
        self.stack.last().copied()
    }

    /// Reads on to `end`, and copies what it reads.
    fn advance(&mut self, end: usize) {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while self.at < end {
            let next = bytes.get(self.at + 1).copied().filter(|_| self.at + 1 < end);
            self.step(bytes[self.at], next);
            self.at += 1;
        }
        // A backslash may have taken one byte more: the first of a template, which is then refused.
        self.out.push_str(&self.text[start.min(end)..end]);
        self.at = end;
    }

    /// Reads one byte. None of those that matter is part of a longer character.
    fn step(&mut self, byte: u8, next: Option<u8>) {
        match self.inside() {
            Some(In::Single) => {
                if byte == b'\'' {
                    self.stack.pop();
                } else {
                    self.words.current.push(char::from(byte));
                }
            }
            Some(In::Comment) => {
                if byte == b'\n' {
                    self.stack.pop();
                    self.words = Words::default();
                }
            }
            Some(In::Backticks) => match byte {
                b'\\' => self.at += 1,
                b'`' => {
                    self.stack.pop();
                }
                _ => {}
            },
            Some(In::Double) => match byte {
                b'\\' => self.escaped(next),
                b'"' => {
                    self.stack.pop();
                }
                b'$' => self.dollar(next),
                b'`' => self.stack.push(In::Backticks),
                _ => self.words.current.push(char::from(byte)),
            },
            Some(In::Parameter) => match byte {
                b'\\' => self.at += 1,
                b'}' => {
                    self.stack.pop();
                }
                b'"' => self.stack.push(In::Double),
                b'\'' if !self.stack.contains(&In::Double) => self.stack.push(In::Single),
                b'\'' => self.lost = Some("text after a quote within `${…}`"),
                b'`' => self.stack.push(In::Backticks),
                b'$' => self.dollar(next),
                _ => {}
            },
            Some(In::Arithmetic) => match byte {
                b')' if next == Some(b')') => {
                    self.at += 1;
                    self.stack.pop();
                }
                b'(' => self.stack.push(In::Parens),
                b'$' => self.dollar(next),
                b'\'' | b'"' | b'`' => self.lost = Some("text after a quote within `$((…))`"),
                _ => {}
            },
            None | Some(In::Command | In::Parens) => self.plain(byte, next),
        }
    }

    /// Reads one byte outside of quotes.
    fn plain(&mut self, byte: u8, next: Option<u8>) {
        match byte {
            b'\\' => self.escaped(next),
            b'\'' => self.stack.push(In::Single),
            b'"' => self.stack.push(In::Double),
            b'`' => self.stack.push(In::Backticks),
            b'$' => self.dollar(next),
            b'#' if self.words.current.is_empty() && self.starts_word() => self.stack.push(In::Comment),
            b'<' if next == Some(b'<') => {
                let third = self.text.as_bytes().get(self.at + 2);
                if third == Some(&b'<') {
                    self.at += 2;
                } else if !self.stack.contains(&In::Arithmetic) {
                    self.lost = Some("what follows a here-document");
                    self.at += 1;
                }
            }
            b'(' if next == Some(b'(') && self.words.current.is_empty() => {
                self.at += 1;
                self.stack.push(In::Arithmetic);
            }
            b'(' => {
                self.words = Words::default();
                self.stack.push(In::Parens);
            }
            b')' => {
                // One that nothing opened ends a pattern of `case`.
                let closed = self.stack.pop();
                let outer = if closed == Some(In::Command) { self.outer.pop() } else { None };
                self.words = outer.unwrap_or_default();
            }
            b' ' | b'\t' => {
                if self.words.current == "case" && self.stack.contains(&In::Command) {
                    self.lost = Some("what follows `case` within `$(…)`");
                }
                self.words.end_word();
                if self.words.computing {
                    self.lost = Some("what follows a declaration of numbers, references or lists, which bash computes");
                }
            }
            b'\n' | b';' | b'&' | b'|' => self.words = Words::default(),
            b'<' | b'>' => self.words.end_word(),
            _ => self.words.current.push(char::from(byte)),
        }
    }

    /// Reads what a backslash takes its meaning from: it stays part of the word, but for the end of a line.
    fn escaped(&mut self, next: Option<u8>) {
        self.at += 1;
        self.words.current.extend(next.filter(|byte| *byte != b'\n').map(char::from));
    }

    /// Reads a `$` outside of single quotes.
    fn dollar(&mut self, next: Option<u8>) {
        match next {
            Some(b'(') => {
                let arithmetic = self.text.as_bytes().get(self.at + 2) == Some(&b'(');
                self.at += 1 + usize::from(arithmetic);
                self.stack.push(if arithmetic { In::Arithmetic } else { In::Command });
                if !arithmetic {
                    self.outer.push(std::mem::take(&mut self.words));
                }
            }
            Some(b'{') => {
                self.at += 1;
                self.stack.push(In::Parameter);
            }
            Some(b'\'') if self.inside() != Some(In::Double) => {
                self.lost = Some("text after `$'…'`, which shells read differently");
            }
            Some(b'$') => self.at += 1,
            _ => self.words.current.push('$'),
        }
    }

    /// Whether the byte before this one ends a word. The end of a line behind a backslash is no byte.
    fn starts_word(&self) -> bool {
        let mut before = &self.text.as_bytes()[..self.at];
        while let Some(line) = before.strip_suffix(b"\n")
            && line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
        {
            before = &line[..line.len() - 1];
        }
        before.last().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')'))
    }

    /// What bash would compute a value here for, however it is quoted.
    fn computed(&self) -> Option<&'static str> {
        let words = &self.words;
        let word = words.current.as_str();
        if READ_LATER.iter().any(|name| word.starts_with(name)) {
            return Some(READ_TWICE);
        }
        // What `<<<` hands over is no argument.
        let handed = self.out.trim_end_matches(['"', '\'', ' ', '\t']).ends_with('<');
        let named = (words.naming && !handed) || (words.declaring && !handed && !word.contains('='));
        if named || words.before_name || word == "-v" || (!words.named && word.contains('[') && !word.contains(']')) {
            return Some(NAMED);
        }
        let open = self.text[..self.at].rfind("[[").filter(|open| !self.text[*open..self.at].contains("]]"))?;
        let rest = &self.text[open..];
        let test = rest.find("]]").map_or(rest, |close| &rest[..close]);
        let computes = test.split_ascii_whitespace().any(|word| COMPUTING.contains(&word));
        computes.then_some("a comparison of numbers in `[[ … ]]`, which bash computes")
    }

    /// Puts a variable's value here as part of one word.
    fn put(&mut self, number: usize) -> Result<(), &'static str> {
        if let Some(lost) = self.lost {
            return Err(lost);
        }
        if self.stack.contains(&In::Backticks) {
            return Err("backticks");
        }
        if self.stack.contains(&In::Arithmetic) {
            return Err("arithmetic");
        }
        if self.stack.contains(&In::Parameter) {
            return Err("`${…}`");
        }
        let inside = self.inside();
        if inside == Some(In::Comment) {
            self.out.push_str(&format!("${{{VARIABLE}{number}}}"));
            return Ok(());
        }
        // Only now does a word that the template itself goes on count: `--x={{ y }}`.
        if self.words.read_again || self.outer.iter().any(|words| words.read_again) {
            return Err(READ_TWICE);
        }
        if let Some(computed) = self.computed() {
            return Err(computed);
        }
        let before = self.out.as_bytes();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        let dollars = before.iter().rev().take_while(|byte| **byte == b'$').count();
        if inside != Some(In::Single) && (backslashes % 2 == 1 || dollars > 0) {
            return Err(if dollars > 0 { "text after `$`" } else { "text after a backslash" });
        }
        self.words.current.push('x');
        match inside {
            Some(In::Single) => self.out.push_str(&format!("'\"${{{VARIABLE}{number}}}\"'")),
            Some(In::Double) => self.out.push_str(&format!("${{{VARIABLE}{number}}}")),
            _ => self.out.push_str(&format!("\"${{{VARIABLE}{number}}}\"")),
        }
        Ok(())
    }

    /// What was not closed at the end.
    fn open_quote(&self) -> Option<&'static str> {
        match self.inside()? {
            _ if self.lost.is_some() => None,
            In::Comment => None,
            In::Single | In::Double | In::Backticks => Some("text whose quotes are not closed"),
            _ => Some("text whose brackets are not closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(text: &str) -> Vec<Template<'_>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|open| at + open) {
            let close = open + text[open..].find("}}").expect("closed") + 2;
            found.push(Template { span: open..close, expression: text[open + 2..close - 2].trim() });
            at = close;
        }
        found
    }

    fn hoisted(text: &str) -> Result<String, &'static str> {
        hoist(text, &templates(text), &mut Vec::new()).map(|hoisted| hoisted.text).map_err(|unsure| unsure.within)
    }

    #[test]
    fn each_template_becomes_one_words_text() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                hoisted(text).as_deref(),
                Ok(expect.replace("$1", "${WINDLASS_T1}").replace("$2", "${WINDLASS_T2}").as_str()),
                "{text}"
            );
        };
        check("echo {{ x }}", "echo \"$1\"");
        check("echo {{ x }}{{y}} {{x}}", "echo \"$1\"\"$2\" \"$1\"");
        check("echo \"a {{ x }} b\"", "echo \"a $1 b\"");
        check("echo 'a {{ x }} b'", "echo 'a '\"$1\"' b'");
        check("echo it\\'s {{ x }}", "echo it\\'s \"$1\"");
        check("echo \"\\\" {{ x }}\"", "echo \"\\\" $1\"");
        check("echo \"$(cat {{ x }} \"{{ y }}\")\" {{ x }}", "echo \"$(cat \"$1\" \"$2\")\" \"$1\"");
        check("echo \"$(echo ')' '(' \"{{ x }}\")\"", "echo \"$(echo ')' '(' \"$1\")\"");
        check("# it's {{ x }}\necho {{ x }}", "# it's $1\necho \"$1\"");
        check("echo a#b' {{ x }}'", "echo a#b' '\"$1\"''");
        check("echo ${#a} ${a%\\}} \"${b:-c}\" ; x={{ x }}", "echo ${#a} ${a%\\}} \"${b:-c}\" ; x=\"$1\"");
        check("a=$((1 + (2 << 3))); echo {{ x }}", "a=$((1 + (2 << 3))); echo \"$1\"");
        check("case $a in b) echo {{ x }};; esac", "case $a in b) echo \"$1\";; esac");
        check("echo `date '` {{ x }}", "echo `date '` \"$1\"");
        check("cat <<< {{ x }}", "cat <<< \"$1\"");
        check("( cd {{ x }} && ls ) | wc > {{ y }}", "( cd \"$1\" && ls ) | wc > \"$2\"");
        check("sh {{ x }}; bash script {{ y }}", "sh \"$1\"; bash script \"$2\"");
        check(
            "docker build -t {{ x }}:{{ y }} /w\ndocker push {{ x }}",
            "docker build -t \"$1\":\"$2\" /w\ndocker push \"$1\"",
        );
        check("echo $$ 'a$'{{ x }}", "echo $$ 'a$'\"$1\"");
        check("echo 'a$\\{{ x }}'", "echo 'a$\\'\"$1\"''");
        check("echo \\\\{{ x }}", "echo \\\\\"$1\"");
        check("echo {{ x }}; cat <<E\nit's\nE", "echo \"$1\"; cat <<E\nit's\nE");
        check("apt-get install ssh {{ x }}; echo eval {{ x }}", "apt-get install ssh \"$1\"; echo eval \"$1\"");
        check("echo é {{ x }} ü", "echo é \"$1\" ü");
        check("echo ''\\\n#{{ x }}", "echo ''\\\n#\"$1\"");
        check("echo \\\n# {{ x }}", "echo \\\n# $1");
        check("echo \\\\\n# {{ x }}", "echo \\\\\n# $1");
        check("[[ -n {{ x }} && a == {{ y }} ]]", "[[ -n \"$1\" && a == \"$2\" ]]");
        check("[[ 1 -eq $a ]] || echo {{ x }}", "[[ 1 -eq $a ]] || echo \"$1\"");
        check("local a={{ x }}; export B=\"{{ y }}\"", "local a=\"$1\"; export B=\"$2\"");
        check("read -r a b <<< {{ x }}", "read -r a b <<< \"$1\"");
        check("ls [{{ x }}]; x[1]={{ x }}", "ls [\"$1\"]; x[1]=\"$1\"");
    }

    #[test]
    fn where_it_is_not_sure_it_says_so() {
        let check = |text: &str, expect: &'static str| assert_eq!(hoisted(text), Err(expect), "{text}");
        check("cat <<END\n{{ x }}\nEND", "what follows a here-document");
        check("cat <<'E'\nit's\nE\necho {{ x }}", "what follows a here-document");
        check("echo `echo {{ x }}`", "backticks");
        check("echo \"`echo {{ x }}`\"", "backticks");
        check("echo $(( {{ x }} + 1 ))", "arithmetic");
        check("(( i = {{ x }} ))", "arithmetic");
        check("echo ${a:-{{ x }}}", "`${…}`");
        check("echo \"${a:-\"{{ x }}\"}\"", "`${…}`");
        check("echo \"${a:-'}'}\" {{ x }}", "text after a quote within `${…}`");
        check("echo $'it\\'s' {{ x }}", "text after `$'…'`, which shells read differently");
        check("echo \"$(case a in a) echo {{ x }};; esac)\"", "what follows `case` within `$(…)`");
        check("eval echo {{ x }}", "text that a shell reads a second time");
        check("cd /a && sudo /bin/sh -ec \"echo {{ x }}\"", "text that a shell reads a second time");
        check("ssh host 'echo {{ x }}'", "text that a shell reads a second time");
        check("trap 'rm {{ x }}' EXIT", "text that a shell reads a second time");
        check("echo $(eval \"echo {{ x }}\")", "text that a shell reads a second time");
        check("eval \"$(date)\" {{ x }}", "text that a shell reads a second time");
        check("sudo eval \"$(echo {{ x }})\"", "text that a shell reads a second time");
        check("\\ev\"a\"\\\nl {{ x }}", "text that a shell reads a second time");
        check("A=b 'eval' {{ x }}", "text that a shell reads a second time");
        check("let {{ x }}", READ_TWICE);
        check("PS4={{ x }}", READ_TWICE);
        check("export BASH_ENV='{{ x }}'", READ_TWICE);
        for text in [
            "read {{ x }} <<< a",
            "unset \"{{ x }}\"",
            "declare {{ x }}=1",
            "local '{{ x }}'",
            "printf -v {{ x }} a",
            "printf -v{{ x }} a",
            "wait -n -p {{ x }}",
            "mapfile {{ x }}",
            "[ -v {{ x }} ]",
            "x[{{ x }}]=1",
            "x=([{{ x }}]=1)",
        ] {
            check(text, NAMED);
        }
        for text in [
            "[[ {{ x }} -eq 1 ]]",
            "[[ a && 1 -lt \"{{ x }}\" ]]",
            "[[ -R {{ x }} ]]",
            "[[ $a -eq 1 && {{ x }} == a ]]",
        ] {
            check(text, "a comparison of numbers in `[[ … ]]`, which bash computes");
        }
        check(
            "declare -i n; n={{ x }}",
            "what follows a declaration of numbers, references or lists, which bash computes",
        );
        for text in ["declare -n r={{ x }}; echo $r", "local -A r={{ x }}", "declare -a r={{ x }}"] {
            check(text, "what follows a declaration of numbers, references or lists, which bash computes");
        }
        check(
            "typeset -xi n={{ x }}",
            "what follows a declaration of numbers, references or lists, which bash computes",
        );
        check("echo ${{ x }}", "text after `$`");
        check("echo \"${{ x }}\"", "text after `$`");
        check("echo \\{{ x }}", "text after a backslash");
        check("echo \"\\{{ x }}\"", "text after a backslash");
        check("echo {{ x }} 'open", "text whose quotes are not closed");
        check("echo \"{{ x }}", "text whose quotes are not closed");
        check("echo $(date {{ x }}", "text whose brackets are not closed");
    }

    #[test]
    fn shell_text_in_an_argv() {
        let check = |argv: &str, expect: Script| {
            let argv: Vec<String> = argv.split(' ').map(str::to_owned).collect();
            assert_eq!(script(&argv), expect, "{argv:?}");
        };
        check("sh -c X", Script::At(2));
        check("/bin/bash -euo pipefail -c X a b", Script::At(4));
        check("bash -o pipefail -ec X", Script::At(4));
        check("/usr/bin/env bash --norc -c -- X", Script::At(5));
        check("busybox sh -c X", Script::At(3));
        check("docker run i sh -c X", Script::Behind(5));
        check("zsh -c X", Script::Behind(2));
        check("sh script.sh -c X", Script::None);
        check("sh -c", Script::None);
        check("cargo build -c X", Script::None);
    }
}
