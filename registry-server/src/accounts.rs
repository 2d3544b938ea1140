//! Who may do what: namespaces, users, tokens and what a token may be used for.
//!
//! A token is `wlr_<id>_<secret>`. The id finds the row, the secret has 256 bits from the system's generator, so a plain
//! SHA-256 of it is safe to keep. It is its own bearer token: `GET /token` checks the credentials and hands the same text
//! back, so the server holds no sessions and restarts without anybody noticing.
//!
//! **Invariants.** The text of a token exists once, in the answer that made it. What a token may do is the intersection of
//! its scope and of what its user owns at that moment: who loses a namespace loses it with all tokens.
//!
//! **Not here.** Where they are kept ([`crate::database`]) and what a request carries (`auth`).

use crate::{
    database::{By, Database},
    error::RegistryError,
};
use jiff::{SignedDuration, Timestamp};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt, str::FromStr};
use windlass_contract::PluginName;

/// How long a token lives unless said otherwise, in days: a quarter.
pub const DEFAULT_DAYS: u32 = 90;
/// The longest life of a token, in days.
pub const MAX_DAYS: u32 = 366;
/// Longest name of a token, in characters.
pub const MAX_TOKEN_NAME: usize = 100;
/// Longest name of a user, in characters.
pub const MAX_USER_NAME: usize = 64;
/// The user that the operator's own tokens belong to.
pub const OPERATOR: &str = "operator";
/// Namespaces that only the operator can give away: those that sound like the project itself, like the contract, or like
/// whoever watches over names.
pub const RESERVED: &[&str] =
    &["windlass", "official", "registry", "admin", "operator", "root", "security", "support", "wasi", "wasm", "native"];

/// The part of a plugin's name that has owners.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace of a plugin.
    pub fn of(name: &PluginName) -> Self {
        Namespace(name.namespace().to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // The rule for a namespace is the rule for a name that has it.
        match format!("{text}:x").parse::<PluginName>() {
            Ok(name) if name.namespace() == text => Ok(Namespace(text.to_owned())),
            _ => {
                let text: String = text.chars().take(80).collect();
                Err(format!(
                    "{text:?} is not a namespace: write lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters"
                ))
            }
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A user's name: 1 to [`MAX_USER_NAME`] lower-case letters, digits and hyphens, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UserName(String);

impl UserName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user that the operator's tokens belong to.
    pub fn operator() -> Self {
        UserName(OPERATOR.to_owned())
    }
}

impl FromStr for UserName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let sound = (1..=MAX_USER_NAME).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if sound {
            return Ok(UserName(text.to_owned()));
        }
        let text: String = text.chars().take(80).collect();
        Err(format!(
            "{text:?} is not a user's name: write 1 to {MAX_USER_NAME} lower-case letters, digits and hyphens, starting with a letter"
        ))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that a token can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Push, and publish versions.
    Publish,
    /// Yank versions and take that back.
    Yank,
    /// Delete what no version needs.
    Delete,
    /// Change a namespace's owners, keys and trusted publishers.
    Owners,
    /// Take a namespace that nobody has, and manage the user's own tokens.
    Claim,
    /// Quarantine, remove, and read the audit log; only for users who are administrators.
    Admin,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 6] =
        [Action::Publish, Action::Yank, Action::Delete, Action::Owners, Action::Claim, Action::Admin];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Yank => "yank",
            Action::Delete => "delete",
            Action::Owners => "owners",
            Action::Claim => "claim",
            Action::Admin => "admin",
        }
    }
}

impl FromStr for Action {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Action::ALL.into_iter().find(|action| action.name() == text).ok_or_else(|| {
            let all: Vec<_> = Action::ALL.map(Action::name).into();
            format!("{text:?} is not an action: it is one of {}", all.join(", "))
        })
    }
}

/// What a token was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What it may be used for.
    pub actions: BTreeSet<Action>,
    /// Where; `None`: in every namespace that its user owns.
    pub namespaces: Option<BTreeSet<Namespace>>,
}

impl Scope {
    /// Whether it was made for this.
    pub fn covers(&self, action: Action, namespace: Option<&Namespace>) -> bool {
        self.actions.contains(&action)
            && match (&self.namespaces, namespace) {
                (Some(few), Some(namespace)) => few.contains(namespace),
                // What is not about one namespace is not for tokens that are.
                (Some(_), None) => action == Action::Admin,
                (None, _) => true,
            }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: UserName,
    /// Whether it may be given tokens for [`Action::Admin`].
    pub admin: bool,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The part that finds it.
    pub id: TokenId,
    /// Whose it is; nobody's when a trusted publisher was given it.
    pub user: Option<User>,
    /// What it is called.
    pub name: String,
    /// SHA-256 of its secret, in hex.
    pub sha256: String,
    /// What it was made for.
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// The part of a token that is no secret: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TokenId(String);

impl TokenId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let sound = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if sound { Ok(TokenId(text.to_owned())) } else { Err("a token's id has 16 hex digits".to_owned()) }
    }
}

/// A token as it was sent, taken apart.
pub(crate) struct Presented {
    pub(crate) id: TokenId,
    sha256: String,
}

impl Presented {
    /// Takes a text apart; `None` when it is no token of a registry.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("wlr_")?.split_once('_')?;
        let sound = secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then_some(())?;
        Some(Presented { id: id.parse().ok()?, sha256: hex::encode(Sha256::digest(secret)) })
    }

    /// Whether it is this token, and works at `now`. Hashes of a 256-bit secret are compared, so how long it takes says
    /// nothing that helps.
    pub(crate) fn is(&self, token: &Token, now: Timestamp) -> bool {
        self.id == token.id && self.sha256 == token.sha256 && now < token.expires
    }
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What to call it.
    pub name: String,
    /// What it is for.
    pub scope: Scope,
    /// How long it lives.
    pub life: SignedDuration,
}

impl NewToken {
    /// One that lives for days, as people ask for it.
    ///
    /// # Errors
    /// In words, when the name, the scope or the life is not one.
    pub fn for_days(name: &str, scope: Scope, days: u32) -> Result<Self, RegistryError> {
        let length = name.chars().count();
        if !(1..=MAX_TOKEN_NAME).contains(&length) || name.chars().any(windlass_package::manifest::is_deceptive) {
            return Err(RegistryError::BadToken(format!("a token's name has 1 to {MAX_TOKEN_NAME} characters")));
        }
        if scope.actions.is_empty() || scope.namespaces.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(RegistryError::BadToken(
                "a token is for at least one action in at least one namespace".to_owned(),
            ));
        }
        if days == 0 || days > MAX_DAYS {
            return Err(RegistryError::BadToken(format!("a token lives 1 to {MAX_DAYS} days")));
        }
        Ok(NewToken { name: name.to_owned(), scope, life: SignedDuration::from_hours(24 * i64::from(days)) })
    }
}

/// Makes a token. Its text is given back and kept nowhere.
///
/// # Errors
/// When it is for more than its user may do, or cannot be kept.
pub async fn create_token(
    database: &dyn Database,
    user: Option<User>,
    new: NewToken,
    by: &By,
) -> Result<(String, Token), RegistryError> {
    if new.scope.actions.contains(&Action::Admin) && !user.as_ref().is_some_and(|user| user.admin) {
        return Err(RegistryError::BadToken("only an administrator has tokens for the action admin".to_owned()));
    }
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    rand::rngs::OsRng.fill_bytes(&mut id);
    rand::rngs::OsRng.fill_bytes(&mut secret);
    let (id, secret) = (hex::encode(id), hex::encode(secret));
    let now = Timestamp::now();
    let token = Token {
        id: TokenId(id.clone()),
        user,
        name: new.name,
        sha256: hex::encode(Sha256::digest(&secret)),
        scope: new.scope,
        created: now,
        expires: now + new.life,
        last_used: None,
    };
    database.add_token(&token, by).await?;
    Ok((format!("wlr_{id}_{secret}"), token))
}

/// Makes a token of the operator's for namespaces, which it claims where nobody has them. What `token create` does.
///
/// # Errors
/// As [`create_token`].
pub async fn create_operator_token(
    database: &dyn Database,
    name: &str,
    namespaces: &[Namespace],
    actions: BTreeSet<Action>,
    days: u32,
) -> Result<String, RegistryError> {
    let scope = Scope { actions, namespaces: Some(namespaces.iter().cloned().collect()) };
    let new = NewToken::for_days(name, scope, days)?;
    let by = By::operator();
    let operator = match database.user(&UserName::operator()).await? {
        Some(operator) => operator,
        None => database.add_user(&UserName::operator(), true, &by).await?,
    };
    for namespace in namespaces {
        if !database.owns(&operator, namespace).await? {
            // The operator holds the disk: it is an owner beside those that there are.
            database.claim(namespace, &operator, true, &by).await?;
        }
    }
    Ok(create_token(database, Some(operator), new, &by).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let namespace = |text: &str| text.parse::<Namespace>().is_ok();
        for (text, expect) in
            [("acme", true), ("a-1", true), ("", false), ("../x", false), ("A", false), ("a:b", false)]
        {
            assert_eq!(namespace(text), expect, "{text:?} as a namespace");
        }
        let user = |text: &str| text.parse::<UserName>().is_ok();
        let long = "x".repeat(MAX_USER_NAME + 1);
        for (text, expect) in [
            ("ada", true),
            ("a-1", true),
            ("", false),
            ("Ada", false),
            ("1a", false),
            ("a b", false),
            (&long[1..], true),
            (&long, false),
        ] {
            assert_eq!(user(text), expect, "{text:?} as a user");
        }
    }

    #[test]
    fn what_a_scope_covers() {
        let [acme, other] = ["acme", "other"].map(|text| text.parse::<Namespace>().unwrap());
        let few = Scope { actions: [Action::Publish, Action::Claim].into(), namespaces: Some([acme.clone()].into()) };
        let all = Scope { actions: [Action::Publish, Action::Claim].into(), namespaces: None };
        let check = |scope: &Scope, action, namespace: Option<&Namespace>, expect: bool| {
            assert_eq!(scope.covers(action, namespace), expect, "{scope:?} {action:?} {namespace:?}");
        };
        check(&few, Action::Publish, Some(&acme), true);
        check(&few, Action::Publish, Some(&other), false);
        check(&few, Action::Yank, Some(&acme), false);
        check(&few, Action::Claim, None, false); // bound to a namespace: it takes no other
        check(&all, Action::Publish, Some(&other), true);
        check(&all, Action::Claim, None, true);
        check(&all, Action::Owners, Some(&acme), false);
    }

    #[test]
    fn what_is_no_token() {
        let secret = "0".repeat(64);
        for text in [
            "",
            "wlr_",
            "wlr_0123456789abcdef_",
            &format!("wlr_../../../../etc_{secret}"),
            &format!("wlr_0123456789ABCDEF_{secret}"),
        ] {
            assert!(Presented::parse(text).is_none(), "{text}");
        }
        assert!(Presented::parse(&format!("wlr_0123456789abcdef_{secret}")).is_some());
    }

    #[test]
    fn what_is_refused() {
        let check = |name: &str, actions: &[Action], namespaces: Option<&[&str]>, days| {
            let scope = Scope {
                actions: actions.iter().copied().collect(),
                namespaces: namespaces.map(|all| all.iter().map(|text| text.parse().unwrap()).collect()),
            };
            NewToken::for_days(name, scope, days).err().map(|error| error.to_string())
        };
        let publish = &[Action::Publish][..];
        assert_eq!(check("ci", publish, Some(&["acme"]), MAX_DAYS), None);
        assert!(check("ci", publish, Some(&[]), 1).unwrap().contains("at least one namespace"));
        assert!(check("ci", &[], None, 1).unwrap().contains("at least one action"));
        assert!(check("", publish, None, 1).unwrap().contains("1 to 100 characters"));
        assert!(check(&"x".repeat(MAX_TOKEN_NAME + 1), publish, None, 1).unwrap().contains("1 to 100 characters"));
        assert!(check("ci", publish, None, 0).unwrap().contains("1 to 366 days"));
        assert!(check("ci", publish, None, MAX_DAYS + 1).unwrap().contains("1 to 366 days"));
    }
}
