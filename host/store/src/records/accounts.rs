//! People and their keys.

use super::Records;
use crate::StoreError;
use sqlx::Row as _;

/// Who a key or a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub id: i64,
    /// The user's name.
    pub name: String,
    /// The user's role, in its stored form.
    pub role: String,
    /// The most that the key may, in its stored form; that of the user for sessions.
    pub key_role: String,
    /// What the key begins with; none for sessions.
    pub key_prefix: Option<String>,
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

    /// Makes the first administrator with a key, if there is nobody yet; whether it did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_first_admin(&self, name: &str, key: NewKey<'_>) -> Result<bool, StoreError> {
        let failed = StoreError::database("make the first administrator");
        let mut write = self.write().await?;
        let any: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)")
            .fetch_one(&mut *write)
            .await
            .map_err(StoreError::database("look for users"))?;
        if any != 0 {
            return Ok(false);
        }
        let at = i64::try_from(key.at_ms).unwrap_or(i64::MAX);
        let id: i64 =
            sqlx::query_scalar("INSERT INTO users (name, role, created_at_ms) VALUES (?, 'admin', ?) RETURNING id")
                .bind(name)
                .bind(at)
                .fetch_one(&mut *write)
                .await
                .map_err(StoreError::database("make the first administrator"))?;
        insert_key(&mut write, &NewKey { user: id, ..key }).await?;
        write.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Whose key this is, while it is valid.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_of_key(&self, hash: &[u8; 32], now_ms: u64) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "SELECT users.id, users.name, users.role, keys.role AS key_role, keys.prefix
             FROM keys JOIN users ON users.id = keys.user
             WHERE keys.hash = ? AND users.disabled = 0 AND (keys.expires_at_ms IS NULL OR keys.expires_at_ms > ?)",
        )
        .bind(hash.as_slice())
        .bind(i64::try_from(now_ms).unwrap_or(i64::MAX))
        .fetch_optional(&self.reads)
        .await
        .map_err(StoreError::database("look for a key"))?;
        row.map(|row| {
            Ok(Account {
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                role: row.try_get("role")?,
                key_role: row.try_get("key_role")?,
                key_prefix: row.try_get("prefix")?,
            })
        })
        .transpose()
        .map_err(StoreError::database("read a key"))
    }
}

async fn insert_key(write: &mut sqlx::SqliteConnection, key: &NewKey<'_>) -> Result<i64, StoreError> {
    let stored = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
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
