//! Environments: where is deployed, by which provider, and what.
//!
//! **Invariants.**
//! - What is about to be deployed is a row before the provider is asked, and its outcome is another commit. What a crash interrupts stays
//!   `in_progress`, and the next look at the environment asks the provider what has become of it.
//! - An environment is changed by one request at a time; a second one is told so. A change goes on when nobody waits for it any more.
//! - An environment's secrets are in the vault, under a name that nobody else can write or use; they are never read back. A provider gets
//!   references, and the values go where its plugin was granted to send them.
//! - The server itself connects nowhere: only the provider's plugin does, with what it was granted.
//!
//! **Own secrets.** The secret `TOKEN` of an environment is written `secret:./TOKEN` in its configuration. One that is called like a field of
//! the configuration that is a secret fills in that field.
//!
//! **Not here.** How providers are called (`driver`), and what they do (their plugins).

use crate::{
    App, Page, Paging, Problem,
    access::Caller,
    api::{
        environments::{
            ConnectionTest, DeployRequest, Deployment, Environment, EnvironmentInput, EnvironmentStatus,
            EnvironmentsQuery, InstanceRow, ProviderRow,
        },
        schemas::with_passwords,
    },
    aside::detached,
    clock::now_ms,
    problem::{FieldError, Kind},
    secrets::{reserved_in, vault},
};
use jiff::Timestamp;
use rand::RngCore as _;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use windlass_contract::{
    ProviderCall, ProviderDescriptor, SecretReference, SecretValue, Verb,
    provider::{Connection, DeployStatus, Deployed, Deployment as Told},
};
use windlass_driver::ProviderReport;
use windlass_package::Installed;
use windlass_runtime::{ProviderErrorKind, Severity};
use windlass_store::records::environments::{self as records, Became, Begun, Filter, Patch};

/// How long a provider may take to be reached, and to tell how something stands. People wait for it.
pub(crate) const LOOK_DEADLINE: Duration = Duration::from_secs(30);
/// How long a deployment may take: an image is pulled, and becomes healthy.
pub(crate) const DEPLOY_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long an answer waits for a deployment. What takes longer is told as in progress.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Characters of an environment's name: it stands in lists and in addresses.
pub(crate) const MAX_NAME: usize = 64;
/// Bytes of a configuration as JSON: a form that people fill in.
pub(crate) const MAX_CONFIG: usize = 64 * 1024;
/// Secrets of one environment.
pub(crate) const MAX_SECRETS: usize = 64;
/// Characters of an image's reference: as the OCI distribution has it, a name of 255 with tag and digest.
pub(crate) const MAX_IMAGE: usize = 512;
/// How many earlier deployments are looked through for one to go back to.
const LOOK_BACK: u32 = 100;
/// The engine in the vault that holds environments' secrets.
const ENGINE: &str = "environments";
/// How an environment's own secret begins in its configuration.
const OWN: &str = "secret:./";
/// How an environment may stand.
const STANDINGS: [&str; 4] = ["active", "provisioning", "error", "decommissioned"];

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

/// The providers that installed plugins offer.
pub(crate) fn providers(app: &App) -> Result<Vec<ProviderRow>, Problem> {
    let row = |plugin: &Installed| {
        let provider = plugin.descriptor.provider.as_ref()?;
        Some(ProviderRow {
            name: provider.name.to_string(),
            title: provider.title.clone(),
            description: provider.docs.clone(),
            plugin: plugin.plugin.to_string(),
            config_schema: with_passwords(&provider.config_schema),
            regions: provider.regions.clone(),
            verbs: provider.verbs.iter().map(ToString::to_string).collect(),
        })
    };
    Ok(app.plugins().installed()?.iter().filter_map(row).collect())
}

/// A provider that is installed.
struct Provider {
    plugin: Installed,
    descriptor: ProviderDescriptor,
}

fn provider(app: &App, name: &str) -> Result<Provider, Problem> {
    let installed = app.plugins().installed()?;
    let all = installed.iter().filter_map(|plugin| Some((plugin, plugin.descriptor.provider.as_ref()?)));
    let found = all.clone().find(|(_, provider)| provider.name.as_str() == name);
    found.map(|(plugin, descriptor)| Provider { plugin: plugin.clone(), descriptor: descriptor.clone() }).ok_or_else(
        || {
            let names: Vec<_> = all.map(|(_, provider)| provider.name.as_str()).collect();
            let there =
                if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
            let words = format!("no plugin that is installed is the provider {name:?}; {there}");
            Problem::new(Kind::Provider, words.clone())
                .at("/provider", words)
                .help("install its plugin from the marketplace")
        },
    )
}

impl Provider {
    /// Asks it something about an environment, with the configuration that it is to have.
    async fn ask(
        &self,
        app: &App,
        id: &str,
        config: Map<String, Value>,
        verb: Verb,
        arguments: Map<String, Value>,
        deadline: Duration,
    ) -> Result<ProviderReport, Problem> {
        if !self.descriptor.verbs.contains(&verb) {
            let words = format!("the provider {} has no {verb}", self.descriptor.name);
            return Err(Problem::new(Kind::Provider, words));
        }
        let call = ProviderCall {
            plugin: self.plugin.plugin.clone(),
            verb,
            environment: id.parse().map_err(Problem::internal)?,
            config: Value::Object(config),
            arguments,
        };
        Ok(app.host().call_provider(call, self.plugin.effective.clone(), deadline).await?)
    }

    /// Holds a configuration, with what stands for its own secrets, against the provider's schema and its own word.
    async fn check(&self, app: &App, config: &Map<String, Value>) -> Result<(), Problem> {
        let config = Value::Object(config.clone());
        let mut errors = violations(&self.descriptor.config_schema, &config);
        if errors.is_empty() {
            let said = app.host().validate_environment(self.plugin.plugin.clone(), &config).await?;
            let said = said.map_err(|error| Problem::told(Kind::Provider, &error))?;
            errors.extend(said.into_iter().filter(|each| each.severity == Severity::Error).map(|each| FieldError {
                pointer: format!("/config{}", each.path),
                detail: each.help.map_or(each.message.clone(), |help| format!("{}; {help}", each.message)),
            }));
        }
        if errors.is_empty() {
            return Ok(());
        }
        let words = format!("the provider {} does not take this configuration", self.descriptor.name);
        Err(Problem { errors, ..Problem::new(Kind::Invalid, words) })
    }
}

/// What of a configuration is not as the schema says. Keys that the schema says nothing of are refused, as those of a step are.
fn violations(schema: &Value, config: &Value) -> Vec<FieldError> {
    let fault = |pointer: &str, detail: String| FieldError { pointer: format!("/config{pointer}"), detail };
    match windlass_manifest::check_environment(schema, config) {
        Ok(faults) => faults.into_iter().map(|each| fault(&each.pointer, each.message)).collect(),
        Err(error) => vec![fault("", format!("the provider's schema is not one: {error}"))],
    }
}

/// A configuration as the provider gets it: the environment's own secrets are references into the vault. The error is the name of one
/// that it has not.
fn with_secrets(
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
async fn ready(app: &App, row: &records::Environment, provider: &Provider) -> Result<Map<String, Value>, Problem> {
    let names = secrets_of(app, &row.id).await?;
    let config: Map<String, Value> = serde_json::from_str(&row.config).map_err(Problem::internal)?;
    with_secrets(&config, &provider.descriptor.config_schema, &row.id, &names).map_err(|name| no_secret(&name))
}

fn no_secret(name: &str) -> Problem {
    Problem::field("/secrets", format!("the configuration names {OWN}{name}, and the environment has no secret {name}"))
}

/// The names of an environment's secrets.
async fn secrets_of(app: &App, id: &str) -> Result<BTreeSet<String>, Problem> {
    Ok(all_secrets(app).await?.remove(id).unwrap_or_default())
}

/// The names of each environment's secrets.
async fn all_secrets(app: &App) -> Result<BTreeMap<String, BTreeSet<String>>, Problem> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for secret in vault(app, windlass_capabilities::Vault::list).await? {
        if let Some((id, name)) = secret.name.strip_prefix("environments/").and_then(|rest| rest.split_once('/')) {
            all.entry(id.to_owned()).or_default().insert(name.to_owned());
        }
    }
    Ok(all)
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

async fn in_place(app: &App, id: &str) -> Result<Option<records::Deployment>, Problem> {
    Ok(app.records().deployments(id, Some("succeeded"), None, 1).await?.pop())
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

impl From<records::Deployment> for Deployment {
    fn from(row: records::Deployment) -> Deployment {
        Deployment {
            id: row.id,
            kind: row.kind,
            deploy_id: row.deploy_id.unwrap_or_default(),
            image: row.image,
            status: row.status,
            message: row.message,
            endpoint: row.endpoint,
            by: row.actor,
            run: row.run,
            at_ms: row.at_ms,
            ended_at_ms: row.ended_at_ms,
        }
    }
}

/// What an input says, each part of it sound.
struct Input {
    name: Option<String>,
    workflow_id: Option<String>,
    provider: Option<String>,
    region: Option<String>,
    config: Option<Map<String, Value>>,
    secrets: BTreeMap<String, SecretValue>,
    /// Those to be removed.
    forgotten: BTreeSet<String>,
    status: Option<String>,
}

fn read(input: EnvironmentInput) -> Result<Input, Problem> {
    let word = |text: &str| {
        (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let rule = "write 1 to 64 letters, digits, `_` and `-`";
    if input.name.as_deref().is_some_and(|name| !word(name)) {
        return Err(Problem::field("/name", rule));
    }
    for (pointer, text) in [("/workflow_id", &input.workflow_id), ("/region", &input.region)] {
        let is_odd = |text: &String| text.chars().count() > 200 || text.chars().any(char::is_control);
        if text.as_ref().is_some_and(is_odd) {
            return Err(Problem::field(pointer, "write at most 200 characters, none of them a control character"));
        }
    }
    if input.status.as_deref().is_some_and(|status| !STANDINGS.contains(&status)) {
        return Err(Problem::field("/status", format!("a status is one of: {}", STANDINGS.join(", "))));
    }
    if let Some(config) = &input.config {
        let config = Value::Object(config.clone());
        if config.to_string().len() > MAX_CONFIG {
            return Err(Problem::field("/config", format!("a configuration has at most {MAX_CONFIG} bytes as JSON")));
        }
        if let Some(name) = reserved_in(&config) {
            let words = format!("secret:{name} is the server's own; write {OWN}NAME for a secret of this environment");
            return Err(Problem::field("/config", words));
        }
    }
    let (mut secrets, mut forgotten) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in input.secrets.unwrap_or_default() {
        let size = value.len();
        if !word(&name) {
            return Err(Problem::field(&format!("/secrets/{}", pointer_part(&name)), rule));
        }
        if size > windlass_capabilities::MAX_SECRET {
            let words = format!("a secret has at most {} bytes", windlass_capabilities::MAX_SECRET);
            return Err(Problem::field(&format!("/secrets/{name}"), words));
        }
        match size {
            0 => drop(forgotten.insert(name)),
            _ => drop(secrets.insert(name, SecretValue::new(value.into_bytes()))),
        }
    }
    Ok(Input {
        name: input.name,
        workflow_id: input.workflow_id,
        provider: input.provider,
        region: input.region,
        config: input.config,
        secrets,
        forgotten,
        status: input.status,
    })
}

/// A key as a part of a JSON pointer.
fn pointer_part(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn check_region(provider: &Provider, region: &str) -> Result<(), Problem> {
    let regions = &provider.descriptor.regions;
    if region.is_empty() || regions.is_empty() || regions.iter().any(|known| known == region) {
        return Ok(());
    }
    Err(Problem::field("/region", format!("{} has the regions {}", provider.descriptor.name, regions.join(", "))))
}

fn name_taken(name: &str) -> Problem {
    let words = format!("there is an environment {name} already");
    Problem::new(Kind::Conflict, words.clone()).at("/name", words)
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

fn check_count(secrets: usize) -> Result<(), Problem> {
    if secrets <= MAX_SECRETS {
        return Ok(());
    }
    Err(Problem::field("/secrets", format!("an environment has at most {MAX_SECRETS} secrets")))
}

/// An id that the world's providers have not seen: 64 bits of chance.
fn new_id() -> String {
    format!("env-{:016x}", rand::thread_rng().next_u64())
}

/// Whether a text is one. What somebody has named otherwise by hand in the vault is theirs.
fn is_id(text: &str) -> bool {
    text.strip_prefix("env-").is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

async fn keep_secrets(
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

/// What was deployed to an environment, the newest first.
pub(crate) async fn deployments(app: &App, id: &str, paging: &Paging) -> Result<Page<Deployment>, Problem> {
    find(app, id).await?;
    let limit = paging.limit()?;
    let rows = app.records().deployments(id, None, paging.after()?, limit + 1).await?;
    Ok(Page::of(rows.into_iter().map(Deployment::from).collect(), limit, |row: &Deployment| row.id))
}

/// Deploys. What takes long is told as in progress, and goes on.
pub(crate) async fn deploy(
    app: &App,
    caller: &Caller,
    id: &str,
    request: DeployRequest,
) -> Result<Deployment, Problem> {
    let DeployRequest { image, config: mut arguments } = request;
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if image.is_empty() || image.chars().count() > MAX_IMAGE || image.chars().any(is_odd) {
        return Err(Problem::field("/image", format!("write an image's reference, at most {MAX_IMAGE} characters")));
    }
    for own in ["image", "environment", "config", "previous", "deploy_id"] {
        if arguments.contains_key(own) {
            return Err(Problem::field(&format!("/config/{own}"), "the server itself says this to the provider"));
        }
    }
    if let Some(name) = reserved_in(&Value::Object(arguments.clone())) {
        return Err(Problem::field("/config", format!("secret:{name} is the server's own")));
    }
    arguments.insert("image".to_owned(), json!(image));
    begin(app, caller, id, Verb::Deploy, image, arguments).await
}

/// Goes back to what was there before.
pub(crate) async fn roll_back(app: &App, caller: &Caller, id: &str) -> Result<Deployment, Problem> {
    begin(app, caller, id, Verb::Rollback, String::new(), Map::new()).await
}

/// Begins a change, and waits for its outcome for a while.
async fn begin(
    app: &App,
    caller: &Caller,
    id: &str,
    verb: Verb,
    image: String,
    arguments: Map<String, Value>,
) -> Result<Deployment, Problem> {
    let row = find(app, id).await?;
    if row.status == "decommissioned" {
        let words = format!("environment {} is decommissioned", row.name);
        return Err(Problem::new(Kind::Conflict, words).help("make it active again first"));
    }
    let provider = provider(app, &row.provider)?;
    let turn = app.environments().turn(&row)?;
    let (at, caller, id) = (app.clone(), caller.clone(), row.id.clone());
    let work = async move {
        let _turn = turn;
        carry_out(&at, &caller, &row, &provider, verb, image, arguments).await
    };
    let mut work = detached(work);
    match tokio::time::timeout(ANSWER_WITHIN, &mut work).await {
        Ok(done) => done.map_err(Problem::internal)?,
        Err(_) => {
            let row = app.records().deployments(&id, None, None, 1).await?.pop();
            row.map(Deployment::from).ok_or_else(|| Problem::internal("a deployment that began has no row"))
        }
    }
}

/// One change, from its row to its outcome. The caller holds the environment's turn.
async fn carry_out(
    app: &App,
    caller: &Caller,
    row: &records::Environment,
    provider: &Provider,
    verb: Verb,
    image: String,
    mut arguments: Map<String, Value>,
) -> Result<Deployment, Problem> {
    let config = ready(app, row, provider).await?;
    repair(app, row, provider, &config).await?;
    let current = in_place(app, &row.id).await?;
    let current_id = current.as_ref().and_then(|current| current.deploy_id.clone());
    let (kind, image) = match verb {
        Verb::Rollback => {
            let nothing = || Problem::new(Kind::Conflict, "there is nothing that was deployed before to go back to");
            let current = current.as_ref().ok_or_else(nothing)?;
            let earlier = app.records().deployments(&row.id, Some("succeeded"), Some(current.id), LOOK_BACK).await?;
            let before = earlier.into_iter().find(|each| each.deploy_id != current.deploy_id).ok_or_else(nothing)?;
            arguments.extend(current_id.map(|id| ("deploy_id".to_owned(), json!(id))));
            ("rollback", before.image)
        }
        _ => {
            arguments.extend(current_id.map(|id| ("previous".to_owned(), json!(id))));
            ("deploy", image)
        }
    };
    let begun = Begun { environment: &row.id, kind, image: &image, actor: &caller.name, run: None, at_ms: now_ms() };
    let mut change = app.records().change().await?;
    let number = change.begin_deployment(begun).await?;
    let detail = json!({ "deployment": number, "image": image });
    change.commit(&caller.did(&format!("environment.{kind}"), &row.id, detail)).await?;
    let report = provider.ask(app, &row.id, config, verb, arguments, DEPLOY_DEADLINE).await;
    let outcome = match report.map(|report| report.result) {
        Ok(Ok(answer)) => serde_json::from_value::<Deployed>(Value::Object(answer)).map_err(|error| error.to_string()),
        Ok(Err(failure)) => Err(failure.message),
        // The call could not begin.
        Err(problem) => Err(problem.detail),
    };
    let rolls_back = current.filter(|_| verb == Verb::Rollback).map(|current| current.id);
    match outcome {
        Ok(deployed) => {
            let message = &deployed.message;
            let told =
                (Some(deployed.deploy_id.as_str()), deployed.status, message.as_str(), deployed.endpoint.as_deref());
            settle(app, &row.id, number, told, rolls_back).await?;
        }
        Err(message) => settle(app, &row.id, number, (None, DeployStatus::Failed, &message, None), None).await?,
    }
    let done = app.records().deployments(&row.id, None, Some(number + 1), 1).await?.pop();
    done.map(Deployment::from).ok_or_else(|| Problem::new(Kind::Gone, "the environment was deleted meanwhile"))
}

/// Writes down what was told of a deployment.
async fn settle(
    app: &App,
    environment: &str,
    number: i64,
    (deploy_id, status, message, endpoint): (Option<&str>, DeployStatus, &str, Option<&str>),
    rolls_back: Option<i64>,
) -> Result<(), Problem> {
    let (status, has_ended) = match status {
        DeployStatus::Pending | DeployStatus::InProgress => ("in_progress", false),
        DeployStatus::Succeeded => ("succeeded", true),
        DeployStatus::Failed => ("failed", true),
    };
    // What was gone back to has the image that it was deployed with.
    let image = match deploy_id.filter(|_| rolls_back.is_some()) {
        Some(id) => {
            let all = app.records().deployments(environment, None, Some(number), LOOK_BACK).await?;
            all.into_iter().find(|each| each.deploy_id.as_deref() == Some(id)).map(|each| each.image)
        }
        None => None,
    };
    let became = Became {
        deploy_id,
        image: image.as_deref().filter(|_| status == "succeeded"),
        status,
        message,
        endpoint,
        ended_at_ms: has_ended.then(now_ms),
        rolls_back: rolls_back.filter(|_| status == "succeeded"),
    };
    Ok(app.records().settle_deployment(number, became).await?)
}

/// Asks the provider what has become of a change whose outcome nobody has written down: the server died, or the provider was not done.
/// The caller holds the environment's turn, so none is under way here.
async fn repair(
    app: &App,
    row: &records::Environment,
    provider: &Provider,
    config: &Map<String, Value>,
) -> Result<(), Problem> {
    for open in app.records().deployments(&row.id, Some("in_progress"), None, LOOK_BACK).await?.into_iter().rev() {
        let before = in_place(app, &row.id).await?;
        let rolls_back = before.as_ref().filter(|_| open.kind == "rollback").map(|before| before.id);
        let arguments = open.deploy_id.iter().map(|id| ("deploy_id".to_owned(), json!(id))).collect();
        let report = provider.ask(app, &row.id, config.clone(), Verb::Status, arguments, LOOK_DEADLINE).await?;
        let told = match report.result {
            Ok(answer) => Some(serde_json::from_value::<Told>(Value::Object(answer)).map_err(Problem::internal)?),
            Err(failure) if failure.kind == Some(ProviderErrorKind::NotFound) => None,
            // It cannot be told now; the next look asks again.
            Err(failure) => return Err(Problem::told(Kind::Upstream, &failure)),
        };
        let before = before.and_then(|before| before.deploy_id);
        let is_it = |told: &Told| open.deploy_id.is_some() || before.as_deref() != Some(told.deploy_id.as_str());
        match told.filter(is_it) {
            Some(told) => {
                let said = (Some(told.deploy_id.as_str()), told.status, told.message.as_str(), None);
                settle(app, &row.id, open.id, said, rolls_back).await?;
            }
            None => {
                let words = "the server ended while this was under way; what was there before is still in place";
                settle(app, &row.id, open.id, (None, DeployStatus::Failed, words, None), None).await?;
            }
        }
    }
    Ok(())
}

/// How what is deployed stands at this moment, as the provider says.
pub(crate) async fn status(app: &App, id: &str) -> Result<EnvironmentStatus, Problem> {
    let row = find(app, id).await?;
    let provider = provider(app, &row.provider)?;
    let config = ready(app, &row, &provider).await?;
    // Whoever has the turn writes the outcome down.
    if let Ok(_turn) = app.environments().turn(&row) {
        repair(app, &row, &provider, &config).await?;
    }
    let Some(current) = in_place(app, id).await? else {
        let message = "nothing is deployed".to_owned();
        return Ok(EnvironmentStatus { deployment: None, progress: None, message, instances: Vec::new() });
    };
    let arguments = current.deploy_id.iter().map(|id| ("deploy_id".to_owned(), json!(id))).collect();
    let report = provider.ask(app, id, config, Verb::Status, arguments, LOOK_DEADLINE).await?;
    let deployment = Some(Deployment::from(current));
    match report.result {
        Ok(answer) => {
            let told: Told = serde_json::from_value(Value::Object(answer)).map_err(Problem::internal)?;
            let instance = |each: windlass_contract::provider::Instance| InstanceRow {
                id: each.id,
                status: word(&each.status),
                health: word(&each.health),
                address: each.address,
            };
            let instances = told.instances.into_iter().map(instance).collect();
            Ok(EnvironmentStatus { deployment, progress: Some(told.progress), message: told.message, instances })
        }
        Err(failure) if failure.kind == Some(ProviderErrorKind::NotFound) => {
            Ok(EnvironmentStatus { deployment, progress: None, message: failure.message, instances: Vec::new() })
        }
        Err(failure) => Err(Problem::told(Kind::Upstream, &failure)),
    }
}

/// A value of a closed list as the interface writes it.
fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
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

    #[test]
    fn what_an_input_may_say() {
        let pointer = |input: Value| {
            let input = serde_json::from_value(input).unwrap();
            read(input).err().map(|problem| problem.errors[0].pointer.clone())
        };
        assert_eq!(pointer(json!({ "name": "a_B-9", "secrets": { "TOKEN": "x", "OLD": "" } })), None);
        assert_eq!(pointer(json!({ "name": "x".repeat(MAX_NAME) })), None);
        for name in ["", "a b", "../x", "ü", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(pointer(json!({ "name": name })).as_deref(), Some("/name"), "{name}");
        }
        assert_eq!(pointer(json!({ "status": "fine" })).as_deref(), Some("/status"));
        assert_eq!(pointer(json!({ "secrets": { "a/b": "x" } })).as_deref(), Some("/secrets/a~1b"));
        assert_eq!(pointer(json!({ "secrets": { "T": "x".repeat(65_537) } })).as_deref(), Some("/secrets/T"));
        assert_eq!(pointer(json!({ "config": { "x": "x".repeat(MAX_CONFIG) } })).as_deref(), Some("/config"));
        let foreign = json!({ "config": { "env": { "T": "secret:environments/env-2/T" } } });
        assert_eq!(pointer(foreign).as_deref(), Some("/config"));
        let too_many = MAX_SECRETS + 1;
        assert!(check_count(MAX_SECRETS).is_ok() && check_count(too_many).is_err());
    }

    #[test]
    fn violations_name_the_place() {
        let schema = json!({ "type": "object", "properties": { "a": { "type": "object", "properties": { "b": { "type": "number" } } } } });
        let check = |config: Value, expect: &[&str]| {
            let found = violations(&schema, &config).into_iter().map(|each| each.pointer).collect::<Vec<_>>();
            assert_eq!(found, expect, "{config}");
        };
        check(json!({ "a": { "b": 1 } }), &[]);
        check(json!({ "a": { "b": "x" } }), &["/config/a/b"]);
        check(json!({ "z": 1 }), &["/config"]);
        assert_eq!(violations(&json!({ "type": 1 }), &json!({}))[0].pointer, "/config");
    }

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
