//! `windlass:agent`: the step type `step.agent`, in which a language model works on the run's files.
//!
//! Any server that speaks OpenAI's chat completions will do. The model is asked, is given the tools that it wants, and is asked again,
//! until it answers without wanting any.
//!
//! - [`config`]: what a step is asked to do, and what can be wrong with it. Pure.
//! - [`chat`]: the documents that go to and come from the server. Pure.
//! - [`tools`]: what the model may call. Pure, but for the files behind a trait.
//! - [`conversation`]: the loop. Pure, but for the world behind a trait.
//! - [`verdict`]: what the last answer says. Pure.
//! - this file: the calls of the host.

pub mod chat;
pub mod config;
pub mod conversation;
pub mod tools;
pub mod verdict;

use config::Config;
use conversation::{End, Spent, World};
use tools::{Files, Found};
use windlass_plugin::{
    Diagnostic, Guest, Recovery, StepError, artifacts,
    files::{self, Mounts, Place},
    http, info, inputs, output, secrets, warn,
};

/// The step type's name.
const STEP_TYPE: &str = "step.agent";

/// How long one answer may take: 10 minutes, the most that the host allows. Models that think take minutes; the step's own timeout is
/// what bounds the whole.
const REQUEST_TIMEOUT_MS: u32 = 600_000;

/// Bytes of an answer at most: 16 MiB, far more than any model writes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The plugin.
pub struct Agent;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::export!(Agent);

impl Guest for Agent {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(step_type: String, config: String) -> Vec<Diagnostic> {
        if step_type == STEP_TYPE { config::check(&config) } else { Vec::new() }
    }

    fn run(step_type: String) -> Result<(), StepError> {
        if step_type != STEP_TYPE {
            return Err(windlass_plugin::unknown_step_type(&step_type));
        }
        run(windlass_plugin::config()?)
    }

    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}

fn run(config: Config) -> Result<(), StepError> {
    let mounts = Mounts::new(config.volumes).map_err(|(_, why)| StepError::InvalidConfig(why))?;
    let key = config.profile.api_key.as_ref().map(|key| secrets::get(key.as_str())).transpose()?;
    let host = Host { url: chat::url(&config.profile.base_url), key };
    info(&format!("agent {} asks {} for {}", config.agent, host.url, config.profile.model));
    let system = config.profile.system.iter().map(|system| chat::message("system", system));
    let messages = system.chain([chat::message("user", &config.input)]).collect();
    let mut spent = Spent::default();
    let settings = config.profile.settings();
    let end = conversation::hold(&settings, messages, config.max_iterations, &mounts, &host, &mut spent);
    output("iterations", &spent.iterations)?;
    output("usage", &spent.usage)?;
    output("model", &config.profile.model)?;
    output("status", &if matches!(end, Ok(End::Final(_))) { "completed" } else { "failed" })?;
    let text = match end? {
        End::Final(text) => text,
        End::Failed(why) => {
            output("output", &why)?;
            return Err(StepError::Failed(why));
        }
    };
    let answer = verdict::read(&text);
    answer.warning.iter().for_each(|words| warn(words));
    output("output", &answer.output)?;
    if let Some(verdict) = answer.verdict {
        output("score", &verdict.score)?;
        output("confidence", &verdict.confidence)?;
    }
    Ok(())
}

/// The world, by the host's functions.
struct Host {
    url: String,
    key: Option<secrets::Secret>,
}

impl World for Host {
    fn ask(&self, document: &[u8]) -> Result<(u16, Vec<u8>), StepError> {
        let request = http::Request::new("POST", &self.url);
        request.header("content-type", "application/json");
        if let Some(key) = &self.key {
            request.secret_header("authorization", "Bearer ", key);
        }
        request.body(document);
        request.timeout_ms(REQUEST_TIMEOUT_MS);
        let response = http::send(request)?;
        let mut body = Vec::new();
        loop {
            let chunk = response.read(1 << 20)?;
            if chunk.is_empty() {
                return Ok((response.status(), body));
            }
            body.extend(chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(StepError::Other(format!("the server's answer has more than {MAX_ANSWER_BYTES} bytes")));
            }
        }
    }

    fn say(&self, line: &str) {
        info(line);
    }

    fn is_cancelled(&self) -> bool {
        inputs::is_cancelled()
    }
}

impl Files for Host {
    fn open(&self, place: &Place) -> Result<Found, StepError> {
        match files::open(place) {
            Ok((artifact, reader)) if files::is_folder(&artifact) => Ok(Found::Folder(Box::new(reader))),
            Ok((_, reader)) => Ok(Found::File(Box::new(reader))),
            Err(artifacts::ArtifactError::NotFound(_)) => Ok(Found::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, place: &Place, bytes: &[u8]) -> Result<Result<(), String>, StepError> {
        match files::write(place, bytes) {
            Ok(()) => Ok(Ok(())),
            // Such as the name of a folder.
            Err(artifacts::ArtifactError::Invalid(why) | artifacts::ArtifactError::NotFound(why)) => Ok(Err(why)),
            Err(error) => Err(error.into()),
        }
    }
}
