//! What the host keeps for one call: the store's data.

use crate::{
    error::Limit,
    limits::{self, CallLimits},
    log::{LogSink, Stdio},
};
use serde_json::{Map, Value};
use std::sync::Arc;
use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use windlass_contract::{
    Capabilities, Interface, StepCall,
    capability::{
        Artifact, ArtifactReader, ArtifactWriter, Artifacts, Container, ContainerSpec, Containers, Http, HttpRequest,
        HttpResponse, Secret, Secrets, State,
    },
};

/// Behind `container`.
pub struct ContainerHandle(pub(crate) Arc<dyn Container>);
/// Behind `artifact`.
pub struct ArtifactHandle(pub(crate) Arc<dyn Artifact>);
/// Behind `reader`.
pub struct ReaderHandle(pub(crate) Box<dyn ArtifactReader>);
/// Behind `writer`; empty once it is finished.
pub struct WriterHandle(pub(crate) Option<Box<dyn ArtifactWriter>>);
/// Behind `secret`.
pub struct SecretHandle(pub(crate) Arc<dyn Secret>);
/// Behind `response`.
pub struct ResponseHandle(pub(crate) Box<dyn HttpResponse>);

/// Behind `container-spec` and `request`: what the guest fills in piece by piece, with the bytes that it holds.
#[derive(Default)]
pub struct Held<T> {
    pub(crate) value: T,
    bytes: usize,
}

/// Behind `container-spec`.
pub type SpecHandle = Held<ContainerSpec>;
/// Behind `request`.
pub type RequestHandle = Held<HttpRequest>;

/// Why a host function ends the guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// A capability was called that this call does not have.
    #[error("the capability `{0}` is not there")]
    NotGranted(Interface),
    /// A limit that the host keeps.
    #[error("{1}")]
    Limit(Limit, String),
}

/// What `inputs` tells.
pub(crate) struct Inputs {
    pub(crate) config: String,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) attempt: u32,
    pub(crate) key: String,
}

impl Inputs {
    /// Of an attempt.
    pub(crate) fn of(call: &StepCall) -> Self {
        Inputs {
            config: call.config.to_string(),
            run: call.run.to_string(),
            step: call.step.to_string(),
            attempt: call.attempt,
            key: call.idempotency_key(),
        }
    }

    /// Outside a run.
    pub(crate) fn outside(config: String) -> Self {
        Inputs { config, run: String::new(), step: String::new(), attempt: 1, key: String::new() }
    }
}

/// Memory and tables, summed over the component.
pub(crate) struct Quota {
    memory_max: usize,
    memory: usize,
    tables: usize,
    /// The last growth that was allowed, to be taken back if it fails for another reason.
    last: usize,
    /// The first that was refused. The guest is told by -1, as the standard says, and mostly traps on it; this is why.
    pub(crate) refused: Option<Limit>,
}

impl ResourceLimiter for Quota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory.saturating_add(desired - current);
        if sum > self.memory_max {
            self.refused.get_or_insert(Limit::Memory);
            return Ok(false);
        }
        self.last = desired - current;
        self.memory = sum;
        Ok(true)
    }
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory -= std::mem::take(&mut self.last);
        Ok(())
    }
    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.tables.saturating_add(desired - current);
        if sum > limits::TABLE_ELEMENTS {
            self.refused.get_or_insert(Limit::Tables);
            return Ok(false);
        }
        self.last = desired - current;
        self.tables = sum;
        Ok(true)
    }
    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables -= std::mem::take(&mut self.last);
        Ok(())
    }
    fn instances(&self) -> usize {
        limits::CORE_INSTANCES as usize
    }
    fn tables(&self) -> usize {
        limits::TABLES as usize
    }
    fn memories(&self) -> usize {
        limits::MEMORIES as usize
    }
}

/// The results of a step.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) values: Map<String, Value>,
    bytes: usize,
}

/// Why a result is refused.
pub(crate) enum OutputRefused {
    Invalid(String),
    TooLarge(String),
}

impl Outputs {
    pub(crate) fn set(&mut self, name: String, text: &str) -> Result<(), OutputRefused> {
        let sound = (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !sound {
            return Err(OutputRefused::Invalid(
                "the name of a result has 1 to 63 letters, digits, hyphens and underscores".into(),
            ));
        }
        let before = self.values.get(&name).map(|value| name.len() + value.to_string().len());
        if before.is_none() && self.values.len() == limits::OUTPUT_NAMES {
            return Err(OutputRefused::TooLarge(format!("a step has at most {} results", limits::OUTPUT_NAMES)));
        }
        let too_large = || {
            OutputRefused::TooLarge(format!(
                "the results of a step have at most {}; larger data belongs in an artifact",
                limits::size(limits::OUTPUT_BYTES as u64)
            ))
        };
        // Before it is parsed: a parsed document takes many times its text.
        if text.len() > limits::OUTPUT_BYTES {
            return Err(too_large());
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| OutputRefused::Invalid(format!("the value of `{name}` is not JSON: {error}")))?;
        let bytes = self.bytes - before.unwrap_or(0) + name.len() + value.to_string().len();
        if bytes > limits::OUTPUT_BYTES {
            return Err(too_large());
        }
        self.bytes = bytes;
        self.values.insert(name, value);
        Ok(())
    }
}

/// The store's data: one call, and nothing of any other.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) quota: Quota,
    pub(crate) log: Arc<LogSink>,
    pub(crate) inputs: Inputs,
    pub(crate) outputs: Outputs,
    capabilities: Capabilities,
    wasi: Option<WasiCtx>,
    held: usize,
}

impl Guest {
    pub(crate) fn new(capabilities: Capabilities, inputs: Inputs, limits: &CallLimits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES);
        Guest {
            table,
            quota: Quota {
                memory_max: limits.memory_bytes.min(limits::MEMORY_BYTES),
                memory: 0,
                tables: 0,
                last: 0,
                refused: None,
            },
            log: LogSink::new(capabilities.log.clone()),
            inputs,
            outputs: Outputs::default(),
            capabilities,
            wasi: None,
            held: 0,
        }
    }

    pub(crate) fn memory_max(&self) -> usize {
        self.quota.memory_max
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.capabilities.cancelled.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn containers(&self) -> Result<Arc<dyn Containers>, Halt> {
        self.capabilities.containers.clone().ok_or(Halt::NotGranted(Interface::Containers))
    }
    pub(crate) fn artifacts(&self) -> Result<Arc<dyn Artifacts>, Halt> {
        self.capabilities.artifacts.clone().ok_or(Halt::NotGranted(Interface::Artifacts))
    }
    pub(crate) fn secrets(&self) -> Result<Arc<dyn Secrets>, Halt> {
        self.capabilities.secrets.clone().ok_or(Halt::NotGranted(Interface::Secrets))
    }
    pub(crate) fn may_reveal(&self) -> Result<(), Halt> {
        let granted = self.capabilities.secrets_reveal && self.capabilities.secrets.is_some();
        granted.then_some(()).ok_or(Halt::NotGranted(Interface::SecretsReveal))
    }
    pub(crate) fn http(&self) -> Result<Arc<dyn Http>, Halt> {
        self.capabilities.http.clone().ok_or(Halt::NotGranted(Interface::Http))
    }
    pub(crate) fn state(&self) -> Result<Arc<dyn State>, Halt> {
        self.capabilities.state.clone().ok_or(Halt::NotGranted(Interface::State))
    }

    /// Puts something of a guest's making into the table.
    pub(crate) fn hold<T: Send + 'static>(&mut self, value: T) -> wasmtime::Result<Resource<Held<T>>> {
        Ok(self.table.push(Held { value, bytes: 0 })?)
    }

    /// Changes what the host holds for the guest in `handle`, and counts the `bytes` that are added.
    pub(crate) fn fill<T: 'static>(
        &mut self,
        handle: &Resource<Held<T>>,
        bytes: usize,
        change: impl FnOnce(&mut T),
    ) -> wasmtime::Result<()> {
        let held = self.table.get_mut(handle)?;
        // An empty text in a list is not free either.
        let bytes = bytes + 64;
        self.held += bytes;
        if self.held > limits::HELD_BYTES {
            let words = format!(
                "it made the host hold more than {} in container specifications and requests",
                limits::size(limits::HELD_BYTES as u64)
            );
            return Err(Halt::Limit(Limit::HeldBytes, words).into());
        }
        held.bytes += bytes;
        change(&mut held.value);
        Ok(())
    }

    /// Takes it out of the table.
    pub(crate) fn release<T: 'static>(&mut self, handle: Resource<Held<T>>) -> wasmtime::Result<T> {
        let held = self.table.delete(handle)?;
        self.held -= held.bytes;
        Ok(held.value)
    }
}

impl WasiView for Guest {
    /// WASI's side is made when it is first asked for: empty environment and arguments, no files, no sockets, no names.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let log = &self.log;
        let ctx = self.wasi.get_or_insert_with(|| {
            WasiCtx::builder()
                .stdout(Stdio { sink: log.clone(), stderr: false })
                .stderr(Stdio { sink: log.clone(), stderr: true })
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false)
                .max_random_size(limits::RANDOM_BYTES)
                .build()
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_of_results() {
        let check = |name: &str, value: &str, expect: Result<(), &str>| {
            let result = Outputs::default().set(name.to_owned(), value).map_err(|refused| match refused {
                OutputRefused::Invalid(_) => "invalid",
                OutputRefused::TooLarge(_) => "too-large",
            });
            assert_eq!(result, expect, "{name:?} {value:?}");
        };
        check("a-B_9", "null", Ok(()));
        check(&"a".repeat(63), "\"text\"", Ok(()));
        check(&"a".repeat(64), "1", Err("invalid"));
        check("", "1", Err("invalid"));
        check("../../x", "1", Err("invalid"));
        check("é", "1", Err("invalid"));
        check("a", "", Err("invalid"));
        check("a", "{", Err("invalid"));
        check("a", &"[".repeat(100_000), Err("invalid"));
        check("a", &format!("\"{}\"", "x".repeat(limits::OUTPUT_BYTES)), Err("too-large"));
    }

    #[test]
    fn a_thousand_results_and_no_more() {
        let mut outputs = Outputs::default();
        for name in 0..limits::OUTPUT_NAMES {
            assert!(outputs.set(name.to_string(), "1").is_ok());
        }
        assert!(matches!(outputs.set("more".to_owned(), "1"), Err(OutputRefused::TooLarge(_))));
        assert!(outputs.set("7".to_owned(), "2").is_ok(), "a name that is there is replaced");
    }

    #[test]
    fn a_replaced_result_frees_its_room() {
        let mut outputs = Outputs::default();
        let large = format!("\"{}\"", "x".repeat(limits::OUTPUT_BYTES * 3 / 5));
        for _ in 0..5 {
            assert!(outputs.set("a".to_owned(), &large).is_ok());
        }
        assert!(outputs.set("b".to_owned(), &large).is_err());
    }

    #[test]
    fn memory_that_was_allowed_and_failed_is_given_back() {
        let mut quota = Quota { memory_max: 100, memory: 0, tables: 0, last: 0, refused: None };
        assert!(quota.memory_growing(0, 60, None).expect("no error"));
        quota.memory_grow_failed(wasmtime::Error::msg("no room")).expect("no error");
        assert!(quota.memory_growing(0, 100, None).expect("no error"));
        assert!(!quota.memory_growing(0, 1, None).expect("no error"));
        assert_eq!(quota.refused, Some(Limit::Memory));
    }
}
