//! `windlass secret`.

use super::{moment, print_json};
use crate::{
    app::App,
    args::SecretCommand,
    exit::{Exit, UsageError, coded},
    style,
};
use anyhow::Context as _;
use std::io::{IsTerminal as _, Read as _};
use windlass_contract::{SecretReference, SecretValue};

/// The longest value that is taken: 64 KiB, room for any key or certificate chain.
const MAX_VALUE: u64 = 64 * 1024;

pub(crate) async fn secret(app: &App, command: SecretCommand) -> anyhow::Result<Exit> {
    let vault = app.vault();
    match command {
        SecretCommand::Set { name, hosts } => {
            let name = reference(&name)?;
            let what = format!("value of secret:{name}");
            let value = read_value(&what, &format!("windlass secret set {name}"))?;
            vault.set(&name, &SecretValue::new(value), &hosts).map_err(coded)?;
            let bound = if hosts.is_empty() {
                "containers and signatures only; --host lets it be sent over HTTP".to_owned()
            } else {
                format!("may be sent to {}", hosts.join(", "))
            };
            anstream::eprintln!("{} secret:{name} is set ({bound})", style::paint(style::GOOD, "✔"));
            Ok(Exit::Success)
        }
        SecretCommand::List { json } => {
            let all = vault.list().map_err(coded)?;
            if json {
                return print_json(&all);
            }
            if all.is_empty() {
                eprintln!("no secrets; `windlass secret set ENGINE/PATH` keeps one");
                return Ok(Exit::Success);
            }
            let mut rows = vec![header(&["NAME", "HOSTS", "SET"])];
            for entry in all {
                let hosts = if entry.hosts.is_empty() { "-".to_owned() } else { entry.hosts.join(", ") };
                rows.push(vec![format!("secret:{}", entry.name), hosts, moment(entry.set_at * 1000)]);
            }
            anstream::print!("{}", style::table(&rows));
            Ok(Exit::Success)
        }
        SecretCommand::Remove { name } => {
            let name = reference(&name)?;
            vault.remove(&name).map_err(coded)?;
            anstream::eprintln!("{} secret:{name} is removed", style::paint(style::GOOD, "✔"));
            Ok(Exit::Success)
        }
    }
}

pub(super) fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| style::paint(style::FAINT, name)).collect()
}

fn reference(text: &str) -> anyhow::Result<SecretReference> {
    let text = text.strip_prefix("secret:").unwrap_or(text);
    text.parse().map_err(|error: windlass_contract::NameError| UsageError(error.to_string()).into())
}

/// From standard input, never from the command line, where it would stay in the shell's history and in `ps`. `what` is asked
/// for; `command` is the one that reads it.
pub(super) fn read_value(what: &str, command: &str) -> anyhow::Result<Vec<u8>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("{what} (it is shown as you type; end with Ctrl-D on a line of its own):");
    }
    let mut value = Vec::new();
    input.lock().take(MAX_VALUE + 1).read_to_end(&mut value).context("cannot read the value")?;
    if value.len() as u64 > MAX_VALUE {
        return Err(UsageError(format!("the value is longer than {} KiB", MAX_VALUE / 1024)).into());
    }
    // The newline that `echo` and a terminal add is not part of it; a value of several lines keeps its inner ones.
    while value.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        value.pop();
    }
    if value.is_empty() {
        return Err(UsageError(format!("no value on standard input; try: printf %s VALUE | {command}")).into());
    }
    Ok(value)
}
