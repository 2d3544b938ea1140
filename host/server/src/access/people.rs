//! Users and their keys: who may change what of whom.
//!
//! **Invariants.**
//! - A key may never more than its user may, nor than whoever made it.
//! - Whoever has shown less than all that their account may (a key with a smaller role) changes nothing of the account: a key that leaked
//!   makes no other keys, and sets no password.
//! - What somebody may not see is not there for them: the answer is the same as where there is nothing.

use super::{
    Caller, Key, Role,
    password::{self, Passwords},
};
use crate::{App, Problem, clock::now_ms, problem::Kind};
use serde_json::json;
use windlass_store::{
    Records,
    records::accounts::{Changed, KeyEntry, NewKey, NewUser, User, UserChange},
};

/// The longest name of a user, in characters: 64.
pub(crate) const MAX_NAME: usize = 64;
/// The longest display name, in characters: 100, a line.
pub(crate) const MAX_DISPLAY_NAME: usize = 100;
/// The longest e-mail address, in bytes: 254, the longest that mail can have.
pub(crate) const MAX_EMAIL: usize = 254;
/// The longest name of a key, in characters: 100, a line.
pub(crate) const MAX_KEY_NAME: usize = 100;
/// How many keys a user has at most: 100.
pub(crate) const MAX_KEYS: u32 = 100;
/// How long a key that ends is valid at most, in days: 366.
pub(crate) const MAX_DAYS: u32 = 366;
/// Names that are not people's: see the audit.
const RESERVED: [&str; 2] = [crate::audit::SYSTEM, "anonymous"];

/// Whether this is a user's name: letters, digits, `.`, `_`, `-` and `@`, none of the latter first.
pub(crate) fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let all = text.chars().all(|each| each.is_ascii_alphanumeric() || "._-@".contains(each));
    first && all && text.len() <= MAX_NAME && !RESERVED.iter().any(|reserved| text.eq_ignore_ascii_case(reserved))
}

fn check_texts(display_name: Option<&str>, email: Option<&str>) -> Result<(), Problem> {
    if let Some(text) = display_name
        && (text.chars().count() > MAX_DISPLAY_NAME || text.chars().any(char::is_control))
    {
        return Err(Problem::field(
            "/display_name",
            format!("a name has at most {MAX_DISPLAY_NAME} characters, on one line"),
        ));
    }
    if let Some(text) = email
        && !text.is_empty()
        && (text.len() > MAX_EMAIL
            || text.chars().any(|each| each.is_control() || each.is_whitespace())
            || !text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()))
    {
        return Err(Problem::field("/email", format!("an e-mail address has an @ and at most {MAX_EMAIL} bytes")));
    }
    Ok(())
}

fn last_admin(name: &str) -> Problem {
    Problem::new(Kind::LastAdmin, format!("{name} is the last administrator who is not disabled"))
        .help("make somebody else an administrator first")
}

fn changed(changed: Changed, name: &str) -> Result<User, Problem> {
    match changed {
        Changed::Done(user) => Ok(user),
        Changed::Unknown => Err(unknown(name)),
        Changed::LastAdmin => Err(last_admin(name)),
    }
}

/// Where people are kept, and who changes them. What the changer may is asked before: of requests by their handlers and by
/// [`set_password`], [`create_key`] and [`delete_key`]; the machine's operator may all of it.
pub(crate) struct People<'a> {
    pub(crate) records: &'a Records,
    pub(crate) passwords: &'a Passwords,
    pub(crate) by: &'a Caller,
}

impl<'a> People<'a> {
    /// Those of the server, changed by who has sent a request.
    pub(crate) fn of(app: &'a App, by: &'a Caller) -> People<'a> {
        People { records: app.records(), passwords: &app.access().passwords, by }
    }

    /// Somebody by name.
    pub(crate) async fn find(&self, name: &str) -> Result<User, Problem> {
        self.records.user(name).await?.ok_or_else(|| unknown(name))
    }

    /// Makes a user.
    pub(crate) async fn create(&self, new: NewUser<'_>, password: Option<&str>) -> Result<User, Problem> {
        if !is_name(new.name) {
            let words = format!(
                "a name begins with a letter or digit, and has at most {MAX_NAME} letters, digits, `.`, `_`, `-` and `@`"
            );
            return Err(Problem::field("/name", words));
        }
        check_texts(new.display_name, new.email)?;
        let hash = match password {
            Some(password) => {
                password::check(password, new.name)?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let new = NewUser { password: hash.as_deref(), ..new };
        let mut change = self.records.change().await?;
        let made = change.create_user(&new).await?;
        let taken = || Problem::new(Kind::Conflict, format!("the name {:?} is or was somebody's", new.name));
        let user = made.ok_or_else(|| taken().at("/name", "is or was somebody's"))?;
        let detail = json!({ "role": user.role, "password": user.password.is_some() });
        change.commit(&self.by.did("user.create", &user.name, detail)).await?;
        Ok(user)
    }

    /// Changes a user.
    pub(crate) async fn change(&self, name: &str, wanted: UserChange<'_>) -> Result<User, Problem> {
        check_texts(wanted.display_name, wanted.email)?;
        let mut change = self.records.change().await?;
        let user = changed(change.change_user(name, wanted).await?, name)?;
        let mut detail = serde_json::Map::new();
        if let Some(role) = wanted.role {
            detail.insert("role".to_owned(), role.into());
        }
        if let Some(disabled) = wanted.disabled {
            detail.insert("disabled".to_owned(), disabled.into());
        }
        if wanted.display_name.is_some() || wanted.email.is_some() {
            detail.insert("profile".to_owned(), true.into());
        }
        change.commit(&self.by.did("user.change", &user.name, detail.into())).await?;
        Ok(user)
    }

    /// Deletes a user.
    pub(crate) async fn delete(&self, name: &str) -> Result<User, Problem> {
        let mut change = self.records.change().await?;
        let user = changed(change.delete_user(name).await?, name)?;
        change.commit(&self.by.did("user.delete", &user.name, json!({}))).await?;
        Ok(user)
    }

    /// Sets somebody's password.
    pub(crate) async fn set_password(&self, user: &User, password: &str) -> Result<(), Problem> {
        password::check(password, &user.name)?;
        let hash = self.passwords.hash(password).await?;
        let mut change = self.records.change().await?;
        if !change.set_password(&user.name, &hash).await? {
            return Err(unknown(&user.name));
        }
        Ok(change.commit(&self.by.did("user.set-password", &user.name, json!({}))).await?)
    }

    /// Makes a key of somebody.
    pub(crate) async fn create_key(&self, owner: &User, wanted: Wanted<'_>) -> Result<(Key, KeyEntry), Problem> {
        let Wanted { name, role, days } = wanted;
        if name.trim().is_empty() || name.chars().count() > MAX_KEY_NAME || name.chars().any(char::is_control) {
            let words = format!("a key's name has 1 to {MAX_KEY_NAME} characters, on one line");
            return Err(Problem::field("/name", words));
        }
        if days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
            return Err(Problem::field("/days", format!("a key is valid for 1 to {MAX_DAYS} days")));
        }
        if Role::parse(&owner.role).is_none_or(|most| role > most) {
            return Err(Problem::field("/role", format!("a key may at most what its user may: {}", owner.role)));
        }
        let (key, now) = (Key::new(), now_ms());
        let new = NewKey {
            user: owner.id,
            name: name.trim(),
            hash: key.hash(),
            prefix: key.prefix(),
            role: role.name(),
            at_ms: now,
            expires_at_ms: days.map(|days| now + u64::from(days) * 24 * 3_600_000),
        };
        let mut change = self.records.change().await?;
        let entry = change.make_key(&new, MAX_KEYS).await?.ok_or_else(|| {
            Problem::new(Kind::Conflict, format!("{} has {MAX_KEYS} keys already", owner.name))
                .help("end one that is not used")
        })?;
        let detail = json!({ "user": entry.user, "key": entry.prefix, "role": entry.role, "days": days });
        change.commit(&self.by.did("key.create", &entry.id.to_string(), detail)).await?;
        Ok((key, entry))
    }

    /// Ends a key; only one of this user, where one is named.
    pub(crate) async fn delete_key(&self, id: i64, of: Option<i64>) -> Result<KeyEntry, Problem> {
        let mut change = self.records.change().await?;
        let ended = change.delete_key(id, of).await?;
        let ended = ended.ok_or_else(|| Problem::not_found(format!("key {id}")))?;
        let detail = json!({ "user": ended.user, "key": ended.prefix });
        change.commit(&self.by.did("key.delete", &id.to_string(), detail)).await?;
        Ok(ended)
    }
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("user {name:?}"))
}

/// One's own user, if what was shown is worth all that the account may.
async fn whole(app: &App, caller: &Caller) -> Result<User, Problem> {
    let own = app.records().user(&caller.name).await?.filter(|user| user.id == caller.user);
    let own = own.ok_or_else(|| unknown(&caller.name))?;
    if Role::parse(&own.role) == Some(caller.role) {
        return Ok(own);
    }
    let words = format!("the key that was shown may less than {} may, and changes nothing of the account", own.name);
    Err(Problem::new(Kind::Forbidden, words).help("sign in with a password, or with a key of the account's own role"))
}

/// One user: oneself, or anybody for administrators.
pub(crate) async fn one(app: &App, caller: &Caller, name: &str) -> Result<User, Problem> {
    let user = app.records().user(name).await?;
    let user = user.filter(|user| caller.role == Role::Admin || user.id == caller.user);
    user.ok_or_else(|| unknown(name))
}

/// Sets a password: one's own with the one before, anybody else's for administrators.
pub(crate) async fn set_password(
    app: &App,
    caller: &Caller,
    name: &str,
    current: Option<&str>,
    password: &str,
) -> Result<(), Problem> {
    let user = one(app, caller, name).await?;
    if user.id == caller.user {
        whole(app, caller).await?;
        if user.password.is_some() {
            let sign_ins = &app.access().sign_ins;
            // Who found a browser open guesses here as well as at the sign-in.
            sign_ins.begin(&user.name, super::address(), now_ms())?;
            if !app.access().passwords.verify(current.unwrap_or_default(), user.password.clone()).await? {
                sign_ins.failed(&user.name, super::address(), now_ms());
                return Err(Problem::field("/current", "this is not the password that is set"));
            }
            sign_ins.succeeded(&user.name, super::address());
        }
    }
    People::of(app, caller).set_password(&user, password).await
}

/// A key to be made, as it is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) days: Option<u32>,
}

/// Makes a key: one's own, or somebody else's for administrators.
pub(crate) async fn create_key(
    app: &App,
    caller: &Caller,
    user: Option<&str>,
    wanted: Wanted<'_>,
) -> Result<(Key, KeyEntry), Problem> {
    let mine = whole(app, caller).await?;
    let owner = match user {
        Some(name) => one(app, caller, name).await?,
        None => mine,
    };
    People::of(app, caller).create_key(&owner, wanted).await
}

/// Ends a key: one's own, or anybody's for administrators.
pub(crate) async fn delete_key(app: &App, caller: &Caller, id: i64) -> Result<(), Problem> {
    whole(app, caller).await?;
    let of = (caller.role != Role::Admin).then_some(caller.user);
    People::of(app, caller).delete_key(id, of).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_is() {
        let (longest, longer) = ("a".repeat(MAX_NAME), "a".repeat(MAX_NAME + 1));
        for (name, fits) in [
            ("ada", true),
            ("Ada.Lovelace", true),
            ("ada@example.com", true),
            ("1-2_3", true),
            (&longest, true),
            (&longer, false),
            ("", false),
            (".ada", false),
            ("-rf", false),
            ("ada lovelace", false),
            ("ada/../bob", false),
            ("trigger:1", false),
            ("system", false),
            ("System", false),
            ("<script>", false),
            ("ada\r\nx", false),
            ("аda", false), // a Cyrillic letter
        ] {
            assert_eq!(is_name(name), fits, "{name}");
        }
    }

    #[test]
    fn what_people_say_of_themselves() {
        let long = "x".repeat(MAX_DISPLAY_NAME + 1);
        let mail = format!("{}@example.com", "x".repeat(MAX_EMAIL));
        for (display, email, fits) in [
            (Some("Ada <b>Lovelace</b>"), Some("ada@example.com"), true),
            (None, None, true),
            (Some(""), Some(""), true),
            (Some(&*long), None, false),
            (Some("Ada\nLovelace"), None, false),
            (None, Some("ada"), false),
            (None, Some("@example.com"), false),
            (None, Some("ada@example.com\r\nBcc: all@example.com"), false),
            (None, Some(&*mail), false),
        ] {
            assert_eq!(check_texts(display, email).is_ok(), fits, "{display:?} {email:?}");
        }
    }
}
