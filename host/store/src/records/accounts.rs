//! People, their keys, and their sessions.
//!
//! **Invariants.**
//! - Who is disabled or deleted is found by no key and no session.
//! - A name is one person's for ever: a deleted user's row stays, with nothing in it but the name.
//! - While there is an administrator who is not disabled, no change of this module leaves none. (A sign-in at an identity provider may:
//!   whom it calls no administrator any more is none.)

use super::{Change, Records, stored};
use crate::StoreError;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

/// Who a key or a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub id: i64,
    /// The user's name.
    pub name: String,
    /// The user's role, in its stored form.
    pub role: String,
    /// The most that the key may, in its stored form; that of the user for sessions without a key.
    pub key_role: String,
    /// The key's number; none for sessions that were begun without one.
    pub key: Option<i64>,
    /// What the key begins with.
    pub key_prefix: Option<String>,
}

/// Somebody's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOf {
    /// Whose.
    pub account: Account,
    /// When it began, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When it ends.
    pub expires_at_ms: u64,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their number.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// How they want to be called.
    pub display_name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// Their role, in its stored form.
    pub role: String,
    /// argon2id in PHC form.
    pub password: Option<String>,
    /// The identity provider that they sign in at.
    pub oidc_issuer: Option<String>,
    /// They may nothing at the moment.
    pub disabled: bool,
    /// When they were made, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When they last did something, to the minute.
    pub seen_at_ms: Option<u64>,
}

/// A person to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// The name.
    pub name: &'a str,
    /// How they want to be called.
    pub display_name: Option<&'a str>,
    /// Their address.
    pub email: Option<&'a str>,
    /// Their role, in its stored form.
    pub role: &'a str,
    /// argon2id in PHC form.
    pub password: Option<&'a str>,
    /// Now, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
}

/// What an identity provider says of somebody.
#[derive(Debug, Clone, Copy)]
pub struct Provided<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Who they are there, for ever.
    pub subject: &'a str,
    /// The name for somebody who is new; with a number behind it where it is taken.
    pub name: &'a str,
    /// How they want to be called.
    pub display_name: Option<&'a str>,
    /// Their address.
    pub email: Option<&'a str>,
    /// Their role, in its stored form.
    pub role: &'a str,
    /// Now, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
}

/// Who has signed in at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// Somebody who was not known here.
    New(User),
    /// Somebody of whom the provider says something else than before.
    Changed(User),
    /// Somebody who is as they were: there is nothing to commit.
    Same(User),
}

/// What is to change of a person; what is absent stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserChange<'a> {
    /// How they want to be called; empty for nothing.
    pub display_name: Option<&'a str>,
    /// Their address; empty for none.
    pub email: Option<&'a str>,
    /// Their role, in its stored form.
    pub role: Option<&'a str>,
    /// Whether they may nothing. Who is disabled loses their sessions.
    pub disabled: Option<bool>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was made; the person as they are now.
    Done(User),
    /// There is no such person.
    Unknown,
    /// It was not made: nobody would be left who may manage people.
    LastAdmin,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Whose.
    pub user: i64,
    /// For people.
    pub name: &'a str,
    /// sha256 of it.
    pub hash: [u8; 32],
    /// What it begins with.
    pub prefix: &'a str,
    /// The most that it may.
    pub role: &'a str,
    /// Now, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// When it ends.
    pub expires_at_ms: Option<u64>,
}

/// A key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number.
    pub id: i64,
    /// Whose: the name.
    pub user: String,
    /// For what.
    pub name: String,
    /// What it begins with.
    pub prefix: String,
    /// The most that it may, in its stored form.
    pub role: String,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_at_ms: u64,
    /// When it ends.
    pub expires_at_ms: Option<u64>,
    /// When it was last used, to the minute.
    pub used_at_ms: Option<u64>,
}

/// A session to be begun.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    /// Whose.
    pub user: i64,
    /// The key that was signed in with.
    pub key: Option<i64>,
    /// sha256 of the cookie's value.
    pub hash: [u8; 32],
    /// Now, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// When it ends unless it is extended.
    pub expires_at_ms: u64,
    /// How many a user has at most: the oldest go.
    pub max: u32,
}

const USER: &str = "SELECT * FROM users WHERE deleted = 0 AND name = ?";
/// The statement that reads keys with their owners' names, as a literal.
macro_rules! select_keys {
    ($which:literal) => {
        concat!("SELECT keys.*, users.name AS owner FROM keys JOIN users ON users.id = keys.user ", $which)
    };
}

impl Records {
    /// Whether there is any user.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        let any: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)")
            .fetch_one(&self.reads)
            .await
            .map_err(StoreError::database("look for users"))?;
        Ok(any != 0)
    }

    /// The e-mail address of a user, as an administrator or an identity provider has told it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn email_of(&self, user: i64) -> Result<Option<String>, StoreError> {
        let email: Option<Option<String>> = sqlx::query_scalar("SELECT email FROM users WHERE id = ?")
            .bind(user)
            .fetch_optional(&self.reads)
            .await
            .map_err(StoreError::database("look for a user"))?;
        Ok(email.flatten().filter(|email| !email.is_empty()))
    }

    /// A user by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(USER).bind(name).fetch_optional(&self.reads).await;
        let row = row.map_err(StoreError::database("read a user"))?;
        row.as_ref().map(read_user).transpose().map_err(StoreError::database("read a user"))
    }

    /// At most `limit` users by name, those after `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn users(&self, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM users WHERE deleted = 0 AND (?1 IS NULL OR name > ?1 COLLATE NOCASE) ORDER BY name LIMIT ?2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.reads)
        .await
        .map_err(StoreError::database("read the users"))?;
        rows.iter().map(read_user).collect::<Result<_, _>>().map_err(StoreError::database("read the users"))
    }

    /// Notes that a user, with a key, did something.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_use(&self, user: i64, key: Option<i64>, now_ms: u64) -> Result<(), StoreError> {
        let failed = || StoreError::database("note a use");
        let mut write = self.write().await?;
        sqlx::query("UPDATE users SET seen_at_ms = ? WHERE id = ?")
            .bind(stored(now_ms))
            .bind(user)
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        sqlx::query("UPDATE keys SET used_at_ms = ? WHERE id = ?")
            .bind(stored(now_ms))
            .bind(key)
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        write.commit().await.map_err(failed())
    }

    /// Whose key this is, while it is valid.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_of_key(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "SELECT users.id, users.name, users.role, keys.role AS key_role, keys.id AS key, keys.prefix
             FROM keys JOIN users ON users.id = keys.user
             WHERE keys.hash = ? AND users.disabled = 0 AND (keys.expires_at_ms IS NULL OR keys.expires_at_ms > ?)",
        )
        .bind(hash.as_slice())
        .bind(stored(now_ms))
        .fetch_optional(&self.reads)
        .await
        .map_err(StoreError::database("look for a key"))?;
        row.as_ref().map(read_account).transpose().map_err(StoreError::database("read a key"))
    }

    /// Whose session this is, while it and the key that it was begun with are valid.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_of_session(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<SessionOf>, StoreError> {
        let row = sqlx::query(
            "SELECT users.id, users.name, users.role, coalesce(keys.role, users.role) AS key_role, sessions.key, keys.prefix,
                    sessions.created_at_ms, sessions.expires_at_ms
             FROM sessions JOIN users ON users.id = sessions.user LEFT JOIN keys ON keys.id = sessions.key
             WHERE sessions.hash = ?1 AND users.disabled = 0 AND sessions.expires_at_ms > ?2
               AND (keys.expires_at_ms IS NULL OR keys.expires_at_ms > ?2)",
        )
        .bind(hash.as_slice())
        .bind(stored(now_ms))
        .fetch_optional(&self.reads)
        .await
        .map_err(StoreError::database("look for a session"))?;
        let read = |row: &SqliteRow| {
            Ok(SessionOf {
                account: read_account(row)?,
                created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
                expires_at_ms: row.try_get::<i64, _>("expires_at_ms")?.unsigned_abs(),
            })
        };
        row.as_ref().map(read).transpose().map_err(StoreError::database("read a session"))
    }

    /// Has a session end later, if it is still there.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn extend_session(&self, hash: &[u8; 32], expires_at_ms: u64) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE sessions SET expires_at_ms = max(expires_at_ms, ?) WHERE hash = ?")
            .bind(stored(expires_at_ms))
            .bind(hash.as_slice())
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("extend a session"))?;
        write.commit().await.map_err(StoreError::database("extend a session"))
    }

    /// The keys of one user or of all, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn keys(&self, of: Option<i64>) -> Result<Vec<KeyEntry>, StoreError> {
        let rows = sqlx::query(select_keys!("WHERE ?1 IS NULL OR keys.user = ?1 ORDER BY keys.id DESC"))
            .bind(of)
            .fetch_all(&self.reads)
            .await
            .map_err(StoreError::database("read the keys"))?;
        rows.iter().map(read_key).collect::<Result<_, _>>().map_err(StoreError::database("read the keys"))
    }
}

impl Change {
    /// Makes the first administrator with a key, if there is nobody yet; whether it did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_first_admin(&mut self, name: &str, key: NewKey<'_>) -> Result<bool, StoreError> {
        let write = self.write();
        let any: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)")
            .fetch_one(&mut *write)
            .await
            .map_err(StoreError::database("look for users"))?;
        if any != 0 {
            return Ok(false);
        }
        let new = NewUser { name, display_name: None, email: None, role: "admin", password: None, at_ms: key.at_ms };
        let id = insert_user(write, &new).await?;
        insert_key(write, &NewKey { user: id, ..key }).await?;
        Ok(true)
    }

    /// Gives `key` to an administrator of this name: the one there is, who is an administrator again and not disabled, or a new one
    /// (with a number behind the name if it was a deleted user's). The name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn restore_admin(&mut self, name: &str, key: NewKey<'_>) -> Result<String, StoreError> {
        let write = self.write();
        let user = match find_user(write, name).await? {
            Some(user) => user,
            None => {
                let name = free_name(write, name).await?;
                let new = NewUser {
                    name: &name,
                    display_name: None,
                    email: None,
                    role: "admin",
                    password: None,
                    at_ms: key.at_ms,
                };
                insert_user(write, &new).await?;
                find_user(write, &name).await?.ok_or_else(|| gone(&name))?
            }
        };
        sqlx::query("UPDATE users SET role = 'admin', disabled = 0 WHERE id = ?")
            .bind(user.id)
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("restore an administrator"))?;
        insert_key(write, &NewKey { user: user.id, ..key }).await?;
        Ok(user.name)
    }

    /// Makes a user; none when the name is or was somebody's.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_user(&mut self, new: &NewUser<'_>) -> Result<Option<User>, StoreError> {
        let write = self.write();
        if !is_free(write, new.name).await? {
            return Ok(None);
        }
        insert_user(write, new).await?;
        let user = find_user(write, new.name).await?;
        Ok(user)
    }

    /// Somebody who signed in at an identity provider: found by issuer and subject alone, with what the provider says of them now; made
    /// when they are new.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn provide_user(&mut self, is: &Provided<'_>) -> Result<Admitted, StoreError> {
        let failed = || StoreError::database("write a user");
        let write = self.write();
        let known = sqlx::query("SELECT * FROM users WHERE oidc_issuer = ? AND oidc_subject = ? AND deleted = 0")
            .bind(is.issuer)
            .bind(is.subject)
            .fetch_optional(&mut *write)
            .await
            .map_err(failed())?;
        let before = known.as_ref().map(read_user).transpose().map_err(failed())?;
        let id = match &before {
            Some(user) => user.id,
            None => {
                let name = free_name(write, is.name).await?;
                let new = NewUser {
                    name: &name,
                    display_name: None,
                    email: None,
                    role: is.role,
                    password: None,
                    at_ms: is.at_ms,
                };
                insert_user(write, &new).await?
            }
        };
        let row = sqlx::query(
            "UPDATE users SET oidc_issuer = ?, oidc_subject = ?, role = ?, display_name = coalesce(?, display_name),
                              email = coalesce(?, email)
             WHERE id = ? RETURNING *",
        )
        .bind(is.issuer)
        .bind(is.subject)
        .bind(is.role)
        .bind(is.display_name)
        .bind(is.email)
        .bind(id)
        .fetch_one(&mut *write)
        .await
        .map_err(failed())?;
        let user = read_user(&row).map_err(failed())?;
        Ok(match before {
            None => Admitted::New(user),
            Some(before) if before == user => Admitted::Same(user),
            Some(_) => Admitted::Changed(user),
        })
    }

    /// Changes a user.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn change_user(&mut self, name: &str, change: UserChange<'_>) -> Result<Changed, StoreError> {
        let failed = || StoreError::database("change a user");
        let write = self.write();
        let Some(user) = find_user(write, name).await? else { return Ok(Changed::Unknown) };
        let role = change.role.unwrap_or(&user.role);
        let disabled = change.disabled.unwrap_or(user.disabled);
        let keeps = role == "admin" && !disabled;
        if !keeps && is_last_admin(write, &user).await? {
            return Ok(Changed::LastAdmin);
        }
        sqlx::query(
            "UPDATE users SET display_name = nullif(coalesce(?, display_name), ''), email = nullif(coalesce(?, email), ''),
                              role = ?, disabled = ?
             WHERE id = ?",
        )
        .bind(change.display_name)
        .bind(change.email)
        .bind(role)
        .bind(disabled)
        .bind(user.id)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        if disabled {
            end_sessions(write, user.id).await?;
        }
        let user = find_user(write, name).await?.ok_or_else(|| gone(name))?;
        Ok(Changed::Done(user))
    }

    /// Deletes a user with their keys and sessions. The name stays taken.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_user(&mut self, name: &str) -> Result<Changed, StoreError> {
        let failed = || StoreError::database("delete a user");
        let write = self.write();
        let Some(user) = find_user(write, name).await? else { return Ok(Changed::Unknown) };
        if is_last_admin(write, &user).await? {
            return Ok(Changed::LastAdmin);
        }
        end_sessions(write, user.id).await?;
        sqlx::query("DELETE FROM keys WHERE user = ?").bind(user.id).execute(&mut *write).await.map_err(failed())?;
        sqlx::query(
            "UPDATE users SET deleted = 1, disabled = 1, role = 'viewer', display_name = NULL, email = NULL, password = NULL,
                              oidc_issuer = NULL, oidc_subject = NULL
             WHERE id = ?",
        )
        .bind(user.id)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        Ok(Changed::Done(user))
    }

    /// Sets a user's password and ends their sessions; whether there is such a user.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_password(&mut self, name: &str, password: &str) -> Result<bool, StoreError> {
        let failed = || StoreError::database("set a password");
        let write = self.write();
        let Some(user) = find_user(write, name).await? else { return Ok(false) };
        sqlx::query("UPDATE users SET password = ? WHERE id = ?")
            .bind(password)
            .bind(user.id)
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        end_sessions(write, user.id).await?;
        Ok(true)
    }

    /// Begins a session in the place of another one. Sessions whose time is over go, and the oldest of the user over the most that they have.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_session(&mut self, new: &NewSession, replaces: Option<&[u8; 32]>) -> Result<(), StoreError> {
        let failed = || StoreError::database("begin a session");
        let write = self.write();
        sqlx::query("DELETE FROM sessions WHERE expires_at_ms <= ? OR hash = ?")
            .bind(stored(new.at_ms))
            .bind(replaces.map(<[u8; 32]>::as_slice))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        sqlx::query("INSERT INTO sessions (hash, user, key, created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?)")
            .bind(new.hash.as_slice())
            .bind(new.user)
            .bind(new.key)
            .bind(stored(new.at_ms))
            .bind(stored(new.expires_at_ms))
            .execute(&mut *write)
            .await
            .map_err(failed())?;
        sqlx::query(
            "DELETE FROM sessions WHERE hash IN
               (SELECT hash FROM sessions WHERE user = ? ORDER BY created_at_ms DESC, rowid DESC LIMIT -1 OFFSET ?)",
        )
        .bind(new.user)
        .bind(new.max)
        .execute(&mut *write)
        .await
        .map_err(failed())?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_session(&mut self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let write = self.write();
        sqlx::query("DELETE FROM sessions WHERE hash = ?")
            .bind(hash.as_slice())
            .execute(&mut *write)
            .await
            .map_err(StoreError::database("end a session"))?;
        Ok(())
    }

    /// Makes a key; none when its user has `max` already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_key(&mut self, key: &NewKey<'_>, max: u32) -> Result<Option<KeyEntry>, StoreError> {
        let failed = || StoreError::database("make a key");
        let write = self.write();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM keys WHERE user = ?")
            .bind(key.user)
            .fetch_one(&mut *write)
            .await
            .map_err(failed())?;
        if count >= i64::from(max) {
            return Ok(None);
        }
        let id = insert_key(write, key).await?;
        let row = sqlx::query(select_keys!("WHERE keys.id = ?")).bind(id).fetch_one(&mut *write).await;
        let entry = read_key(&row.map_err(failed())?).map_err(failed())?;
        Ok(Some(entry))
    }

    /// Ends a key, of this user where one is named, with the sessions that were begun with it; the key as it was.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_key(&mut self, id: i64, of: Option<i64>) -> Result<Option<KeyEntry>, StoreError> {
        let failed = || StoreError::database("end a key");
        let write = self.write();
        let row = sqlx::query(select_keys!("WHERE keys.id = ?1 AND (?2 IS NULL OR keys.user = ?2)"))
            .bind(id)
            .bind(of)
            .fetch_optional(&mut *write)
            .await
            .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let entry = read_key(&row).map_err(failed())?;
        sqlx::query("DELETE FROM keys WHERE id = ?").bind(id).execute(&mut *write).await.map_err(failed())?;
        Ok(Some(entry))
    }
}

fn gone(name: &str) -> StoreError {
    StoreError::Damaged { what: format!("the user {name}"), why: "it is not there after it was written".to_owned() }
}

async fn find_user(write: &mut SqliteConnection, name: &str) -> Result<Option<User>, StoreError> {
    let row = sqlx::query(USER).bind(name).fetch_optional(write).await.map_err(StoreError::database("read a user"))?;
    row.as_ref().map(read_user).transpose().map_err(StoreError::database("read a user"))
}

/// Whether nobody has, or had, this name.
async fn is_free(write: &mut SqliteConnection, name: &str) -> Result<bool, StoreError> {
    let taken: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users WHERE name = ?)")
        .bind(name)
        .fetch_one(write)
        .await
        .map_err(StoreError::database("look for a user"))?;
    Ok(taken == 0)
}

/// This name, or the first with a number behind it that nobody has or had.
async fn free_name(write: &mut SqliteConnection, name: &str) -> Result<String, StoreError> {
    let mut free = name.to_owned();
    let mut number = 1_u64;
    while !is_free(write, &free).await? {
        number += 1;
        free = format!("{name}-{number}");
    }
    Ok(free)
}

async fn is_last_admin(write: &mut SqliteConnection, user: &User) -> Result<bool, StoreError> {
    if user.role != "admin" || user.disabled {
        return Ok(false);
    }
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM users WHERE role = 'admin' AND disabled = 0 AND deleted = 0 AND id <> ?",
    )
    .bind(user.id)
    .fetch_one(write)
    .await
    .map_err(StoreError::database("look for administrators"))?;
    Ok(others == 0)
}

async fn end_sessions(write: &mut SqliteConnection, user: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE user = ?")
        .bind(user)
        .execute(write)
        .await
        .map_err(StoreError::database("end sessions"))?;
    Ok(())
}

async fn insert_user(write: &mut SqliteConnection, new: &NewUser<'_>) -> Result<i64, StoreError> {
    sqlx::query_scalar(
        "INSERT INTO users (name, display_name, email, role, password, created_at_ms) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(new.name)
    .bind(new.display_name)
    .bind(new.email)
    .bind(new.role)
    .bind(new.password)
    .bind(stored(new.at_ms))
    .fetch_one(write)
    .await
    .map_err(StoreError::database("make a user"))
}

async fn insert_key(write: &mut SqliteConnection, key: &NewKey<'_>) -> Result<i64, StoreError> {
    sqlx::query_scalar(
        "INSERT INTO keys (user, name, hash, prefix, role, created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(key.user)
    .bind(key.name)
    .bind(key.hash.as_slice())
    .bind(key.prefix)
    .bind(key.role)
    .bind(stored(key.at_ms))
    .bind(key.expires_at_ms.map(stored))
    .fetch_one(write)
    .await
    .map_err(StoreError::database("make a key"))
}

fn read_account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role: row.try_get("role")?,
        key_role: row.try_get("key_role")?,
        key: row.try_get("key")?,
        key_prefix: row.try_get("prefix")?,
    })
}

fn read_user(row: &SqliteRow) -> Result<User, sqlx::Error> {
    Ok(User {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        display_name: row.try_get("display_name")?,
        email: row.try_get("email")?,
        role: row.try_get("role")?,
        password: row.try_get("password")?,
        oidc_issuer: row.try_get("oidc_issuer")?,
        disabled: row.try_get("disabled")?,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.unsigned_abs(),
        seen_at_ms: row.try_get::<Option<i64>, _>("seen_at_ms")?.map(i64::unsigned_abs),
    })
}

fn read_key(row: &SqliteRow) -> Result<KeyEntry, sqlx::Error> {
    let time = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(i64::unsigned_abs));
    Ok(KeyEntry {
        id: row.try_get("id")?,
        user: row.try_get("owner")?,
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        role: row.try_get("role")?,
        created_at_ms: time("created_at_ms")?.unwrap_or_default(),
        expires_at_ms: time("expires_at_ms")?,
        used_at_ms: time("used_at_ms")?,
    })
}
