//! `windlass:local`: the provider `local`, which deploys an image as one container on the engine that Windlass uses.
//!
//! - [`config`]: what an environment is configured to, and what is asked for it. Pure.
//! - [`book`]: what is kept of an environment between calls. Pure.
//! - this file: the calls of the host.
//!
//! The host makes one change of an environment at a time. Each change is written into the book before it is made, and begins by
//! removing what a change that died has left.

pub mod book;
pub mod config;

use book::{Book, Entry, Standing};
use config::{About, Check, Config, Deploy, Retire};
use serde_json::{Value, json};
use std::time::Instant;
use windlass_plugin::{
    Diagnostic, containers, info,
    provider::{Guest, ProviderError, answer, request},
    secrets, state, warn,
};

/// Why a container did not come up is told with so many lines of what it printed last.
const LAST_LINES: usize = 10;

/// And with so many characters of them.
const LAST_CHARS: usize = 2000;

/// The plugin.
pub struct Local;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::provider::export!(Local);

type Answer = Result<String, ProviderError>;

impl Guest for Local {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(config: String) -> Vec<Diagnostic> {
        config::check(&config)
    }

    fn test_connection(ask: String) -> Answer {
        let ask: About = request(&ask)?;
        // Whoever can look for a container has an engine that answers.
        let reached = match containers::find("probe") {
            Ok(_) => Ok("the container engine answers".to_owned()),
            Err(containers::ContainerError::EngineUnavailable(why)) => Err(why),
            Err(error) => return Err(error.into()),
        };
        let book = Kept::read(&ask.environment)?.book;
        let details = match book.current() {
            Some(entry) => json!({ "deploy_id": entry.id, "image": entry.image }),
            None => json!({}),
        };
        let (success, message) = (reached.is_ok(), reached.unwrap_or_else(|why| why));
        answer(&json!({ "success": success, "message": message, "details": details }))
    }

    fn deploy(ask: String) -> Answer {
        deploy(&request(&ask)?)
    }

    fn status(ask: String) -> Answer {
        status(&request(&ask)?)
    }

    fn rollback(ask: String) -> Answer {
        roll_back(&request(&ask)?)
    }

    fn health(ask: String) -> Answer {
        let told: Value = request(&status(&request(&ask)?)?)?;
        let health = told.pointer("/instances/0/health").cloned().unwrap_or_else(|| json!("unknown"));
        answer(&json!({ "health": health, "message": told["message"] }))
    }

    fn retire(ask: String) -> Answer {
        let ask: Retire = request(&ask)?;
        let mut kept = Kept::read(&ask.environment)?;
        kept.change(|book| book.retire(ask.revision.as_deref()))?;
        kept.tidy()?;
        answer(&json!({}))
    }

    fn metrics(_: String) -> Answer {
        unsupported("metrics")
    }
    fn push_image(_: String) -> Answer {
        unsupported("a registry")
    }
    fn pull_image(_: String) -> Answer {
        unsupported("a registry")
    }
    fn list_images(_: String) -> Answer {
        unsupported("a registry")
    }
    fn create_revision(_: String) -> Answer {
        unsupported("revisions without traffic")
    }
    fn set_capacity(_: String) -> Answer {
        unsupported("capacities: a deployment is one container")
    }
    fn set_traffic(_: String) -> Answer {
        unsupported("shares of the traffic: a deployment is one container")
    }
}

fn unsupported(what: &str) -> Answer {
    let has = "it has test-connection, deploy, status, rollback, health and retire";
    Err(ProviderError::Unsupported(format!("the provider local has no {what}; {has}")))
}

/// The book of an environment, as it was last written.
struct Kept {
    key: String,
    written: Option<Vec<u8>>,
    book: Book,
}

impl Kept {
    fn read(environment: &str) -> Result<Kept, ProviderError> {
        let key = format!("environment/{environment}");
        let written = state::get(&key)?;
        let book = match &written {
            None => Book::default(),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| {
                ProviderError::Other(format!("what is kept of environment {environment} cannot be read: {error}"))
            })?,
        };
        Ok(Kept { key, written, book })
    }

    /// Writes a change down, unless another call has written meanwhile.
    fn change<T>(&mut self, change: impl FnOnce(&mut Book) -> T) -> Result<T, ProviderError> {
        let told = change(&mut self.book);
        let text = serde_json::to_vec(&self.book).map_err(|error| ProviderError::Other(error.to_string()))?;
        state::compare_and_set(&self.key, self.written.as_deref(), &text)?;
        self.written = Some(text);
        Ok(told)
    }

    /// Removes what must not be there any more.
    fn tidy(&mut self) -> Result<(), ProviderError> {
        let leftovers = self.book.leftovers();
        if leftovers.is_empty() {
            return Ok(());
        }
        for id in &leftovers {
            if let Some(container) = containers::find(id)? {
                container.remove()?;
                info(&format!("removed {id}"));
            }
        }
        self.change(Book::tidied)
    }

    /// Stops what was replaced; what is not there needs no stopping. It is a blemish where that fails, and not a failure: the new
    /// one is in place.
    fn stop_previous(&self, config: &Config) {
        let Some(entry) = self.book.previous() else { return };
        let stopped = containers::find(&entry.id)
            .and_then(|container| container.map_or(Ok(()), |container| container.stop(config.stop_ms())));
        match stopped {
            Ok(()) => info(&format!("stopped {}, which was in place before", entry.id)),
            Err(error) => warn(&format!("{} may still run beside it: {error}", entry.id)),
        }
    }
}

fn deploy(ask: &Deploy) -> Answer {
    let mut kept = Kept::read(&ask.environment)?;
    let check = ask.config.check().map_err(ProviderError::InvalidConfig)?;
    if let Some(previous) = &ask.previous {
        let current = kept.book.current().map(|entry| entry.id.as_str());
        if current != Some(previous) {
            let current = current.unwrap_or("nothing");
            return Err(ProviderError::Conflict(format!("{previous} is not in place any more: {current} is")));
        }
    }
    kept.tidy()?;
    let spec = spec(&ask.config, &ask.image)?;
    let entry = kept.change(|book| book.begin(&ask.image))?;
    spec.detach(&entry.id);
    info(&format!("starting {} from {}", entry.id, entry.image));
    let came_up = match containers::start(spec) {
        Ok(container) => watch(&container, &ask.config, check.as_ref())?.map(|()| container),
        Err(error) => Err(start_failed(error, &mut kept)?),
    };
    match came_up {
        Ok(container) => {
            kept.change(Book::succeeded)?;
            kept.stop_previous(&ask.config);
            if let Err(error) = kept.tidy() {
                warn(&format!("what was there before the last deployment is removed next time: {error}"));
            }
            deployed(&entry, &container, "it is in place")
        }
        Err(why) => {
            kept.change(Book::failed)?;
            kept.tidy()?;
            answer(&json!({ "deploy_id": entry.id, "status": "failed", "message": why }))
        }
    }
}

/// Why a deployment has failed, where its container could not be started for a reason of its own; an error, where the reason
/// is the request, the grant or the engine.
fn start_failed(error: containers::ContainerError, kept: &mut Kept) -> Result<String, ProviderError> {
    use containers::ContainerError as E;
    match error {
        E::ImagePullFailed(why) => Ok(format!("the image could not be pulled: {why}")),
        E::ResourceExhausted(why) | E::VolumeMountFailed(why) => Ok(why),
        error => {
            kept.change(Book::failed)?;
            Err(error.into())
        }
    }
}

fn roll_back(ask: &About) -> Answer {
    let mut kept = Kept::read(&ask.environment)?;
    let check = ask.config.check().map_err(ProviderError::InvalidConfig)?;
    let current = kept.book.current().map_or("nothing", |entry| &entry.id).to_owned();
    if let Some(id) = ask.deploy_id.as_ref().filter(|id| **id != current) {
        return Err(ProviderError::Conflict(format!("{id} is not in place: {current} is")));
    }
    kept.tidy()?;
    let nothing = || ProviderError::NotFound(format!("there is nothing before {current} to go back to"));
    let entry = kept.book.previous().cloned().ok_or_else(nothing)?;
    let gone =
        || ProviderError::NotFound(format!("{} was removed from the container engine; deploy it again", entry.id));
    let container = containers::find(&entry.id)?.ok_or_else(gone)?;
    info(&format!("starting {} again, from {}", entry.id, entry.image));
    container.start_again()?;
    match watch(&container, &ask.config, check.as_ref())? {
        Ok(()) => {
            kept.change(Book::rolled_back)?;
            kept.stop_previous(&ask.config);
            deployed(&entry, &container, &format!("it is in place again, instead of {current}"))
        }
        Err(why) => {
            container.stop(ask.config.stop_ms())?;
            let message = format!("{} does not come up again, and {current} is still in place: {why}", entry.id);
            answer(&json!({ "deploy_id": current, "status": "failed", "message": message }))
        }
    }
}

fn status(ask: &About) -> Answer {
    let book = Kept::read(&ask.environment)?.book;
    let unknown = || match &ask.deploy_id {
        Some(id) => ProviderError::NotFound(format!("there is no deployment {id} any more")),
        None => ProviderError::NotFound("nothing is deployed yet".to_owned()),
    };
    let (entry, standing) = book.find(ask.deploy_id.as_deref()).ok_or_else(unknown)?;
    let told = |status: &str, message: &str, instances: Value| {
        let progress = if status == "in_progress" { 50 } else { 100 };
        answer(&json!({
            "deploy_id": entry.id, "status": status, "progress": progress, "message": message, "instances": instances,
        }))
    };
    let Some(container) = containers::find(&entry.id)? else {
        return match standing {
            Standing::Pending => told("in_progress", "it is about to start", json!([])),
            _ => told("failed", "its container was removed from the container engine", json!([])),
        };
    };
    let seen = Seen::of(&container)?;
    let instance = |status: &str, health: &str| json!([{ "id": entry.id, "status": status, "health": health, "address": seen.address }]);
    if standing == Standing::Previous {
        let replaced = "another deployment has taken its place; a rollback goes back to it";
        return told("succeeded", replaced, instance("stopped", "unknown"));
    }
    if let Some(code) = seen.exit_code {
        let message = format!("it has ended with exit code {code}");
        return told("failed", &message, instance("failed", "unhealthy"));
    }
    if standing == Standing::Pending {
        return told("in_progress", "it runs, and is not known to be healthy yet", instance("pending", "unknown"));
    }
    match ask.config.check().map_err(ProviderError::InvalidConfig)? {
        None => told("succeeded", "it runs", instance("running", "healthy")),
        Some(check) => match container.exec(&check.argv)?.code {
            0 => told("succeeded", "it runs, and its health check passes", instance("running", "healthy")),
            code => {
                let message = format!("it runs, and {}", check_failed(&check, code));
                told("succeeded", &message, instance("running", "unhealthy"))
            }
        },
    }
}

/// How a container stands.
struct Seen {
    exit_code: Option<i64>,
    address: Option<String>,
    started_at: Option<String>,
}

impl Seen {
    fn of(container: &containers::Container) -> Result<Seen, ProviderError> {
        let seen: Value = request(&container.state()?)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let ports = seen["ports"].as_object();
        Ok(Seen {
            exit_code: seen["exit_code"].as_i64(),
            address: ports.and_then(|ports| ports.values().next()).and_then(text),
            started_at: text(&seen["started_at"]),
        })
    }
}

fn deployed(entry: &Entry, container: &containers::Container, message: &str) -> Answer {
    let seen = Seen::of(container)?;
    let mut told = json!({
        "deploy_id": entry.id, "status": "succeeded", "message": message, "started_at": seen.started_at,
    });
    if let Some(address) = seen.address {
        told["endpoint"] = json!(address);
    }
    answer(&told)
}

/// Waits until a container has come up; the inner error says why it has not.
fn watch(
    container: &containers::Container,
    config: &Config,
    check: Option<&Check>,
) -> Result<Result<(), String>, ProviderError> {
    let begun = Instant::now();
    let ended = |exit: containers::Exit| {
        let why = match exit {
            containers::Exit { out_of_memory: true, .. } => "it ran out of memory: raise `memory_mib`".to_owned(),
            containers::Exit { code, .. } => format!("it has ended with exit code {code}"),
        };
        format!("{why}{}", last_lines(container))
    };
    if let Some(exit) = container.wait_for(config.grace_ms())? {
        return Ok(Err(ended(exit)));
    }
    let Some(check) = check else { return Ok(Ok(())) };
    loop {
        let code = match container.exec(&check.argv) {
            Ok(exit) => exit.code,
            // It ended between the two: how, is told below.
            Err(containers::ContainerError::Invalid(_)) => -1,
            Err(error) => return Err(error.into()),
        };
        if code == 0 && Seen::of(container)?.exit_code.is_none() {
            return Ok(Ok(()));
        }
        if begun.elapsed() >= check.timeout {
            return Ok(Err(format!("{}{}", check_failed(check, code), last_lines(container))));
        }
        if let Some(exit) = container.wait_for(check.interval_ms)? {
            return Ok(Err(ended(exit)));
        }
    }
}

fn check_failed(check: &Check, code: i32) -> String {
    let program = &check.program;
    match code {
        126 | 127 => format!("its health check cannot be run: there is no {program} in the image"),
        code => format!("its health check fails: {program} exits {code}"),
    }
}

/// What a container printed last, below a line of its own; nothing where it printed nothing.
fn last_lines(container: &containers::Container) -> String {
    let text =
        [containers::Output::Stdout, containers::Output::Stderr].map(|output| container.captured(output)).concat();
    tail(&text)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    let from = shown.char_indices().rev().nth(LAST_CHARS - 1).map_or(0, |(at, _)| at);
    if shown.is_empty() { String::new() } else { format!("; it printed last:\n{}", &shown[from..]) }
}

/// The container that is asked for, but for its name.
fn spec(config: &Config, image: &str) -> Result<containers::ContainerSpec, ProviderError> {
    let spec = containers::ContainerSpec::new(image);
    if let Some(command) = &config.command {
        spec.command(command);
    }
    spec.network(config.network());
    if let Some(port) = config.port {
        spec.publish(port);
    }
    spec.read_only_root(config.read_only_root);
    if let Some(mib) = config.memory_mib {
        spec.memory_mib(mib);
    }
    if let Some(millis) = config.cpu_millis {
        spec.cpu_millis(millis);
    }
    if let Some(user) = &config.user {
        spec.user(user);
    }
    if let Some(reference) = &config.registry_credentials {
        spec.registry_auth(&secrets::get(reference)?);
    }
    for (name, value) in &config.env {
        match windlass_plugin::fields::EnvValue::of(value) {
            windlass_plugin::fields::EnvValue::Text(text) => spec.env(name, text),
            windlass_plugin::fields::EnvValue::Secret(reference) => spec.env_secret(name, &secrets::get(reference)?),
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_printed_last() {
        assert_eq!(tail(" \n\n"), "");
        assert_eq!(tail("a\n\nb\n"), "; it printed last:\na\nb");
        let many: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert!(tail(&many).starts_with("; it printed last:\n10\n11"));
        let long = tail(&"é".repeat(LAST_CHARS + 5));
        assert_eq!(long.chars().filter(|c| *c == 'é').count(), LAST_CHARS);
    }
}
