//! Environments: where is deployed, by which provider, and what.
//!
//! **Invariants.**
//! - An environment is changed by one request at a time; a second one is told so.
//! - An environment's secrets are in the vault, under a name that nobody else can write or use; they are never read back. A provider gets
//!   references, and the values go where its plugin was granted to send them.
//! - The server itself connects nowhere: only the provider's plugin does, with what it was granted.
//!
//! **Layers.** `input` is what people may say of one, `secrets` what of it lies in the vault, `provider` who carries it out, `deployments` what is
//! deployed to it; here is how environments are made, changed, tested and deleted.
//!
//! **Not here.** How providers are called (`driver`), and what they do (their plugins).

mod deployments;
mod input;
mod provider;
mod secrets;

pub(crate) use deployments::{deploy, deployments, roll_back, status};
pub(crate) use provider::providers;
pub(crate) use secrets::sweep_secrets;

use crate::{
    App, Problem,
    access::Caller,
    api::environments::{ConnectionTest, Deployment, Environment, EnvironmentInput, EnvironmentsQuery},
    clock::now_ms,
    problem::Kind,
};
use deployments::in_place;
use input::{check_count, read};
use jiff::Timestamp;
use provider::{LOOK_DEADLINE, check_region, provider};
use rand::RngCore as _;
use secrets::{all_secrets, keep_secrets, no_secret, ready, secrets_of, with_secrets};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use windlass_contract::{Verb, provider::Connection};
use windlass_store::records::environments::{self as records, Filter, Patch};

/// The environments that are being changed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Environments(Arc<Mutex<HashSet<String>>>);

/// The right to change an environment, until it is dropped.
struct Turn(Environments, String);

impl Environments {
    fn turn(&self, environment: &records::Environment) -> Result<Turn, Problem> {
        let id = environment.id.clone();
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
            return Ok(Turn(self.clone(), id));
        }
        let words = format!("environment {} is being changed at this moment", environment.name);
        Err(Problem { retry_after_s: Some(5), ..Problem::new(Kind::Conflict, words) }
            .help("try again when that has ended"))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// The environments, by name.
pub(crate) async fn list(app: &App, query: &EnvironmentsQuery) -> Result<Vec<Environment>, Problem> {
    let (workflow_id, provider) = (query.workflow_id.as_deref(), query.provider.as_deref());
    let rows = app.records().environments(Filter { workflow_id, provider, status: query.status.as_deref() }).await?;
    let mut secrets = all_secrets(app).await?;
    let mut current: BTreeMap<_, _> =
        app.records().in_place().await?.into_iter().map(|each| (each.environment.clone(), each)).collect();
    let shape = |row: records::Environment| {
        let (secrets, current) = (secrets.remove(&row.id).unwrap_or_default(), current.remove(&row.id));
        shaped(row, secrets, current)
    };
    Ok(rows.into_iter().map(shape).collect())
}

/// One environment.
pub(crate) async fn one(app: &App, id: &str) -> Result<Environment, Problem> {
    let row = find(app, id).await?;
    let (secrets, current) = (secrets_of(app, id).await?, in_place(app, id).await?);
    Ok(shaped(row, secrets, current))
}

async fn find(app: &App, id: &str) -> Result<records::Environment, Problem> {
    app.records().environment(id).await?.ok_or_else(|| Problem::new(Kind::NotFound, "environment not found"))
}

fn shaped(row: records::Environment, secrets: BTreeSet<String>, current: Option<records::Deployment>) -> Environment {
    let time = |ms: u64| {
        let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
    };
    Environment {
        created_at: time(row.created_at_ms),
        updated_at: time(row.updated_at_ms),
        config: serde_json::from_str(&row.config).unwrap_or_default(),
        secrets: secrets.into_iter().map(|name| (name, "set".to_owned())).collect(),
        last_test: row.last_test.as_deref().and_then(|test| serde_json::from_str(test).ok()),
        current: current.map(Deployment::from),
        id: row.id,
        workflow_id: row.workflow_id,
        name: row.name,
        provider: row.provider,
        region: row.region,
        status: row.status,
    }
}

/// Makes an environment.
pub(crate) async fn create(app: &App, caller: &Caller, input: EnvironmentInput) -> Result<Environment, Problem> {
    let input = read(input)?;
    let name = input.name.ok_or_else(|| Problem::field("/name", "an environment needs a name"))?;
    let wanted = input.provider.ok_or_else(|| Problem::field("/provider", "an environment needs a provider"))?;
    let provider = provider(app, &wanted)?;
    let (region, config) = (input.region.unwrap_or_default(), input.config.unwrap_or_default());
    check_region(&provider, &region)?;
    let id = new_id();
    let names: BTreeSet<String> = input.secrets.keys().cloned().collect();
    check_count(names.len())?;
    let whole =
        with_secrets(&config, &provider.descriptor.config_schema, &id, &names).map_err(|name| no_secret(&name))?;
    provider.check(app, &whole).await?;
    let now = now_ms();
    let row = records::Environment {
        id: id.clone(),
        name: name.clone(),
        workflow_id: input.workflow_id.unwrap_or_default(),
        provider: wanted.clone(),
        region,
        config: Value::Object(config).to_string(),
        status: input.status.unwrap_or_else(|| "provisioning".to_owned()),
        last_test: None,
        created_at_ms: now,
        updated_at_ms: now,
    };
    // Before the environment: one is never there without its secrets. Secrets without an environment go at the next start.
    keep_secrets(app, &id, input.secrets, BTreeSet::new()).await?;
    let mut change = app.records().change().await?;
    if !change.make_environment(&row).await? {
        drop(change);
        keep_secrets(app, &id, BTreeMap::new(), names).await?;
        return Err(name_taken(&name));
    }
    let detail = json!({ "name": name, "provider": wanted, "secrets": names });
    change.commit(&caller.did("environment.create", &id, detail)).await?;
    one(app, &id).await
}

fn name_taken(name: &str) -> Problem {
    let words = format!("there is an environment {name} already");
    Problem::new(Kind::Conflict, words.clone()).at("/name", words)
}

/// An id that the world's providers have not seen: 64 bits of chance.
fn new_id() -> String {
    format!("env-{:016x}", rand::thread_rng().next_u64())
}

/// Whether a text is one. What somebody has named otherwise by hand in the vault is theirs.
fn is_id(text: &str) -> bool {
    text.strip_prefix("env-").is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Changes what the input names of an environment.
pub(crate) async fn change(
    app: &App,
    caller: &Caller,
    id: &str,
    input: EnvironmentInput,
) -> Result<Environment, Problem> {
    let before = find(app, id).await?;
    let _turn = app.environments().turn(&before)?;
    let input = read(input)?;
    let mut names = secrets_of(app, id).await?;
    names.extend(input.secrets.keys().cloned());
    names.retain(|name| !input.forgotten.contains(name));
    check_count(names.len())?;
    let touches_provider = input.provider.is_some()
        || input.config.is_some()
        || input.region.is_some()
        || !input.secrets.is_empty()
        || !input.forgotten.is_empty();
    if touches_provider {
        let provider = provider(app, input.provider.as_deref().unwrap_or(&before.provider))?;
        check_region(&provider, input.region.as_deref().unwrap_or(&before.region))?;
        let config = match &input.config {
            Some(config) => config.clone(),
            None => serde_json::from_str(&before.config).map_err(Problem::internal)?,
        };
        let whole =
            with_secrets(&config, &provider.descriptor.config_schema, id, &names).map_err(|name| no_secret(&name))?;
        provider.check(app, &whole).await?;
    }
    if let Some(provider) = input.provider.as_deref().filter(|provider| *provider != before.provider)
        && in_place(app, id).await?.is_some()
    {
        let words = format!("what is deployed by {} cannot be taken over by {provider}", before.provider);
        let help = "make another environment for that provider";
        return Err(Problem::new(Kind::Conflict, words.clone()).at("/provider", words).help(help));
    }
    let mut changed: Vec<&str> = Vec::new();
    for (field, is_given) in [
        ("name", input.name.is_some()),
        ("workflow_id", input.workflow_id.is_some()),
        ("provider", input.provider.is_some()),
        ("region", input.region.is_some()),
        ("config", input.config.is_some()),
        ("status", input.status.is_some()),
    ] {
        changed.extend(is_given.then_some(field));
    }
    let detail = json!({ "changed": changed, "secrets_set": input.secrets.keys().collect::<Vec<_>>(), "secrets_removed": input.forgotten });
    let config = input.config.map(|config| Value::Object(config).to_string());
    let patch = Patch {
        name: input.name.as_deref(),
        workflow_id: input.workflow_id.as_deref(),
        provider: input.provider.as_deref(),
        region: input.region.as_deref(),
        config: config.as_deref(),
        status: input.status.as_deref(),
    };
    let mut change = app.records().change().await?;
    if !change.change_environment(id, patch, now_ms()).await? {
        return Err(name_taken(input.name.as_deref().unwrap_or(&before.name)));
    }
    change.commit(&caller.did("environment.change", id, detail)).await?;
    // After it: no secret is changed without an entry.
    keep_secrets(app, id, input.secrets, input.forgotten).await?;
    one(app, id).await
}

/// Deletes an environment and its secrets.
pub(crate) async fn delete(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let row = find(app, id).await?;
    let _turn = app.environments().turn(&row)?;
    let secrets = secrets_of(app, id).await?;
    let mut change = app.records().change().await?;
    change.delete_environment(id).await?;
    change.commit(&caller.did("environment.delete", id, json!({ "name": row.name }))).await?;
    keep_secrets(app, id, BTreeMap::new(), secrets).await
}

/// Asks the provider whether it can be reached with what is configured.
pub(crate) async fn test(app: &App, caller: &Caller, id: &str) -> Result<ConnectionTest, Problem> {
    let row = find(app, id).await?;
    let provider = provider(app, &row.provider)?;
    let config = ready(app, &row, &provider).await?;
    let began = Instant::now();
    let report = provider.ask(app, id, config, Verb::TestConnection, Map::new(), LOOK_DEADLINE).await?;
    let latency = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let connection = match report.result {
        Ok(answer) => serde_json::from_value(Value::Object(answer)).map_err(Problem::internal)?,
        Err(failure) => Connection { success: false, message: failure.message, details: Map::new() },
    };
    let test = ConnectionTest {
        success: connection.success,
        message: connection.message,
        latency,
        details: (!connection.details.is_empty()).then_some(Value::Object(connection.details)),
        at_ms: now_ms(),
    };
    let (kept, status) = (json!(test).to_string(), if test.success { "active" } else { "error" });
    let mut change = app.records().change().await?;
    change.tested_environment(id, &kept, status).await?;
    change.commit(&caller.did("environment.test", id, json!({ "success": test.success }))).await?;
    Ok(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_at_a_time() {
        let environment = |id: &str| records::Environment {
            id: id.to_owned(),
            name: id.to_owned(),
            workflow_id: String::new(),
            provider: String::new(),
            region: String::new(),
            config: String::new(),
            status: String::new(),
            last_test: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        let all = Environments::default();
        let turn = all.turn(&environment("a")).unwrap();
        assert_eq!(all.turn(&environment("a")).err().map(|problem| problem.status), Some(409));
        assert!(all.turn(&environment("b")).is_ok());
        drop(turn);
        assert!(all.turn(&environment("a")).is_ok());
    }
}
