//! Loading and calling.

use crate::{
    bindings::{
        self,
        exports::windlass::plugin::{provider, step},
    },
    cache::Cache,
    compile::{self, CompileReport},
    engine,
    error::{
        CallError, Limit, LimitReport, NotGranted, Place, ProviderError, ProviderErrorKind, RuntimeError, StepError,
        StepErrorKind,
    },
    explain::explain,
    guest::{Guest, Inputs},
    imports::{self, Import},
    limits::{self, CallLimits, CompileLimits},
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, error::Elapsed, timeout_at},
};
use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, Instance, InstancePre, Linker, types::ComponentItem},
};
use windlass_contract::{
    Capabilities, Descriptor, Digest, Interface, PluginKind, PluginRef, ProviderCall, Recovery, StepCall, Verb,
    capability::Log,
};

/// What a runtime is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of compiled components; it belongs to the runtime alone.
    pub cache_dir: PathBuf,
    /// The program that compiles: the `windlass` binary itself, started with `__compile`.
    pub compiler: PathBuf,
    /// How many calls run at once; more wait.
    pub concurrency: usize,
}

/// The sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

struct Shared {
    engine: Engine,
    cache: Cache,
    compiler: PathBuf,
    /// A place for each instance of the pool.
    places: Arc<Semaphore>,
    concurrency: usize,
    /// One compilation at a time: each may take gigabytes and all processors.
    compiling: tokio::sync::Mutex<()>,
    /// What is mapped, the most recently loaded last.
    loaded: Mutex<Vec<(Digest, Arc<Loaded>)>>,
}

/// A plugin that can be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    plugin: PluginRef,
    loaded: Arc<Loaded>,
}

impl Plugin {
    /// Which plugin it is.
    pub fn plugin(&self) -> &PluginRef {
        &self.plugin
    }

    /// The capabilities that it must be granted to run: those of which it imports a function.
    pub fn needs(&self) -> impl Iterator<Item = Interface> {
        self.loaded.needs.interfaces()
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.plugin.to_string()).finish()
    }
}

/// A set of interfaces, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Set(u16);

impl Set {
    fn bit(interface: Interface) -> u16 {
        1 << interface as u16
    }
    fn insert(&mut self, interface: Interface) {
        self.0 |= Self::bit(interface);
    }
    fn contains(self, interface: Interface) -> bool {
        self.0 & Self::bit(interface) != 0
    }
    fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    fn interfaces(self) -> impl Iterator<Item = Interface> {
        Interface::ALL.into_iter().filter(move |interface| self.contains(*interface))
    }
}

impl FromIterator<Interface> for Set {
    fn from_iter<I: IntoIterator<Item = Interface>>(interfaces: I) -> Self {
        let mut set = Set::default();
        interfaces.into_iter().for_each(|interface| set.insert(interface));
        set
    }
}

/// A component that is mapped.
struct Loaded {
    component: Component,
    /// What it can be called as, by its exports.
    kinds: BTreeSet<PluginKind>,
    /// Imported with functions, and not always granted.
    needs: Set,
    /// Imported for its types only: linked always, for there is nothing in it to call.
    types: Set,
    /// It imports WASI.
    wasi: bool,
    /// Linked, by what was granted. A few sets at most: a grant is changed by people.
    linked: Mutex<Vec<(Set, Linked)>>,
}

/// A component that is linked: what it exports of the contract can be found in its instances.
#[derive(Clone)]
struct Linked {
    instance: InstancePre<Guest>,
    step: Option<step::GuestIndices>,
    provider: Option<provider::GuestIndices>,
}

/// One finding of `validate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDiagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// JSON pointer into the configuration; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// It can run, but probably not as meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// What came of `run`.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Whether it succeeded.
    pub result: Result<(), CallError>,
    /// What it gave until then, whatever the result.
    pub outputs: Map<String, Value>,
}

impl Runtime {
    /// Starts the engine and opens the cache.
    ///
    /// # Errors
    /// When the engine cannot be had on this machine, or the folder is not the host's alone.
    pub fn new(settings: Settings) -> Result<Self, RuntimeError> {
        let places = settings.concurrency.clamp(1, 10_000);
        let engine = engine::running(places)?;
        let cache = Cache::open(settings.cache_dir, engine::compatibility(&engine))?;
        Ok(Runtime(Arc::new(Shared {
            engine,
            cache,
            compiler: settings.compiler,
            places: Arc::new(Semaphore::new(places)),
            concurrency: places,
            compiling: tokio::sync::Mutex::default(),
            loaded: Mutex::default(),
        })))
    }

    /// How many calls run at once.
    pub fn concurrency(&self) -> usize {
        self.0.concurrency
    }

    /// Compiles the component at `wasm` in a child process, or finds that it has been.
    ///
    /// # Errors
    /// When the component is too large, is not the one that was named, or is refused, now or within the last hour.
    pub async fn compile(&self, wasm: &Path, digest: Digest) -> Result<CompileReport, RuntimeError> {
        self.compile_within(wasm, digest, &CompileLimits::default()).await
    }

    /// [`Runtime::compile`] with limits of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn compile_within(
        &self,
        wasm: &Path,
        digest: Digest,
        limits: &CompileLimits,
    ) -> Result<CompileReport, RuntimeError> {
        let _one = self.0.compiling.lock().await;
        compile::compile(&self.0.cache, &self.0.compiler, wasm, digest, limits).await
    }

    /// Maps what was compiled. Never compiles.
    ///
    /// # Errors
    /// When there is no sound compiled form, or it is not a step plugin for this host.
    pub fn load(&self, plugin: PluginRef) -> Result<Plugin, RuntimeError> {
        let lock = || self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|(digest, _)| *digest == plugin.digest).map(|(_, loaded)| loaded.clone());
        if let Some(loaded) = known {
            return Ok(Plugin { plugin, loaded });
        }
        let missing = |why| RuntimeError::NotCompiled { plugin: Box::new(plugin.clone()), why };
        let path = self.0.cache.find(plugin.digest).map_err(missing)?;
        // SAFETY: the file is exactly what this host's compiler wrote, as its MAC says, in a folder that only this user
        // can write to; nothing of this crate writes to a file that has its final name.
        let component = unsafe { Component::deserialize_file(&self.0.engine, path) };
        // Code of this very engine that does not load asks for more than a place of the pool has.
        let loaded = component
            .map_err(|error| format!("it is over a limit of this host: {}", error.root_cause()))
            .and_then(|component| Loaded::new(&self.0.engine, component))
            .map_err(|words| RuntimeError::Unusable { plugin: Box::new(plugin.clone()), words })?;
        let loaded = Arc::new(loaded);
        let mut all = lock();
        if all.len() >= limits::LOADED {
            all.remove(0);
        }
        all.push((plugin.digest, loaded.clone()));
        drop(all);
        Ok(Plugin { plugin, loaded })
    }

    /// What the plugin says it provides, of each kind that it is.
    ///
    /// # Errors
    /// When a call fails, or an answer is not a descriptor.
    pub async fn describe(&self, plugin: &Plugin) -> Result<Descriptor, CallError> {
        let mut all = Descriptor::default();
        for kind in &plugin.loaded.kinds {
            let told = self.describe_as(plugin, *kind).await?;
            match kind {
                PluginKind::Provider => all.provider = told.provider,
                PluginKind::Step | PluginKind::Scanner => all.steps = told.steps,
            }
        }
        Ok(all)
    }

    /// What the plugin says of one kind that it is.
    async fn describe_as(&self, plugin: &Plugin, kind: PluginKind) -> Result<Descriptor, CallError> {
        const EXPORT: &str = "describe";
        let limits = CallLimits::within(limits::QUICK_DEADLINE);
        let guest = Guest::new(Capabilities::none(Arc::new(NoLog)), Inputs::outside("{}".to_owned()), &limits);
        let mut session = self.open(plugin, EXPORT, None, guest, limits.deadline).await?;
        let answer = match kind {
            PluginKind::Provider => {
                let provider = session.provider()?;
                timeout_at(session.end, provider.call_describe(&mut session.store)).await
            }
            PluginKind::Step | PluginKind::Scanner => {
                let step = session.step()?;
                timeout_at(session.end, step.call_describe(&mut session.store)).await
            }
        };
        let text = session.close(answer).0?;
        let place = Place { plugin: plugin.plugin.clone(), export: EXPORT };
        if text.len() > limits::DESCRIPTOR_BYTES {
            let words = format!("its descriptor has more than {}", limits::size(limits::DESCRIPTOR_BYTES as u64));
            let report = LimitReport { place, limit: Limit::Answer, words, log: Vec::new() };
            return Err(CallError::Limit(Box::new(report)));
        }
        let told = serde_json::from_str(&text).map_err(|error| error.to_string()).and_then(|told: Descriptor| {
            let names_steps = || serde_json::from_str::<Value>(&text).is_ok_and(|told| told.get("steps").is_some());
            let other = match kind {
                PluginKind::Step if !names_steps() => "`steps` is missing in it",
                PluginKind::Provider if told.provider.is_none() => "`provider` is missing in it",
                PluginKind::Provider if !told.steps.is_empty() => "`steps` are told by the `describe` of `step`",
                PluginKind::Step if told.provider.is_some() => "the `provider` is told by the `describe` of `provider`",
                _ => return Ok(told),
            };
            Err(other.to_owned())
        });
        told.map_err(|why| CallError::Contract {
            place: Box::new(place),
            words: format!("its descriptor is not valid: {why}"),
        })
    }

    /// What the plugin says about a configuration, beyond its schema.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn validate(
        &self,
        plugin: &Plugin,
        step_type: &str,
        config: &Value,
        log: Arc<dyn Log>,
    ) -> Result<Vec<PluginDiagnostic>, CallError> {
        let (mut session, config) = self.open_to_validate(plugin, config, log).await?;
        let step = session.step()?;
        let answer = timeout_at(session.end, step.call_validate(&mut session.store, step_type, &config)).await;
        session.close(answer).0.map(diagnostics)
    }

    /// What a provider says about an environment's configuration, beyond its schema.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn validate_environment(
        &self,
        plugin: &Plugin,
        config: &Value,
        log: Arc<dyn Log>,
    ) -> Result<Vec<PluginDiagnostic>, CallError> {
        let (mut session, config) = self.open_to_validate(plugin, config, log).await?;
        let provider = session.provider()?;
        let answer = timeout_at(session.end, provider.call_validate(&mut session.store, &config)).await;
        session.close(answer).0.map(diagnostics)
    }

    /// A guest that is shown a configuration and nothing else; and that configuration as its text.
    async fn open_to_validate(
        &self,
        plugin: &Plugin,
        config: &Value,
        log: Arc<dyn Log>,
    ) -> Result<(Session, String), CallError> {
        const EXPORT: &str = "validate";
        let limits = CallLimits::within(limits::QUICK_DEADLINE);
        let config = self.bounded(plugin, EXPORT, config.to_string())?;
        let guest = Guest::new(Capabilities::none(log), Inputs::outside(config.clone()), &limits);
        Ok((self.open(plugin, EXPORT, None, guest, limits.deadline).await?, config))
    }

    /// Asks a provider to do something.
    ///
    /// Dropping the future drops the guest, as with [`Runtime::run`].
    ///
    /// # Errors
    /// [`CallError::Provider`] in the plugin's own words; otherwise when the call fails, or the answer is not what the verb
    /// answers with.
    pub async fn ask_provider(
        &self,
        plugin: &Plugin,
        call: &ProviderCall,
        capabilities: Capabilities,
        limits: CallLimits,
    ) -> Result<Map<String, Value>, CallError> {
        let export = call.verb.name();
        let granted: Set = capabilities.interfaces().into_iter().collect();
        let config = self.bounded(plugin, export, call.config.to_string())?;
        let request = self.bounded(plugin, export, call.request().to_string())?;
        let guest = Guest::new(capabilities, Inputs::outside(config), &limits);
        let mut session = self.open(plugin, export, Some(granted), guest, limits.deadline).await?;
        let provider = session.provider()?;
        let answer = timeout_at(session.end, ask(&provider, &mut session.store, call.verb, &request)).await;
        let text = session.close(answer).0?.map_err(|error| CallError::Provider(error.into()))?;
        let place = || Place { plugin: plugin.plugin.clone(), export };
        // Before it is parsed: a parsed document takes many times its text.
        if text.len() > limits::PROVIDER_ANSWER_BYTES {
            let words = format!("its answer has more than {}", limits::size(limits::PROVIDER_ANSWER_BYTES as u64));
            let report = LimitReport { place: place(), limit: Limit::Answer, words, log: Vec::new() };
            return Err(CallError::Limit(Box::new(report)));
        }
        call.verb.answer(&text).map_err(|why| CallError::Contract {
            place: Box::new(place()),
            words: format!("its answer is not valid: {why}"),
        })
    }

    /// Does the work of one attempt.
    ///
    /// Dropping the future drops the guest at its next yield: within a tick when it computes, at once when it waits.
    pub async fn run(
        &self,
        plugin: &Plugin,
        call: &StepCall,
        capabilities: Capabilities,
        limits: CallLimits,
    ) -> RunReport {
        const EXPORT: &str = "run";
        let session = self.begin(plugin, EXPORT, call, capabilities, limits).await;
        let mut session = match session {
            Ok(session) => session,
            Err(error) => return RunReport { result: Err(error), outputs: Map::new() },
        };
        let step = match session.step() {
            Ok(step) => step,
            Err(error) => return RunReport { result: Err(error), outputs: Map::new() },
        };
        let answer = timeout_at(session.end, step.call_run(&mut session.store, &call.step_type)).await;
        let (result, outputs) = session.close(answer);
        let result = result.and_then(|result| result.map_err(|error| CallError::Step(error.into())));
        RunReport { result, outputs }
    }

    /// What became of an attempt that was in flight when the host died.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn recover(
        &self,
        plugin: &Plugin,
        call: &StepCall,
        capabilities: Capabilities,
    ) -> Result<Recovery, CallError> {
        const EXPORT: &str = "recover";
        let limits = CallLimits::within(limits::RECOVER_DEADLINE);
        let mut session = self.begin(plugin, EXPORT, call, capabilities, limits).await?;
        let step = session.step()?;
        let answer = timeout_at(session.end, step.call_recover(&mut session.store, &call.step_type)).await;
        Ok(match session.close(answer).0? {
            step::Recovery::Rerun => Recovery::Rerun,
            step::Recovery::Succeeded => Recovery::Succeeded,
            step::Recovery::Failed => Recovery::Failed,
            step::Recovery::Unknown => Recovery::Unknown,
        })
    }

    fn bounded(&self, plugin: &Plugin, export: &'static str, config: String) -> Result<String, CallError> {
        if config.len() <= limits::CONFIG_BYTES {
            return Ok(config);
        }
        let words = format!("the configuration has more than {}", limits::size(limits::CONFIG_BYTES as u64));
        let place = Place { plugin: plugin.plugin.clone(), export };
        Err(CallError::Limit(Box::new(LimitReport { place, limit: Limit::Config, words, log: Vec::new() })))
    }

    /// Opens a session for an attempt, with what it was granted.
    async fn begin(
        &self,
        plugin: &Plugin,
        export: &'static str,
        call: &StepCall,
        capabilities: Capabilities,
        limits: CallLimits,
    ) -> Result<Session, CallError> {
        let granted: Set = capabilities.interfaces().into_iter().collect();
        let mut inputs = Inputs::of(call);
        inputs.config = self.bounded(plugin, export, inputs.config)?;
        let guest = Guest::new(capabilities, inputs, &limits);
        self.open(plugin, export, Some(granted), guest, limits.deadline).await
    }

    /// Waits for a place, and makes a fresh instance in it.
    ///
    /// `granted` is what may be linked; `None` links what the component imports, for exports that have no capability
    /// behind it.
    async fn open(
        &self,
        plugin: &Plugin,
        export: &'static str,
        granted: Option<Set>,
        guest: Guest,
        deadline: Duration,
    ) -> Result<Session, CallError> {
        let place = || Place { plugin: plugin.plugin.clone(), export };
        let granted = granted.unwrap_or(plugin.loaded.needs);
        let refused = plugin.loaded.needs.without(granted);
        if refused != Set::default() {
            let interfaces = refused.interfaces().collect();
            return Err(CallError::NotGranted(Box::new(NotGranted { place: place(), interfaces })));
        }
        let linked = plugin
            .loaded
            .linked(&self.0.engine, granted)
            .map_err(|error| CallError::Contract { place: Box::new(place()), words: format!("{error:#}") })?;
        // Closed only when the runtime is gone, and this call has a share of it.
        let permit = self
            .0
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| CallError::Contract { place: Box::new(place()), words: error.to_string() })?;
        let end = Instant::now() + deadline;
        let mut store = Store::new(&self.0.engine, guest);
        store.limiter(|guest| &mut guest.quota);
        store.set_hostcall_fuel(limits::HOST_CALL_BYTES);
        store.set_max_component_handles(limits::HANDLES);
        store.set_epoch_deadline(1);
        // At each tick the guest lets others run; that is where a timeout or a dropped future takes hold.
        store.epoch_deadline_async_yield_and_update(1);
        let made = timeout_at(end, linked.instance.instantiate_async(&mut store)).await;
        let plugin = plugin.plugin.clone();
        match made {
            Ok(Ok(instance)) => Ok(Session { store, instance, linked, end, deadline, plugin, export, _permit: permit }),
            Ok(Err(error)) => Err(explain(&error, store.data(), place())),
            Err(_) => Err(CallError::DeadlineExceeded { place: Box::new(place()), deadline }),
        }
    }
}

/// One call under way: a fresh store, its instance, and its place.
struct Session {
    // Dropped in this order: the place is free when the instance is gone.
    store: Store<Guest>,
    instance: Instance,
    linked: Linked,
    end: Instant,
    deadline: Duration,
    plugin: PluginRef,
    export: &'static str,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    /// What the component exports as a step plugin.
    fn step(&mut self) -> Result<step::Guest, CallError> {
        let Session { store, instance, linked, .. } = self;
        let found = linked.step.as_ref().map(|indices| indices.load(&mut *store, instance));
        self.found(found, "it is not a step plugin")
    }

    /// What it exports as a provider.
    fn provider(&mut self) -> Result<provider::Guest, CallError> {
        let Session { store, instance, linked, .. } = self;
        let found = linked.provider.as_ref().map(|indices| indices.load(&mut *store, instance));
        self.found(found, "it is not a provider")
    }

    fn found<T>(&self, found: Option<wasmtime::Result<T>>, missing: &str) -> Result<T, CallError> {
        let place = || Box::new(Place { plugin: self.plugin.clone(), export: self.export });
        match found {
            Some(Ok(exports)) => Ok(exports),
            Some(Err(error)) => Err(CallError::Contract { place: place(), words: format!("{error:#}") }),
            None => Err(CallError::Contract { place: place(), words: missing.to_owned() }),
        }
    }

    /// Ends the call: the store is dropped whatever came of it.
    fn close<T>(self, answer: Result<wasmtime::Result<T>, Elapsed>) -> (Result<T, CallError>, Map<String, Value>) {
        let Session { store, deadline, plugin, export, .. } = self;
        let place = || Place { plugin, export };
        let result = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(explain(&error, store.data(), place())),
            Err(_) => Err(CallError::DeadlineExceeded { place: Box::new(place()), deadline }),
        };
        (result, store.into_data().outputs.values)
    }
}

impl Loaded {
    fn new(engine: &Engine, component: Component) -> Result<Self, String> {
        let ty = component.component_type();
        let (mut needs, mut types, mut wasi) = (Set::default(), Set::default(), false);
        for (name, item) in ty.imports(engine) {
            match imports::import(name) {
                Import::Capability(interface) if interface.always_granted() => {}
                Import::Capability(interface) => {
                    let only_types = match item.ty {
                        ComponentItem::ComponentInstance(instance) => !instance
                            .exports(engine)
                            .any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))),
                        _ => false,
                    };
                    if only_types { types.insert(interface) } else { needs.insert(interface) }
                }
                Import::Types => {}
                Import::Wasi => wasi = true,
                Import::Unknown(words) => return Err(format!("it imports {words}")),
            }
        }
        let exports: Vec<_> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let mut kinds = BTreeSet::new();
        for (kind, version) in exports.iter().filter_map(|name| imports::export(name)) {
            if !imports::speaks(version) {
                return Err(format!("it is built for version {version} of the contract"));
            }
            // Nothing calls scanners yet.
            if kind != PluginKind::Scanner {
                kinds.insert(kind);
            }
        }
        if kinds.is_empty() {
            let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            return Err(format!("it is neither a step plugin nor a provider: it exports {exports}"));
        }
        Ok(Loaded { component, kinds, needs, types, wasi, linked: Mutex::default() })
    }

    /// The component with exactly `granted` linked, beside what every plugin has.
    fn linked(&self, engine: &Engine, granted: Set) -> wasmtime::Result<Linked> {
        let mut known = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, linked)) = known.iter().find(|(set, _)| *set == granted) {
            return Ok(linked.clone());
        }
        let linker =
            linker(engine, |interface| granted.contains(interface) || self.types.contains(interface), self.wasi)?;
        let instance = linker.instantiate_pre(&self.component)?;
        let is = |kind| self.kinds.contains(&kind);
        let step = is(PluginKind::Step).then(|| step::GuestIndices::new(&instance)).transpose()?;
        let provider = is(PluginKind::Provider).then(|| provider::GuestIndices::new(&instance)).transpose()?;
        let linked = Linked { instance, step, provider };
        known.push((granted, linked.clone()));
        Ok(linked)
    }
}

/// Calls the function of a verb.
async fn ask(
    provider: &provider::Guest,
    store: &mut Store<Guest>,
    verb: Verb,
    request: &str,
) -> wasmtime::Result<Result<String, provider::ProviderError>> {
    match verb {
        Verb::TestConnection => provider.call_test_connection(store, request).await,
        Verb::Deploy => provider.call_deploy(store, request).await,
        Verb::Status => provider.call_status(store, request).await,
        Verb::Rollback => provider.call_rollback(store, request).await,
        Verb::Metrics => provider.call_metrics(store, request).await,
        Verb::PushImage => provider.call_push_image(store, request).await,
        Verb::PullImage => provider.call_pull_image(store, request).await,
        Verb::ListImages => provider.call_list_images(store, request).await,
        Verb::CreateRevision => provider.call_create_revision(store, request).await,
        Verb::SetCapacity => provider.call_set_capacity(store, request).await,
        Verb::SetTraffic => provider.call_set_traffic(store, request).await,
        Verb::Health => provider.call_health(store, request).await,
        Verb::Retire => provider.call_retire(store, request).await,
    }
}

/// The findings of `validate`.
fn diagnostics(found: Vec<bindings::windlass::plugin::types::Diagnostic>) -> Vec<PluginDiagnostic> {
    use bindings::windlass::plugin::types;
    let convert = |found: types::Diagnostic| PluginDiagnostic {
        severity: match found.severity {
            types::Severity::Error => Severity::Error,
            types::Severity::Warning => Severity::Warning,
            types::Severity::Info => Severity::Info,
        },
        path: found.path,
        message: found.message,
        help: found.help,
    };
    found.into_iter().take(limits::DIAGNOSTICS).map(convert).collect()
}

/// A linker with what every plugin has, and the interfaces that `with` says.
fn linker(engine: &Engine, with: impl Fn(Interface) -> bool, wasi: bool) -> wasmtime::Result<Linker<Guest>> {
    use bindings::windlass::plugin as wit;
    type Own = HasSelf<Guest>;
    fn own(guest: &mut Guest) -> &mut Guest {
        guest
    }
    let mut linker = Linker::new(engine);
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    wit::types::add_to_linker::<_, Own>(&mut linker, own)?;
    for interface in Interface::ALL {
        match interface {
            Interface::Log => wit::log::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::Inputs => wit::inputs::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::Outputs => wit::outputs::add_to_linker::<_, Own>(&mut linker, own)?,
            other if !with(other) => {}
            Interface::Containers => wit::containers::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::Artifacts => wit::artifacts::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::Secrets => wit::secrets::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::SecretsReveal => wit::secrets_reveal::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::Http => wit::http::add_to_linker::<_, Own>(&mut linker, own)?,
            Interface::State => wit::state::add_to_linker::<_, Own>(&mut linker, own)?,
        }
    }
    Ok(linker)
}

/// For `describe`, which is not called for anybody's run.
struct NoLog;

impl Log for NoLog {
    fn write(&self, _: windlass_contract::capability::LogEntry) {}
}

impl From<step::StepError> for StepError {
    fn from(error: step::StepError) -> Self {
        use StepErrorKind as Kind;
        let (kind, message) = match error {
            step::StepError::InvalidConfig(words) => (Kind::InvalidConfig, words),
            step::StepError::Failed(words) => (Kind::Failed, words),
            step::StepError::Denied(words) => (Kind::Denied, words),
            step::StepError::Unavailable(words) => (Kind::Unavailable, words),
            step::StepError::Cancelled => (Kind::Cancelled, "it stopped because it was asked to".to_owned()),
            step::StepError::Other(words) => (Kind::Other, words),
        };
        StepError { kind, message }
    }
}

impl From<provider::ProviderError> for ProviderError {
    fn from(error: provider::ProviderError) -> Self {
        use ProviderErrorKind as Kind;
        use provider::ProviderError as E;
        let (kind, message) = match error {
            E::InvalidConfig(words) => (Kind::InvalidConfig, words),
            E::Unauthorized(words) => (Kind::Unauthorized, words),
            E::NotFound(words) => (Kind::NotFound, words),
            E::Conflict(words) => (Kind::Conflict, words),
            E::Throttled(words) => (Kind::Throttled, words),
            E::Unavailable(words) => (Kind::Unavailable, words),
            E::Unsupported(words) => (Kind::Unsupported, words),
            E::Other(words) => (Kind::Other, words),
        };
        ProviderError { kind, message }
    }
}
