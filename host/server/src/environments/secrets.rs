//! The secrets of environments: in the vault, and as a provider gets them.
//!
//! The secret `TOKEN` of an environment is written `secret:./TOKEN` in its configuration. One that is called like a field of the configuration
//! that is a secret fills in that field. A provider gets references; values are only ever written.

use super::{is_id, provider::Provider};
use crate::{App, Problem, secrets::vault};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_contract::{SecretReference, SecretValue};
use windlass_store::records::environments::{self as records, Filter};

/// The engine in the vault that holds environments' secrets.
const ENGINE: &str = "environments";

/// How an environment's own secret begins in its configuration.
pub(super) const OWN: &str = "secret:./";

/// A configuration as the provider gets it: the environment's own secrets are references into the vault. The error is the name of one
/// that it has not.
pub(super) fn with_secrets(
    config: &Map<String, Value>,
    schema: &Value,
    id: &str,
    names: &BTreeSet<String>,
) -> Result<Map<String, Value>, String> {
    fn replace(value: &mut Value, id: &str, names: &BTreeSet<String>) -> Result<(), String> {
        match value {
            Value::String(text) => match text.strip_prefix(OWN) {
                Some(name) if names.contains(name) => *text = format!("secret:{ENGINE}/{id}/{name}"),
                Some(name) => return Err(name.to_owned()),
                None => {}
            },
            Value::Array(all) => all.iter_mut().try_for_each(|each| replace(each, id, names))?,
            Value::Object(all) => all.values_mut().try_for_each(|each| replace(each, id, names))?,
            _ => {}
        }
        Ok(())
    }
    let mut config = config.clone();
    let fields = schema.get("properties").and_then(Value::as_object);
    let is_secret = |name: &str| {
        fields.and_then(|fields| fields.get(name)).and_then(|field| field.get("x-windlass-secret"))
            == Some(&json!(true))
    };
    for name in names.iter().filter(|name| is_secret(name)) {
        config.entry(name.clone()).or_insert_with(|| json!(format!("{OWN}{name}")));
    }
    config.values_mut().try_for_each(|value| replace(value, id, names))?;
    Ok(config)
}

/// A row as it is kept, with its configuration as the provider gets it.
pub(super) async fn ready(
    app: &App,
    row: &records::Environment,
    provider: &Provider,
) -> Result<Map<String, Value>, Problem> {
    let names = secrets_of(app, &row.id).await?;
    let config: Map<String, Value> = serde_json::from_str(&row.config).map_err(Problem::internal)?;
    with_secrets(&config, &provider.descriptor.config_schema, &row.id, &names).map_err(|name| no_secret(&name))
}

pub(super) fn no_secret(name: &str) -> Problem {
    Problem::field("/secrets", format!("the configuration names {OWN}{name}, and the environment has no secret {name}"))
}

/// The names of an environment's secrets.
pub(super) async fn secrets_of(app: &App, id: &str) -> Result<BTreeSet<String>, Problem> {
    Ok(all_secrets(app).await?.remove(id).unwrap_or_default())
}

/// The names of each environment's secrets.
pub(super) async fn all_secrets(app: &App) -> Result<BTreeMap<String, BTreeSet<String>>, Problem> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for secret in vault(app, windlass_capabilities::Vault::list).await? {
        if let Some((id, name)) = secret.name.strip_prefix("environments/").and_then(|rest| rest.split_once('/')) {
            all.entry(id.to_owned()).or_default().insert(name.to_owned());
        }
    }
    Ok(all)
}

pub(super) async fn keep_secrets(
    app: &App,
    id: &str,
    secrets: BTreeMap<String, SecretValue>,
    forgotten: BTreeSet<String>,
) -> Result<(), Problem> {
    if secrets.is_empty() && forgotten.is_empty() {
        return Ok(());
    }
    let reference = |name: &String| {
        format!("{ENGINE}/{id}/{name}")
            .parse::<SecretReference>()
            .map_err(|error| Problem::field("/secrets", error.to_string()))
    };
    let mut set = Vec::new();
    for (name, value) in secrets {
        set.push((reference(&name)?, value));
    }
    let gone = forgotten.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
    vault(app, move |vault| {
        for (name, value) in &set {
            vault.set(name, value, &[])?;
        }
        for name in &gone {
            match vault.remove(name) {
                // What is not there needs no removal.
                Err(windlass_capabilities::VaultError::NotFound { .. }) => {}
                other => other?,
            }
        }
        Ok(())
    })
    .await
}

/// Removes the secrets of environments that are not there: of one that was being made or deleted when the server ended. Called at the
/// start, before any request.
pub(crate) async fn sweep_secrets(app: &App) -> Result<(), Problem> {
    let there = app.records().environments(Filter::default()).await?;
    let is_gone = |id: &str| is_id(id) && !there.iter().any(|row| row.id == id);
    for (id, secrets) in all_secrets(app).await?.into_iter().filter(|(id, _)| is_gone(id)) {
        keep_secrets(app, &id, BTreeMap::new(), secrets).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn own_secrets_become_references() {
        let schema = json!({ "properties": { "token": { "x-windlass-secret": true }, "plain": {} } });
        let check = |config: Value, names: &[&str], expect: Result<Value, &str>| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let got = with_secrets(&map(config.clone()), &schema, "env-1", &names);
            assert_eq!(got.map(Value::Object), expect.map_err(str::to_owned), "{config}");
        };
        check(json!({ "a": 1 }), &["OTHER"], Ok(json!({ "a": 1 })));
        check(json!({}), &["token"], Ok(json!({ "token": "secret:environments/env-1/token" })));
        check(json!({}), &["plain"], Ok(json!({})));
        let env = json!({ "env": { "T": "secret:./T", "U": ["secret:./T"], "V": "see secret:./T" } });
        let expect = json!({ "env": { "T": "secret:environments/env-1/T", "U": ["secret:environments/env-1/T"], "V": "see secret:./T" } });
        check(env.clone(), &["T"], Ok(expect));
        check(env, &[], Err("T"));
        check(json!({ "token": "secret:cloud/x" }), &["token"], Ok(json!({ "token": "secret:cloud/x" })));
        check(json!({ "a": "secret:./../env-2/T" }), &["T"], Err("../env-2/T"));
    }
}
