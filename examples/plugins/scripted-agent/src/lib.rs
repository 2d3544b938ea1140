//! `examples:scripted-agent`: the step type `step.agent` without a model, for tests and demonstrations.
//!
//! It gives the first reply of its profile whose `when` is in the input, and remembers nothing, so that the same input always gives the
//! same reply. Without a profile it does nothing and is content: it succeeds with the score 1.

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, io::Read as _, thread, time::Duration};
use windlass_plugin::{
    Diagnostic, Guest, Recovery, StepError, artifacts,
    files::{self, Mounts, VolumeMount},
    info, output,
};

const STEP_TYPE: &str = "step.agent";
/// How sure it counts as that gives a score and does not say.
const DEFAULT_CONFIDENCE: f64 = 0.8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    agent: String,
    input: String,
    #[serde(default = "ten")]
    max_iterations: u32,
    #[serde(default)]
    profile: Profile,
    volumes: Option<Vec<VolumeMount>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    replies: Vec<Reply>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Reply {
    when: Option<String>,
    #[serde(default)]
    write: BTreeMap<String, String>,
    #[serde(default)]
    append: BTreeMap<String, String>,
    output: Option<Value>,
    score: Option<f64>,
    confidence: Option<f64>,
    #[serde(default = "one")]
    iterations: u32,
    fail: Option<String>,
    #[serde(default)]
    sleep_ms: u64,
}

impl Default for Profile {
    fn default() -> Self {
        Profile { replies: vec![Reply { score: Some(1.0), iterations: one(), ..Reply::default() }] }
    }
}

fn one() -> u32 {
    1
}
fn ten() -> u32 {
    10
}

impl Profile {
    /// The number, from 1, of the reply to `input`, and the reply.
    fn reply(&self, input: &str) -> Option<(usize, &Reply)> {
        let fits = |reply: &&Reply| reply.when.as_deref().is_none_or(|when| input.contains(when));
        let found = self.replies.iter().position(|reply| fits(&reply))?;
        Some((found + 1, &self.replies[found]))
    }
}

/// The plugin.
pub struct Scripted;

// Only in a component: the names of its exports are none that a linker for this machine would take.
#[cfg(target_family = "wasm")]
windlass_plugin::export!(Scripted);

impl Guest for Scripted {
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    fn validate(_step_type: String, _config: String) -> Vec<Diagnostic> {
        Vec::new()
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
    let Some((number, reply)) = config.profile.reply(&config.input) else {
        return failed("no reply of the script is for this input".to_owned());
    };
    info(&format!("agent {}: reply {number}", config.agent));
    output("iterations", &reply.iterations.min(config.max_iterations))?;
    if reply.iterations > config.max_iterations {
        return failed(format!("the agent did not finish within {} iterations", config.max_iterations));
    }
    if reply.sleep_ms > 0 {
        thread::sleep(Duration::from_millis(reply.sleep_ms));
    }
    for (path, text) in &reply.write {
        put(&mounts, path, String::new(), text)?;
    }
    for (path, text) in &reply.append {
        put(&mounts, path, get(&mounts, path)?, text)?;
    }
    if let Some(why) = &reply.fail {
        return failed(why.clone());
    }
    output("status", &"completed")?;
    output("output", reply.output.as_ref().unwrap_or(&Value::String(String::new())))?;
    if let Some(score) = reply.score {
        output("score", &score)?;
        output("confidence", &reply.confidence.unwrap_or(DEFAULT_CONFIDENCE))?;
    }
    Ok(())
}

fn failed(why: String) -> Result<(), StepError> {
    output("status", &"failed")?;
    output("output", &why)?;
    Err(StepError::Failed(why))
}

/// The text at `path`; empty where there is no file.
fn get(mounts: &Mounts, path: &str) -> Result<String, StepError> {
    let place = mounts.resolve(path).map_err(StepError::InvalidConfig)?;
    let mut text = String::new();
    match files::open(&place) {
        Ok((_, mut file)) => file.read_to_string(&mut text).map_err(|error| StepError::Other(error.to_string()))?,
        Err(artifacts::ArtifactError::NotFound(_)) => 0,
        Err(error) => return Err(error.into()),
    };
    Ok(text)
}

fn put(mounts: &Mounts, path: &str, before: String, text: &str) -> Result<(), StepError> {
    let place = mounts.resolve(path).map_err(StepError::InvalidConfig)?;
    if place.read_only {
        return Err(StepError::InvalidConfig(format!("{} is read-only", place.path)));
    }
    info(&format!("writes {}", place.path));
    Ok(files::write(&place, (before + text).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reply_that_fits() {
        let profile = r#"{"replies": [{"when": "error"}, {"when": "warning", "score": 0.5}, {"output": 1}]}"#;
        let profile: Profile = serde_json::from_str(profile).expect("it is sound");
        let check =
            |input: &str, expect: usize| assert_eq!(profile.reply(input).map(|(n, _)| n), Some(expect), "{input}");
        check("an error and a warning", 1);
        check("a warning", 2);
        check("", 3);
        let never: Profile = serde_json::from_str(r#"{"replies": [{"when": "x"}]}"#).expect("it is sound");
        assert!(never.reply("y").is_none());
    }

    #[test]
    fn an_agent_without_a_profile_is_content() {
        let config: Config = serde_json::from_str(r#"{"agent": "a", "input": "anything"}"#).expect("it is sound");
        let (_, reply) = config.profile.reply(&config.input).expect("a reply");
        assert_eq!((reply.score, reply.iterations, reply.fail.as_deref()), (Some(1.0), 1, None));
    }
}
