//! People and keys of a home, for the operator of its machine: without a request, and whether a server runs or not.
//!
//! **Invariants.**
//! - Who may write the home's files may do this; nothing else proves who it is. The audit names the system's account.
//! - The rules are those of the API: [`People`] has them.
//! - A server that has the home goes on, and its next request sees what was changed.
//!
//! **Not here.** What else a server keeps: it remembers that, so it is changed by asking the server.

use super::{Caller, Role, key, password::Passwords, people::People};
use crate::{KeyRow, MadeKey, NewKey, NewUser, Problem, User, UserChange, page::MAX_PAGE, problem::Kind};
use std::path::Path;
use windlass_store::Records;

/// Where the operator manages people and keys.
pub struct Desk {
    records: Records,
    passwords: Passwords,
    operator: Caller,
}

impl Desk {
    /// Opens the records of `home`, for the system's account of this name.
    ///
    /// # Errors
    /// When a server of another version has them, or they cannot be read or made.
    pub async fn open(home: &Path, account: &str) -> Result<Desk, Problem> {
        let operator = Caller {
            user: 0,
            // No user can be called so.
            name: format!("command line ({account})"),
            role: Role::Admin,
            via: String::new(),
        };
        Ok(Desk { records: Records::open_beside(home).await?, passwords: Passwords::new(), operator })
    }

    fn people(&self) -> People<'_> {
        People { records: &self.records, passwords: &self.passwords, by: &self.operator }
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn users(&self) -> Result<Vec<User>, Problem> {
        let mut all: Vec<User> = Vec::new();
        loop {
            let after = all.last().map(|user| user.name.clone());
            let page = self.records.users(after.as_deref(), MAX_PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(User::from));
        }
    }

    /// Makes a user. The first one is an administrator: a server makes one of its own only where there is nobody.
    ///
    /// # Errors
    /// As `POST /api/v1/users`; and when the first one would be no administrator.
    pub async fn add(&self, new: &NewUser) -> Result<User, Problem> {
        if new.role != Role::Admin && !self.records.has_users().await? {
            let words =
                format!("nobody is here yet, and the first user is an administrator; {} would be none", new.name);
            return Err(Problem::new(Kind::Conflict, words)
                .help("add an administrator first, or start the server once: it makes the user `admin`"));
        }
        Ok(self.people().create(new.row(), new.password.as_deref()).await?.into())
    }

    /// Changes a user.
    ///
    /// # Errors
    /// As `PATCH /api/v1/users/NAME`: the last administrator stays one.
    pub async fn change(&self, name: &str, change: &UserChange) -> Result<User, Problem> {
        Ok(self.people().change(name, change.row()).await?.into())
    }

    /// Deletes a user with their keys and sessions.
    ///
    /// # Errors
    /// As `DELETE /api/v1/users/NAME`: the last administrator stays.
    pub async fn remove(&self, name: &str) -> Result<User, Problem> {
        Ok(self.people().delete(name).await?.into())
    }

    /// Sets a password, and ends the user's sessions.
    ///
    /// # Errors
    /// When there is no such user, or the password is none that one may have.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<User, Problem> {
        let user = self.people().find(name).await?;
        self.people().set_password(&user, password).await?;
        Ok(user.into())
    }

    /// The keys of one user, or of all, the newest first.
    ///
    /// # Errors
    /// When there is no such user, or the records cannot be read.
    pub async fn keys(&self, of: Option<&str>) -> Result<Vec<KeyRow>, Problem> {
        let user = match of {
            Some(name) => Some(self.people().find(name).await?.id),
            None => None,
        };
        Ok(self.records.keys(user).await?.into_iter().map(KeyRow::from).collect())
    }

    /// Makes a key of `user`, whom `new` does not need to name.
    ///
    /// # Errors
    /// As `POST /api/v1/tokens`.
    pub async fn add_key(&self, user: &str, new: &NewKey) -> Result<MadeKey, Problem> {
        let owner = self.people().find(user).await?;
        let (key, entry) = self.people().create_key(&owner, new.wanted()).await?;
        Ok(MadeKey::of(&key, entry))
    }

    /// Ends a key, with the sessions that were begun with it.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn revoke_key(&self, id: i64) -> Result<KeyRow, Problem> {
        Ok(self.people().delete_key(id, None).await?.into())
    }

    /// A new key for the administrator `admin`, who is one again and not disabled: for who has lost theirs. Gives the name and the key.
    ///
    /// # Errors
    /// When the records cannot be written.
    pub async fn restore_admin(&self) -> Result<(String, String), Problem> {
        key::restore_admin(&self.records, &self.operator).await
    }

    /// Lets go of the records.
    pub async fn close(self) {
        self.records.close().await;
    }
}
