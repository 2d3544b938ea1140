//! `windlass server user`.

use super::{
    super::{moment, print_json, secret::header},
    password::new_password,
};
use crate::{
    args::{UserAddArgs, UserCommand},
    exit::{Exit, problem},
    style,
};
use windlass_server::{Desk, NewUser, Problem, Role, User, UserChange};

pub(super) async fn user(desk: &Desk, command: UserCommand) -> anyhow::Result<Exit> {
    let told = match command {
        UserCommand::List { json } => return list(desk.users().await.map_err(problem)?, json),
        UserCommand::Add(args) => add(desk, args).await?,
        UserCommand::Password { name } => {
            let password = new_password(&name, &format!("windlass server user password {name}"))?;
            let user = desk.set_password(&name, &password).await.map_err(problem)?;
            format!("the password of {} is set, and their sessions are ended", user.name)
        }
        UserCommand::Role { name, role } => change(desk, &name, with_role(role.into())).await.map_err(problem)?,
        UserCommand::Profile { name, profile } => {
            let change =
                UserChange { display_name: profile.display_name, email: profile.email, ..UserChange::default() };
            let user = desk.change(&name, &change).await.map_err(problem)?;
            format!("{} is {}", user.name, called(&user))
        }
        UserCommand::Disable { name } => {
            let user = desk.change(&name, &disabled(true)).await.map_err(problem)?;
            format!("{} is disabled: their sessions are ended, and their keys refused", user.name)
        }
        UserCommand::Enable { name } => {
            let user = desk.change(&name, &disabled(false)).await.map_err(problem)?;
            format!("{} is enabled", user.name)
        }
        UserCommand::Remove { name } => {
            let user = desk.remove(&name).await.map_err(problem)?;
            format!("{} is removed, with their keys and sessions; the name is not given again", user.name)
        }
    };
    anstream::eprintln!("{} {told}", style::paint(style::GOOD, "✔"));
    Ok(Exit::Success)
}

async fn add(desk: &Desk, args: UserAddArgs) -> anyhow::Result<String> {
    let UserAddArgs { name, role, profile, no_password } = args;
    let password = match no_password {
        true => None,
        false => Some(new_password(&name, &format!("windlass server user add {name}"))?),
    };
    let new = NewUser { name, display_name: profile.display_name, email: profile.email, role: role.into(), password };
    let user = desk.add(&new).await.map_err(problem)?;
    Ok(format!("{} is a user ({}, {})", user.name, user.role, comes_by(&user)))
}

async fn change(desk: &Desk, name: &str, change: UserChange) -> Result<String, Problem> {
    let user = desk.change(name, &change).await?;
    Ok(format!("{} is {} from now on", user.name, user.role))
}

fn with_role(role: Role) -> UserChange {
    UserChange { role: Some(role), ..UserChange::default() }
}

fn disabled(disabled: bool) -> UserChange {
    UserChange { disabled: Some(disabled), ..UserChange::default() }
}

fn called(user: &User) -> String {
    let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("called {}, with the address {}", of(&user.display_name), of(&user.email))
}

fn comes_by(user: &User) -> String {
    match (user.has_password, &user.oidc_issuer) {
        (_, Some(issuer)) => issuer.clone(),
        (true, None) => "with a password".to_owned(),
        (false, None) => "without a password".to_owned(),
    }
}

fn list(users: Vec<User>, json: bool) -> anyhow::Result<Exit> {
    if json {
        return print_json(&users);
    }
    if users.is_empty() {
        eprintln!("nobody; `windlass server user add NAME --role admin` makes the first one");
        return Ok(Exit::Success);
    }
    let mut rows = vec![header(&["NAME", "ROLE", "COMES", "SEEN", "MADE"])];
    for user in users {
        let role = if user.disabled { format!("{}, disabled", user.role) } else { user.role.to_string() };
        let seen = user.seen_at_ms.map_or_else(|| "-".to_owned(), moment);
        rows.push(vec![user.name.clone(), role, comes_by(&user), seen, moment(user.created_at_ms)]);
    }
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}
