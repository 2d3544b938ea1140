//! Keys of the API: `wlk_` and 256 bits of chance.

use crate::{
    Problem,
    access::{Caller, Role},
    clock::now_ms,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::RngCore as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use windlass_store::{Records, records::accounts::NewKey};

/// What every key begins with, so that scanners for leaked secrets know it.
const MARK: &str = "wlk_";
/// How many characters of a key tell it apart in lists.
const PREFIX: usize = 10;
/// The name of the first administrator.
const FIRST: &str = "admin";

/// A key in the clear. Shown once, never kept.
pub(crate) struct Key(String);

impl Key {
    /// A new one.
    pub(crate) fn new() -> Key {
        let mut bytes = [0; 32];
        rand::thread_rng().fill_bytes(&mut bytes);
        Key(format!("{MARK}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What looks like one.
    pub(crate) fn parse(text: &str) -> Option<Key> {
        (text.starts_with(MARK) && text.len() <= 64 && text.is_ascii()).then(|| Key(text.to_owned()))
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// What tells it apart.
    pub(crate) fn prefix(&self) -> &str {
        &self.0[..PREFIX.min(self.0.len())]
    }

    /// To be shown to whoever it is for.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

fn admins<'a>(key: &'a Key, name: &'a str) -> NewKey<'a> {
    NewKey {
        user: 0,
        name,
        hash: key.hash(),
        prefix: key.prefix(),
        role: Role::Admin.name(),
        at_ms: now_ms(),
        expires_at_ms: None,
    }
}

/// Makes the first administrator, if there is nobody yet; gives the key, which nobody can see again.
pub(crate) async fn first_admin(records: &Records) -> Result<Option<String>, Problem> {
    if records.has_users().await? {
        return Ok(None);
    }
    let key = Key::new();
    let mut change = records.change().await?;
    if !change.make_first_admin(FIRST, admins(&key, "first start")).await? {
        return Ok(None);
    }
    let detail = json!({ "role": Role::Admin.name(), "key": key.prefix() });
    change.commit(&Caller::system(String::new()).did("user.create", FIRST, detail)).await?;
    Ok(Some(key.reveal().to_owned()))
}

/// A new key for the administrator `admin`, who is one again and not disabled: for who has lost theirs. Gives the name and the key.
pub(super) async fn restore_admin(records: &Records, by: &Caller) -> Result<(String, String), Problem> {
    let key = Key::new();
    let mut change = records.change().await?;
    let name = change.restore_admin(FIRST, admins(&key, "reset-admin")).await?;
    change.commit(&by.did("user.restore", &name, json!({ "key": key.prefix() }))).await?;
    Ok((name, key.reveal().to_owned()))
}
