//! `examples:greet-rust`: one step type, `step.greet_rust`, that uses every capability of the contract once.
//!
//! The same plugin is written in JavaScript, Python and C beside this folder, with the same configuration and the same
//! results.

use serde::{Deserialize, Serialize};

wit_bindgen::generate!({ path: "../../../wit", world: "step-plugin" });

use exports::windlass::plugin::step::{Diagnostic, Guest, Recovery, StepError};
use windlass::plugin::types::Severity;
use windlass::plugin::{artifacts, containers, http, inputs, log, outputs, secrets};

const STEP_TYPE: &str = "step.greet_rust";
const LANGUAGE: &str = "rust";
/// How much of the answer's body becomes a result, in bytes. A greeting needs no more.
const BODY_BYTES: u32 = 200;
/// How much is read from an artifact at once, in bytes.
const CHUNK_BYTES: u32 = 64 * 1024;

/// Prints a greeting, and whether it has a secret; both come by environment, never spliced into the text.
const SCRIPT: &str = r#"printf "hello %s%s\n" "$NAME" "${TOKEN:+ and its token}""#;

#[derive(Deserialize)]
struct Config {
    name: String,
    image: Option<String>,
    token: Option<String>,
    url: Option<String>,
}

struct Greet;

export!(Greet);

impl Guest for Greet {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(_step_type: String, config: String) -> Vec<Diagnostic> {
        match serde_json::from_str::<Config>(&config) {
            Ok(config) if config.name == "nobody" => vec![Diagnostic {
                severity: Severity::Warning,
                path: "/name".to_owned(),
                message: "nobody will be greeted".to_owned(),
                help: Some("give the name of somebody".to_owned()),
            }],
            _ => Vec::new(),
        }
    }

    fn run(step_type: String) -> Result<(), StepError> {
        if step_type != STEP_TYPE {
            return Err(StepError::InvalidConfig(format!("this plugin has no step type {step_type}")));
        }
        let config: Config =
            serde_json::from_str(&inputs::config()).map_err(|error| StepError::InvalidConfig(error.to_string()))?;

        log::group_start("greet");
        let fields =
            [("language".to_owned(), LANGUAGE.to_owned()), ("attempt".to_owned(), inputs::attempt().to_string())];
        log::write(log::Level::Info, &format!("hello {}", config.name), &fields);
        output("greeting", &format!("hello {} from {LANGUAGE}", config.name))?;

        log::progress(1, 4, "artifact");
        keep_artifact(&format!("hello {}\n", config.name))?;

        log::progress(2, 4, "secret");
        let token = config.token.as_deref().map(secrets::get).transpose()?;
        if let Some(token) = &token {
            output("hmac", &hex(&token.hmac_sha256(b"windlass")?))?;
        }

        log::progress(3, 4, "container");
        if let Some(image) = &config.image {
            greet_in_container(image, &config.name, token.as_ref())?;
        }

        log::progress(4, 4, "request");
        if let Some(url) = &config.url {
            fetch_greeting(url, token.as_ref())?;
        }
        log::group_end();
        Ok(())
    }

    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}

/// Keeps the text as an artifact, and reads it back to the last byte.
fn keep_artifact(text: &str) -> Result<(), StepError> {
    let key = format!("greetings/{LANGUAGE}.txt");
    let writer = artifacts::create(&key)?;
    writer.write(text.as_bytes())?;
    writer.finish()?;

    let artifact = artifacts::get(&key)?;
    let reader = artifact.open()?;
    let mut read = Vec::new();
    loop {
        let chunk = reader.read(CHUNK_BYTES)?;
        if chunk.is_empty() {
            break;
        }
        read.extend(chunk);
    }
    if read != text.as_bytes() {
        return Err(StepError::Other(format!("the artifact {key} is not what was written")));
    }
    output("artifact_digest", &artifact.digest())
}

/// Runs a container that is given the secret without this plugin seeing it.
fn greet_in_container(image: &str, name: &str, token: Option<&secrets::Secret>) -> Result<(), StepError> {
    let spec = containers::ContainerSpec::new(image);
    spec.command(&["sh", "-c", SCRIPT].map(str::to_owned));
    spec.env("NAME", name);
    if let Some(token) = token {
        spec.env_secret("TOKEN", token);
    }
    let container = containers::start(spec)?;
    let exit = container.wait()?;
    output("container_exit", &exit.code)?;
    output("container_stdout", &container.captured(containers::Output::Stdout).trim_end())?;
    match exit.code {
        _ if exit.out_of_memory => Err(StepError::Failed("the container ran out of memory".to_owned())),
        0 => Ok(()),
        code => Err(StepError::Failed(format!("the container exited {code}"))),
    }
}

/// Asks the URL, with the secret both ways: as a header that the host fills in, and as a placeholder in text of our own.
fn fetch_greeting(url: &str, token: Option<&secrets::Secret>) -> Result<(), StepError> {
    let request = http::Request::new("GET", url);
    if let Some(token) = token {
        request.secret_header("authorization", "Bearer ", token);
        request.header("x-greet-token", &token.placeholder());
    }
    let response = http::send(request)?;
    output("http_status", &response.status())?;
    let mut body = Vec::new();
    while body.len() < BODY_BYTES as usize {
        let chunk = response.read(BODY_BYTES - body.len() as u32)?;
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    output("http_body", &String::from_utf8_lossy(&body))
}

/// Sets one result.
fn output(name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), StepError> {
    let json = serde_json::to_string(value).map_err(|error| StepError::Other(error.to_string()))?;
    Ok(outputs::set(name, &json)?)
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// Which error of a step each refusal of the host is.

impl From<containers::ContainerError> for StepError {
    fn from(error: containers::ContainerError) -> Self {
        use containers::ContainerError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::ImagePullFailed(text)
            | E::VolumeMountFailed(text)
            | E::ResourceExhausted(text)
            | E::EngineUnavailable(text) => StepError::Unavailable(text),
            E::Cancelled => StepError::Cancelled,
            E::Lost(text) | E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<artifacts::ArtifactError> for StepError {
    fn from(error: artifacts::ArtifactError) -> Self {
        use artifacts::ArtifactError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::Unavailable(text) => StepError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<secrets::SecretError> for StepError {
    fn from(error: secrets::SecretError) -> Self {
        use secrets::SecretError as E;
        match error {
            E::NotGranted(text) => StepError::Denied(text),
            E::Invalid(text) | E::NotFound(text) => StepError::InvalidConfig(text),
            E::Unavailable(text) => StepError::Unavailable(text),
            E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<http::HttpError> for StepError {
    fn from(error: http::HttpError) -> Self {
        use http::HttpError as E;
        match error {
            E::NotGranted(text) | E::Denied(text) => StepError::Denied(text),
            E::Invalid(text) => StepError::InvalidConfig(text),
            E::Unreachable(text) | E::TimedOut(text) => StepError::Unavailable(text),
            E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}

impl From<outputs::OutputError> for StepError {
    fn from(error: outputs::OutputError) -> Self {
        use outputs::OutputError as E;
        match error {
            E::Invalid(text) | E::TooLarge(text) | E::Other(text) => StepError::Other(text),
        }
    }
}
