//! `windlass server key`.

use super::super::{moment, print_json, secret::header};
use crate::{
    args::{KeyAddArgs, KeyCommand},
    exit::{Exit, problem},
    style,
};
use windlass_server::{Desk, KeyRow, NewKey};

pub(super) async fn key(desk: &Desk, command: KeyCommand) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::Add(args) => add(desk, args).await,
        KeyCommand::List { user, json } => list(desk.keys(user.as_deref()).await.map_err(problem)?, json),
        KeyCommand::Revoke { id } => {
            let ended = desk.revoke_key(id).await.map_err(problem)?;
            let good = style::paint(style::GOOD, "✔");
            anstream::eprintln!("{good} key {id} of {} ({}) is ended, with its sessions", ended.user, ended.name);
            Ok(Exit::Success)
        }
    }
}

async fn add(desk: &Desk, args: KeyAddArgs) -> anyhow::Result<Exit> {
    let new = NewKey { name: args.name, role: args.role.into(), days: args.days, user: None };
    let made = desk.add_key(&args.user, &new).await.map_err(problem)?;
    if args.json {
        return print_json(&made);
    }
    let row = &made.row;
    let until = row.expires_at_ms.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", moment(at)));
    let good = style::paint(style::GOOD, "✔");
    anstream::eprintln!("{good} key {} of {} ({}, {until}), shown this once:", row.id, row.user, row.role);
    println!("{}", made.key);
    Ok(Exit::Success)
}

fn list(keys: Vec<KeyRow>, json: bool) -> anyhow::Result<Exit> {
    if json {
        return print_json(&keys);
    }
    if keys.is_empty() {
        eprintln!("no keys; `windlass server key add FOR-WHAT --user NAME --role ROLE` makes one");
        return Ok(Exit::Success);
    }
    let time = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), moment);
    let mut rows = vec![header(&["KEY", "USER", "ROLE", "BEGINS WITH", "UNTIL", "USED", "FOR"])];
    for key in keys {
        rows.push(vec![
            key.id.to_string(),
            key.user,
            key.role.to_string(),
            key.prefix,
            time(key.expires_at_ms),
            time(key.used_at_ms),
            key.name,
        ]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}
