//! `log`, `inputs`, `outputs` and the shared types: what every plugin has.

use crate::{
    bindings::windlass::plugin::{inputs, log, outputs, types},
    guest::{Guest, OutputRefused},
};
use serde_json::Value;
use wasmtime::Result;
use windlass_contract::capability::LogLevel;

impl types::Host for Guest {}

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.line(level, message, fields);
        Ok(())
    }
    async fn group_start(&mut self, name: String) -> Result<()> {
        self.log.group_start(name);
        Ok(())
    }
    async fn group_end(&mut self) -> Result<()> {
        self.log.group_end();
        Ok(())
    }
    async fn progress(&mut self, done: u32, total: u32, message: String) -> Result<()> {
        self.log.progress(done, total, message);
        Ok(())
    }
}

impl inputs::Host for Guest {
    async fn config(&mut self) -> Result<String> {
        Ok(self.inputs.config.clone())
    }
    async fn get(&mut self, pointer: String) -> Result<Option<String>> {
        // Parsed each time: a plugin asks a few times, and most never do.
        let config: Value = serde_json::from_str(&self.inputs.config)?;
        Ok(config.pointer(&pointer).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))
    }
    async fn run_id(&mut self) -> Result<String> {
        Ok(self.inputs.run.clone())
    }
    async fn step_name(&mut self) -> Result<String> {
        Ok(self.inputs.step.clone())
    }
    async fn attempt(&mut self) -> Result<u32> {
        Ok(self.inputs.attempt)
    }
    async fn idempotency_key(&mut self) -> Result<String> {
        Ok(self.inputs.key.clone())
    }
    async fn is_cancelled(&mut self) -> Result<bool> {
        Ok(self.cancelled())
    }
}

impl outputs::Host for Guest {
    async fn set(&mut self, name: String, value: String) -> Result<std::result::Result<(), outputs::OutputError>> {
        Ok(self.outputs.set(name, &value).map_err(|refused| match refused {
            OutputRefused::Invalid(words) => outputs::OutputError::Invalid(words),
            OutputRefused::TooLarge(words) => outputs::OutputError::TooLarge(words),
        }))
    }
}
