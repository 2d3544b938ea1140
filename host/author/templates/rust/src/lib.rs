//! `@plugin@`: one step type, `step.@snake@`.

use serde::Deserialize;

wit_bindgen::generate!({ path: "wit", world: "step-plugin" });

use exports::windlass::plugin::step::{Diagnostic, Guest, Recovery, StepError};
use windlass::plugin::{inputs, log, outputs};

/// The step's configuration: what `config_schema` in descriptor.json describes.
#[derive(Deserialize)]
struct Config {
    who: String,
}

struct Plugin;

export!(Plugin);

impl Guest for Plugin {
    /// What this plugin provides. Called at publish and at install, never during a run.
    fn describe() -> String {
        include_str!("descriptor.json").to_owned()
    }

    /// What a schema cannot say about a configuration. Called by `windlass lint` and `windlass plan`.
    fn validate(_step_type: String, _config: String) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// The work. Each call is a fresh instance.
    fn run(_step_type: String) -> Result<(), StepError> {
        let config: Config = serde_json::from_str(&inputs::config())
            .map_err(|error| StepError::InvalidConfig(error.to_string()))?;
        if config.who == "nobody" {
            return Err(StepError::InvalidConfig("nobody is there to be greeted".to_owned()));
        }
        let greeting = format!("hello {}", config.who);
        log::write(log::Level::Info, &greeting, &[]);
        // A result is a JSON value; later steps read it as steps.<step>.outputs.greeting.
        let json = serde_json::Value::from(greeting).to_string();
        outputs::set("greeting", &json).map_err(|error| StepError::Other(error.to_string()))
    }

    /// Asked after a crash of the host, of step types with the effect `at-most-once` only.
    fn recover(_step_type: String) -> Recovery {
        Recovery::Rerun
    }
}
