//! What plugins keep between runs: the `state` interface.

use crate::writer::Request;
use async_trait::async_trait;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{mpsc, oneshot};
use windlass_contract::capability::{State, StateError};

/// The longest key, in bytes: `wit/` promises it.
pub const MAX_KEY_BYTES: usize = 255;
/// The longest value, in bytes: `wit/` promises it. What is longer is an artifact.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// How many keys one plugin may have: `wit/` promises it.
pub const MAX_KEYS: i64 = 1000;

/// A change of one key.
pub(crate) enum Change {
    Set { key: Vec<u8>, value: Vec<u8> },
    CompareAndSet { key: Vec<u8>, expected: Option<Vec<u8>>, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// One plugin's store. Reads see every change that was answered before.
pub(crate) struct PluginState {
    pub(crate) plugin: String,
    pub(crate) reads: SqlitePool,
    pub(crate) writes: mpsc::Sender<Request>,
}

fn unavailable(error: impl std::fmt::Display) -> StateError {
    StateError::Unavailable(error.to_string())
}

fn check_key(key: &str) -> Result<(), StateError> {
    match key.len() {
        0 => Err(StateError::TooLarge("the key is empty; it has 1 to 255 bytes".to_owned())),
        1..=MAX_KEY_BYTES => Ok(()),
        n => Err(StateError::TooLarge(format!("the key has {n} bytes; at most {MAX_KEY_BYTES} are kept"))),
    }
}

fn check_value(value: &[u8]) -> Result<(), StateError> {
    if value.len() > MAX_VALUE_BYTES {
        let n = value.len();
        return Err(StateError::TooLarge(format!(
            "the value has {n} bytes; at most {MAX_VALUE_BYTES} are kept: use an artifact for more"
        )));
    }
    Ok(())
}

impl PluginState {
    async fn change(&self, change: Change) -> Result<(), StateError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::State(self.plugin.clone(), change, reply);
        self.writes.send(request).await.map_err(|_| unavailable("the store is closed"))?;
        answer.await.map_err(|_| unavailable("the store is closed"))?
    }
}

#[async_trait]
impl State for PluginState {
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        check_key(&key)?;
        sqlx::query_scalar("SELECT value FROM plugin_state WHERE plugin = ? AND key = ?")
            .bind(&self.plugin)
            .bind(key.as_bytes())
            .fetch_optional(&self.reads)
            .await
            .map_err(unavailable)
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        check_key(&key)?;
        check_value(&value)?;
        self.change(Change::Set { key: key.into_bytes(), value }).await
    }

    async fn compare_and_set(&self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<(), StateError> {
        check_key(&key)?;
        check_value(&value)?;
        self.change(Change::CompareAndSet { key: key.into_bytes(), expected, value }).await
    }

    async fn delete(&self, key: String) -> Result<(), StateError> {
        check_key(&key)?;
        self.change(Change::Delete { key: key.into_bytes() }).await
    }

    async fn keys(&self, prefix: String) -> Result<Vec<String>, StateError> {
        let keys: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT key FROM plugin_state WHERE plugin = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key",
        )
        .bind(&self.plugin)
        .bind(prefix.as_bytes())
        .fetch_all(&self.reads)
        .await
        .map_err(unavailable)?;
        keys.into_iter().map(|key| String::from_utf8(key).map_err(unavailable)).collect()
    }
}

/// Carries a change out. The outer error is the database's; the inner one is a refusal that has changed nothing.
pub(crate) async fn apply(
    transaction: &mut Transaction<'_, Sqlite>,
    plugin: &str,
    change: &Change,
) -> Result<Result<(), StateError>, sqlx::Error> {
    let (key, value) = match change {
        Change::Delete { key } => {
            sqlx::query("DELETE FROM plugin_state WHERE plugin = ? AND key = ?")
                .bind(plugin)
                .bind(key)
                .execute(&mut **transaction)
                .await?;
            return Ok(Ok(()));
        }
        Change::Set { key, value } | Change::CompareAndSet { key, value, .. } => (key, value),
    };
    let present: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM plugin_state WHERE plugin = ? AND key = ?")
        .bind(plugin)
        .bind(key)
        .fetch_optional(&mut **transaction)
        .await?;
    if matches!(change, Change::CompareAndSet { expected, .. } if *expected != present) {
        return Ok(Err(StateError::Conflict));
    }
    if present.is_none() {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM plugin_state WHERE plugin = ?")
            .bind(plugin)
            .fetch_one(&mut **transaction)
            .await?;
        if count >= MAX_KEYS {
            return Ok(Err(StateError::TooLarge(format!("the plugin keeps {count} keys already: delete some first"))));
        }
    }
    sqlx::query(
        "INSERT INTO plugin_state (plugin, key, value) VALUES (?, ?, ?)
         ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
    )
    .bind(plugin)
    .bind(key)
    .bind(value)
    .execute(&mut **transaction)
    .await?;
    Ok(Ok(()))
}
