//! A new password: from standard input, or from whoever types it, without an echo. Never from the command line, where it would stay in the
//! shell's history and in `ps`.

use super::super::secret::read_value;
use crate::exit::UsageError;
use anyhow::Context as _;
use std::io::IsTerminal as _;

/// A new password of `user`; `command` is the one that reads it.
pub(super) fn new_password(user: &str, command: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let value = read_value(&format!("password of {user}"), command)?;
        return String::from_utf8(value).map_err(|_| UsageError("a password is text (UTF-8)".to_owned()).into());
    }
    let password = ask(&format!("new password of {user}: "))?;
    if password != ask("the same again: ")? {
        return Err(UsageError("these were two different passwords; nothing was changed".to_owned()).into());
    }
    Ok(password)
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    let terminal = console::Term::stderr();
    if !terminal.is_term() {
        let words = "a password is asked for on a terminal; let standard error be one, or pass it on standard input";
        return Err(UsageError(words.to_owned()).into());
    }
    terminal.write_str(prompt).and_then(|()| terminal.read_secure_line()).context("cannot read the password")
}
