//! Secrets: names are told, values are only ever written.
//!
//! What the server keeps for itself in the vault stands under [`RESERVED`]: nobody sets, sees or names those as secrets of a pipeline.

use crate::{App, Problem, access::Caller, api::secrets::SecretRow, aside::aside, problem::Kind};
use serde_json::{Value, json};
use windlass_capabilities::{Vault, VaultError};
use windlass_contract::{SecretReference, SecretValue};

/// The engines that are the server's own: secrets of webhooks, and of environments.
pub(crate) const RESERVED: [&str; 2] = ["triggers", "environments"];

/// Whether a secret is the server's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|engine| name.split('/').next() == Some(engine))
}

/// The first text in a document that names a secret of the server's own.
pub(crate) fn reserved_in(document: &Value) -> Option<&str> {
    match document {
        Value::String(text) => text.strip_prefix("secret:").filter(|name| is_reserved(name)),
        Value::Array(all) => all.iter().find_map(reserved_in),
        Value::Object(all) => all.values().find_map(reserved_in),
        _ => None,
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match &error {
            VaultError::NotFound { .. } => Problem::told(Kind::NotFound, &error),
            VaultError::Invalid(_) => Problem::told(Kind::Invalid, &error),
            _ => Problem::internal(error),
        }
    }
}

/// Works on the vault, which is a file, on a thread of its own.
pub(crate) async fn vault<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Problem> {
    let app = app.clone();
    Ok(aside(move || async move { work(app.vault()) }).await??)
}

/// The names of those that are not the server's own.
pub(crate) async fn rows(app: &App) -> Result<Vec<SecretRow>, Problem> {
    let all = vault(app, Vault::list).await?.into_iter().filter(|secret| !is_reserved(&secret.name));
    let row = |secret: windlass_capabilities::SecretInfo| SecretRow {
        name: secret.name,
        hosts: secret.hosts,
        updated_at_ms: Some(secret.set_at * 1000),
    };
    Ok(all.map(row).collect())
}

/// The name in an address, which is not the server's own.
fn name(engine: &str, path: &str) -> Result<SecretReference, Problem> {
    let text = format!("{engine}/{path}");
    let name: SecretReference =
        text.parse().map_err(|error: windlass_contract::NameError| Problem::new(Kind::Invalid, error.to_string()))?;
    if is_reserved(&text) {
        let words = format!("secrets under {engine}/ are the server's own; they are set where they belong to");
        return Err(Problem::new(Kind::Forbidden, words));
    }
    Ok(name)
}

/// Sets a secret.
pub(crate) async fn set(
    app: &App,
    caller: &Caller,
    (engine, path): (String, String),
    value: String,
    hosts: Vec<String>,
) -> Result<(), Problem> {
    let (name, value) = (name(&engine, &path)?, SecretValue::new(value.into_bytes()));
    let detail = json!({ "hosts": hosts });
    let target = name.to_string();
    let entry = caller.did("secret.set", &target, detail);
    app.audited(&[entry], vault(app, move |vault| vault.set(&name, &value, &hosts))).await
}

/// Removes a secret.
pub(crate) async fn remove(app: &App, caller: &Caller, (engine, path): (String, String)) -> Result<(), Problem> {
    let name = name(&engine, &path)?;
    let target = name.to_string();
    let entry = caller.did("secret.remove", &target, json!({}));
    app.audited(&[entry], vault(app, move |vault| vault.remove(&name))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_servers_own() {
        for (name, expect) in [
            ("triggers/a", true),
            ("environments/env-1/TOKEN", true),
            ("triggers", true),
            ("triggers2/a", false),
            ("cicd/environments", false),
        ] {
            assert_eq!(is_reserved(name), expect, "{name}");
        }
        let document = json!({ "a": ["x", { "b": "secret:environments/e/T" }], "c": "environments/e/T" });
        assert_eq!(reserved_in(&document), Some("environments/e/T"));
        assert_eq!(reserved_in(&json!({ "a": "secret:cicd/x", "b": "see secret:triggers/x" })), None);
        let status = |engine: &str, path: &str| name(engine, path).map_or_else(|problem| problem.status, |_| 200);
        assert_eq!(status("cicd", "docker/registry"), 200);
        assert_eq!(status("environments", "x/y"), 403);
        for (engine, path) in [("..", "x"), ("a", "../b"), ("a", ""), ("a b", "c"), ("", "x")] {
            assert_eq!(status(engine, path), 400, "{engine}/{path}");
        }
    }
}
