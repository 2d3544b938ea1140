//! Users, tokens, namespaces, and who may publish.

use super::{Sqlite, commit, database, json, millis, notify, parsed, record, time, to_json};
use crate::{
    accounts::{Action, Namespace, Scope, Token, TokenId, User, UserName},
    database::{Accounts, By, NamespaceKey, Result, TrustedPublisher},
    error::RegistryError,
};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet};
use windlass_package::signature::PublisherKey;

const TOKENS: &str =
    "SELECT tokens.id AS id, users.id AS user, users.name AS user_name, admin, tokens.name AS name, sha256, actions,
    namespaces, tokens.created_at_ms AS created_at_ms, expires_at_ms, last_used_at_ms
    FROM tokens LEFT JOIN users ON users.id = tokens.user
    WHERE (?1 IS NULL OR tokens.id = ?1) AND (?2 IS NULL OR tokens.user = ?2) ORDER BY tokens.created_at_ms, tokens.id";

#[async_trait]
impl Accounts for Sqlite {
    async fn user(&self, name: &UserName) -> Result<Option<User>> {
        let row: Option<(i64, bool)> = sqlx::query_as("SELECT id, admin FROM users WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(&self.reads)
            .await
            .map_err(database("find a user"))?;
        Ok(row.map(|(id, admin)| User { id, name: name.clone(), admin }))
    }

    async fn add_user(&self, name: &UserName, admin: bool, by: &By) -> Result<User> {
        let mut write = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO users (name, admin, created_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(name.as_str())
        .bind(admin)
        .bind(millis(Timestamp::now()))
        .fetch_optional(&mut *write)
        .await
        .map_err(database("add a user"))?;
        let id = id.ok_or_else(|| RegistryError::Conflict(format!("there is a user {name} already")))?;
        record(&mut write, by, "user add", None, name.as_str(), if admin { "administrator" } else { "" }).await?;
        commit(write).await?;
        Ok(User { id, name: name.clone(), admin })
    }

    async fn add_token(&self, token: &Token, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO tokens (id, user, name, sha256, actions, namespaces, created_at_ms, expires_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(token.id.as_str())
        .bind(token.user.as_ref().map(|user| user.id))
        .bind(&token.name)
        .bind(&token.sha256)
        .bind(to_json(&token.scope.actions))
        .bind(token.scope.namespaces.as_ref().map(to_json))
        .bind(millis(token.created))
        .bind(millis(token.expires))
        .execute(&mut *write)
        .await
        .map_err(database("keep a token"))?;
        let detail = format!("{} until {}", to_json(&token.scope.actions), token.expires);
        record(&mut write, by, "token create", None, token.id.as_str(), &detail).await?;
        commit(write).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<Token>> {
        let row = sqlx::query(TOKENS)
            .bind(id.as_str())
            .bind(None::<i64>)
            .fetch_optional(&self.reads)
            .await
            .map_err(database("find a token"))?;
        row.as_ref().map(token).transpose()
    }

    async fn tokens(&self, user: Option<&User>) -> Result<Vec<Token>> {
        let rows = sqlx::query(TOKENS)
            .bind(None::<String>)
            .bind(user.map(|user| user.id))
            .fetch_all(&self.reads)
            .await
            .map_err(database("list the tokens"))?;
        rows.iter().map(token).collect()
    }

    async fn revoke_token(&self, id: &TokenId, of: Option<&User>, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let gone = sqlx::query("DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR user = ?2)")
            .bind(id.as_str())
            .bind(of.map(|user| user.id))
            .execute(&mut *write)
            .await
            .map_err(database("revoke a token"))?;
        if gone.rows_affected() == 0 {
            return Err(RegistryError::Unknown(format!("there is no token {}", id.as_str())));
        }
        record(&mut write, by, "token revoke", None, id.as_str(), "").await?;
        commit(write).await
    }

    async fn touch_token(&self, id: &TokenId, at: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        sqlx::query("UPDATE tokens SET last_used_at_ms = ? WHERE id = ?")
            .bind(millis(at))
            .bind(id.as_str())
            .execute(&mut *write)
            .await
            .map_err(database("note that a token was used"))?;
        commit(write).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>> {
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM namespaces ORDER BY name")
            .fetch_all(&self.reads)
            .await
            .map_err(database("list the namespaces"))?;
        names.iter().map(|name| parsed("read a namespace", name)).collect()
    }

    async fn owns(&self, user: &User, namespace: &Namespace) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE namespace = ? AND user = ?)")
            .bind(namespace.as_str())
            .bind(user.id)
            .fetch_one(&self.reads)
            .await
            .map_err(database("look who owns a namespace"))
    }

    async fn claim(&self, namespace: &Namespace, user: &User, beside: bool, by: &By) -> Result<()> {
        let now = millis(Timestamp::now());
        let mut write = self.begin().await?;
        let claim = database("claim a namespace");
        sqlx::query("INSERT INTO namespaces (name, created_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(namespace.as_str())
            .bind(now)
            .execute(&mut *write)
            .await
            .map_err(&claim)?;
        let others = owners(&mut write, namespace).await?;
        if !beside && !others.is_empty() {
            return Err(RegistryError::Conflict(format!("the namespace {namespace} has an owner")));
        }
        sqlx::query("INSERT INTO owners (namespace, user, added_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(namespace.as_str())
            .bind(user.id)
            .bind(now)
            .execute(&mut *write)
            .await
            .map_err(&claim)?;
        record(&mut write, by, "claim", Some(namespace.as_str()), user.name.as_str(), "").await?;
        if !others.is_empty() {
            let words = format!("{} owns {namespace} too, by {}", user.name, by.actor);
            notify(&mut write, namespace.as_str(), "owner add", namespace.as_str(), &words).await?;
        }
        commit(write).await
    }

    async fn owners(&self, namespace: &Namespace) -> Result<Vec<UserName>> {
        let mut connection = self.reads.acquire().await.map_err(database("list the owners"))?;
        owners(&mut connection, namespace).await
    }

    async fn add_owner(&self, namespace: &Namespace, user: &UserName, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO owners (namespace, user, added_at_ms) SELECT ?, id, ? FROM users WHERE name = ? ON CONFLICT DO NOTHING",
        )
        .bind(namespace.as_str())
        .bind(millis(Timestamp::now()))
        .bind(user.as_str())
        .execute(&mut *write)
        .await
        .map_err(database("add an owner"))?;
        if added.rows_affected() == 0 {
            return match owners(&mut write, namespace).await?.contains(user) {
                true => Ok(()),
                false => Err(RegistryError::Unknown(format!("there is no user {user}"))),
            };
        }
        record(&mut write, by, "owner add", Some(namespace.as_str()), user.as_str(), "").await?;
        let words = format!("{user} owns {namespace} too, by {}", by.actor);
        notify(&mut write, namespace.as_str(), "owner add", namespace.as_str(), &words).await?;
        commit(write).await
    }

    async fn remove_owner(&self, namespace: &Namespace, user: &UserName, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let before = owners(&mut write, namespace).await?;
        if !before.contains(user) {
            return Err(RegistryError::Unknown(format!("{user} does not own {namespace}")));
        }
        if before.len() == 1 {
            return Err(RegistryError::Conflict(format!(
                "{user} is the last owner of {namespace}; add another one first"
            )));
        }
        // Told before: the one who goes hears of it too.
        let words = format!("{user} does not own {namespace} any more, by {}", by.actor);
        notify(&mut write, namespace.as_str(), "owner remove", namespace.as_str(), &words).await?;
        sqlx::query("DELETE FROM owners WHERE namespace = ? AND user = (SELECT id FROM users WHERE name = ?)")
            .bind(namespace.as_str())
            .bind(user.as_str())
            .execute(&mut *write)
            .await
            .map_err(database("remove an owner"))?;
        record(&mut write, by, "owner remove", Some(namespace.as_str()), user.as_str(), "").await?;
        commit(write).await
    }

    async fn keys(&self, namespace: &Namespace) -> Result<Vec<NamespaceKey>> {
        let rows: Vec<(String, i64, Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT key, added_at_ms, revoked_at_ms, reason FROM publisher_keys WHERE namespace = ? ORDER BY added_at_ms, key",
        )
        .bind(namespace.as_str())
        .fetch_all(&self.reads)
        .await
        .map_err(database("list the keys"))?;
        rows.into_iter()
            .map(|(key, added, revoked, reason)| {
                Ok(NamespaceKey {
                    key: parsed("read a key", &key)?,
                    added: time(added),
                    revoked: revoked.map(|at| (time(at), reason.unwrap_or_default())),
                })
            })
            .collect()
    }

    async fn add_key(&self, namespace: &Namespace, key: &PublisherKey, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let revoked: Option<Option<i64>> =
            sqlx::query_scalar("SELECT revoked_at_ms FROM publisher_keys WHERE namespace = ? AND key = ?")
                .bind(namespace.as_str())
                .bind(key.to_string())
                .fetch_optional(&mut *write)
                .await
                .map_err(database("read a key"))?;
        match revoked {
            Some(None) => return Ok(()),
            Some(Some(_)) => {
                return Err(RegistryError::Conflict(format!(
                    "the key {key} of {namespace} was revoked; make a new one"
                )));
            }
            None => {}
        }
        sqlx::query("INSERT INTO publisher_keys (namespace, key, added_at_ms) VALUES (?, ?, ?)")
            .bind(namespace.as_str())
            .bind(key.to_string())
            .bind(millis(Timestamp::now()))
            .execute(&mut *write)
            .await
            .map_err(database("add a key"))?;
        record(&mut write, by, "key add", Some(namespace.as_str()), &key.to_string(), "").await?;
        let words = format!("releases of {namespace} may be signed by {key} too, by {}", by.actor);
        notify(&mut write, namespace.as_str(), "key add", namespace.as_str(), &words).await?;
        commit(write).await
    }

    async fn revoke_key(&self, namespace: &Namespace, key: &PublisherKey, reason: &str, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let revoked = sqlx::query(
            "UPDATE publisher_keys SET revoked_at_ms = ?, reason = ? WHERE namespace = ? AND key = ? AND revoked_at_ms IS NULL",
        )
        .bind(millis(Timestamp::now()))
        .bind(reason)
        .bind(namespace.as_str())
        .bind(key.to_string())
        .execute(&mut *write)
        .await
        .map_err(database("revoke a key"))?;
        if revoked.rows_affected() == 0 {
            return Err(RegistryError::Unknown(format!("{key} is not a key of {namespace}")));
        }
        record(&mut write, by, "key revoke", Some(namespace.as_str()), &key.to_string(), reason).await?;
        let words = format!("releases of {namespace} may not be signed by {key} any more, by {}: {reason}", by.actor);
        notify(&mut write, namespace.as_str(), "key revoke", namespace.as_str(), &words).await?;
        commit(write).await
    }

    async fn trusted_publishers(&self, namespace: &Namespace) -> Result<Vec<TrustedPublisher>> {
        let rows: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT id, issuer, claims FROM trusted_publishers WHERE namespace = ? ORDER BY id")
                .bind(namespace.as_str())
                .fetch_all(&self.reads)
                .await
                .map_err(database("list the trusted publishers"))?;
        rows.into_iter()
            .map(|(id, issuer, claims)| {
                Ok(TrustedPublisher {
                    id,
                    namespace: namespace.clone(),
                    issuer,
                    claims: json("read a trusted publisher", &claims)?,
                })
            })
            .collect()
    }

    async fn add_trusted_publisher(
        &self,
        namespace: &Namespace,
        issuer: &str,
        claims: &BTreeMap<String, String>,
        by: &By,
    ) -> Result<i64> {
        let claims = to_json(claims);
        let mut write = self.begin().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO trusted_publishers (namespace, issuer, claims, added_at_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(namespace.as_str())
        .bind(issuer)
        .bind(&claims)
        .bind(millis(Timestamp::now()))
        .fetch_optional(&mut *write)
        .await
        .map_err(database("add a trusted publisher"))?;
        let id =
            id.ok_or_else(|| RegistryError::Conflict(format!("{namespace} has this trusted publisher already")))?;
        record(&mut write, by, "trusted publisher add", Some(namespace.as_str()), issuer, &claims).await?;
        let words = format!("{issuer} may vouch for publishers of {namespace} that claim {claims}, by {}", by.actor);
        notify(&mut write, namespace.as_str(), "trusted publisher add", namespace.as_str(), &words).await?;
        commit(write).await?;
        Ok(id)
    }

    async fn remove_trusted_publisher(&self, namespace: &Namespace, id: i64, by: &By) -> Result<()> {
        let mut write = self.begin().await?;
        let gone: Option<String> =
            sqlx::query_scalar("DELETE FROM trusted_publishers WHERE namespace = ? AND id = ? RETURNING issuer")
                .bind(namespace.as_str())
                .bind(id)
                .fetch_optional(&mut *write)
                .await
                .map_err(database("remove a trusted publisher"))?;
        let issuer =
            gone.ok_or_else(|| RegistryError::Unknown(format!("{namespace} has no trusted publisher {id}")))?;
        record(&mut write, by, "trusted publisher remove", Some(namespace.as_str()), &issuer, &id.to_string()).await?;
        commit(write).await
    }

    async fn use_jti(&self, issuer: &str, jti: &str, expires: Timestamp) -> Result<bool> {
        let mut write = self.begin().await?;
        let noted =
            sqlx::query("INSERT INTO used_jtis (issuer, jti, expires_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(issuer)
                .bind(jti)
                .bind(millis(expires))
                .execute(&mut *write)
                .await
                .map_err(database("note an exchanged token"))?;
        commit(write).await?;
        Ok(noted.rows_affected() == 1)
    }

    async fn forget_expired(&self, before: Timestamp) -> Result<()> {
        let mut write = self.begin().await?;
        for statement in ["DELETE FROM tokens WHERE expires_at_ms < ?", "DELETE FROM used_jtis WHERE expires_at_ms < ?"]
        {
            sqlx::query(statement)
                .bind(millis(before))
                .execute(&mut *write)
                .await
                .map_err(database("forget what expired"))?;
        }
        commit(write).await
    }
}

async fn owners(connection: &mut SqliteConnection, namespace: &Namespace) -> Result<Vec<UserName>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM owners JOIN users ON users.id = owners.user WHERE namespace = ? ORDER BY name",
    )
    .bind(namespace.as_str())
    .fetch_all(connection)
    .await
    .map_err(database("list the owners"))?;
    names.iter().map(|name| parsed("read a user", name)).collect()
}

fn token(row: &SqliteRow) -> Result<Token> {
    let read = database("read a token");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&read);
    let millis = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(&read);
    let user = match row.try_get::<Option<i64>, _>("user").map_err(&read)? {
        None => None,
        Some(id) => Some(User {
            id,
            name: parsed("read a user", &text("user_name")?)?,
            admin: row.try_get("admin").map_err(&read)?,
        }),
    };
    let namespaces: Option<String> = row.try_get("namespaces").map_err(&read)?;
    Ok(Token {
        id: parsed("read a token", &text("id")?)?,
        user,
        name: text("name")?,
        sha256: text("sha256")?,
        scope: Scope {
            actions: json::<BTreeSet<Action>>("read a token", &text("actions")?)?,
            namespaces: namespaces.map(|text| json("read a token", &text)).transpose()?,
        },
        created: time(millis("created_at_ms")?.unwrap_or_default()),
        expires: time(millis("expires_at_ms")?.unwrap_or_default()),
        last_used: millis("last_used_at_ms")?.map(time),
    })
}
