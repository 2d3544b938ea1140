//! Why something could not be compiled, loaded or called, in words for the person who reads it.

use crate::limits;
use std::{fmt, path::PathBuf, time::Duration};
use windlass_contract::{CONTRACT_VERSION, Code, CodedError, Digest, Interface, PluginRef, Verb};

/// Why a component could not be compiled or loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine could not be made.
    #[error("the WebAssembly engine could not be started: {0}")]
    Engine(String),
    /// The folder of compiled components cannot be used.
    #[error("the cache of compiled components at {} cannot be used: {cause}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Other users may write to the folder of compiled components.
    #[error("the cache of compiled components at {} can be written by other users of this machine", path.display())]
    CacheShared {
        /// The folder.
        path: PathBuf,
    },
    /// The component cannot be read.
    #[error("the component {} cannot be read: {cause}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The component is over the size limit.
    #[error("the component {} has {}, more than the {} that a component may have", path.display(), limits::size(*bytes), limits::size(limits::COMPONENT_BYTES))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The component's bytes are not those that were named.
    #[error("the component {} is not the one that was asked for: it has the digest {found}, and {expected} was expected", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: Digest,
        /// What its bytes have.
        found: String,
    },
    /// The compiler refused the component.
    #[error("the component {} cannot be compiled: {words}", digest.short())]
    Refused {
        /// Which component.
        digest: Digest,
        /// What the compiler said.
        words: String,
    },
    /// Compiling used up one of its limits.
    #[error("compiling the component {} was stopped: {words}", digest.short())]
    CompileLimit {
        /// Which component.
        digest: Digest,
        /// Which limit.
        words: String,
    },
    /// The compiling process could not be started or did not end as it should.
    #[error("the compiler {} failed: {words}", program.display())]
    Compiler {
        /// The program.
        program: PathBuf,
        /// What happened.
        words: String,
    },
    /// There is no sound compiled form of this component.
    #[error("{plugin} is not ready to run: {why}")]
    NotCompiled {
        /// Which plugin.
        plugin: Box<PluginRef>,
        /// What was found instead.
        why: &'static str,
    },
    /// The compiled component is not a plugin that this host can run.
    #[error("{plugin} cannot be used: {words}")]
    Unusable {
        /// Which plugin.
        plugin: Box<PluginRef>,
        /// Why.
        words: String,
    },
}

impl CodedError for RuntimeError {
    fn code(&self) -> Code {
        Code(match self {
            RuntimeError::Engine(_) => 301,
            RuntimeError::Cache { .. } => 302,
            RuntimeError::CacheShared { .. } => 303,
            RuntimeError::Component { .. } => 304,
            RuntimeError::TooLarge { .. } => 305,
            RuntimeError::Digest { .. } => 306,
            RuntimeError::Refused { .. } => 307,
            RuntimeError::CompileLimit { .. } => 308,
            RuntimeError::Compiler { .. } => 309,
            RuntimeError::NotCompiled { .. } => 310,
            RuntimeError::Unusable { .. } => 311,
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            RuntimeError::Engine(_) => {
                "this host needs an x86-64 or AArch64 processor and about 16 GiB of free address space (`ulimit -v`)"
                    .into()
            }
            RuntimeError::Cache { path, .. } => {
                format!("make {} a folder that this user can write, with room on its disk", path.display())
            }
            RuntimeError::CacheShared { path } => format!("run `chmod -R go-w {}`", path.display()),
            RuntimeError::Component { .. } | RuntimeError::Digest { .. } => {
                "remove the plugin and install it again: its bytes changed after they were verified".into()
            }
            RuntimeError::TooLarge { .. } => {
                "leave out what the plugin does not use: debug information, unused libraries, embedded data".into()
            }
            RuntimeError::Refused { .. } => {
                "build it as a component for this host: `windlass plugin inspect` tells what it is".into()
            }
            RuntimeError::CompileLimit { .. } => {
                "this is a defect of the plugin, or an attack on the compiler; it is tried again after an hour".into()
            }
            RuntimeError::Compiler { .. } => "run it again; if it stays so, reinstall windlass".into(),
            RuntimeError::NotCompiled { plugin, .. } => {
                format!("run `windlass plugin install {plugin}`: it verifies and compiles it again")
            }
            RuntimeError::Unusable { .. } => {
                format!(
                    "install a version of the plugin that this host can run, built for the contract {CONTRACT_VERSION}"
                )
            }
        })
    }

    fn retryable(&self) -> bool {
        matches!(self, RuntimeError::Compiler { .. })
    }
}

/// Why a step did not succeed, in the plugin's own words: the cases of `step-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// Which case.
    pub kind: StepErrorKind,
    /// The plugin's words.
    pub message: String,
}

/// The cases of `step-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepErrorKind {
    /// The configuration cannot be carried out.
    InvalidConfig,
    /// The work was done and its result is a failure.
    Failed,
    /// A capability was refused.
    Denied,
    /// Something outside was not available; a retry may help.
    Unavailable,
    /// The plugin stopped because it was asked to.
    Cancelled,
    /// Anything else.
    Other,
}

/// Why a provider did not do what it was asked, in its own words: the cases of `provider-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// Which case.
    pub kind: ProviderErrorKind,
    /// The plugin's words.
    pub message: String,
}

/// The cases of `provider-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderErrorKind {
    /// The configuration or the request cannot be carried out.
    InvalidConfig,
    /// The credentials were refused, or a capability was.
    Unauthorized,
    /// No such deployment, revision, image or repository.
    NotFound,
    /// Somebody else changed it meanwhile.
    Conflict,
    /// A quota of the provider; a retry may help later.
    Throttled,
    /// The provider does not answer; a retry may help.
    Unavailable,
    /// The provider has no such operation.
    Unsupported,
    /// Anything else.
    Other,
}

impl ProviderErrorKind {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn retryable(self) -> bool {
        matches!(self, ProviderErrorKind::Throttled | ProviderErrorKind::Unavailable)
    }
}

/// The place of a failure: which plugin, in which of its functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which plugin.
    pub plugin: PluginRef,
    /// Which export was called.
    pub export: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in `{}`", self.plugin, self.export)
    }
}

/// What is known of a trap: always a defect of the plugin.
///
/// Its log lines and frames come from the guest as they are. Whoever shows or stores them masks secrets first, as with
/// any other text of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapReport {
    /// Where.
    pub place: Place,
    /// What happened, in words.
    pub words: String,
    /// The guest's frames, innermost first, demangled.
    pub frames: Vec<String>,
    /// The last lines that the plugin wrote.
    pub log: Vec<String>,
}

impl fmt::Display for TrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { plugin, export } = &self.place;
        write!(f, "{plugin} trapped in `{export}`: {}", self.words)
    }
}

/// Which limit of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Linear memory, summed.
    Memory,
    /// Table elements, summed.
    Tables,
    /// Core instances, memories or tables of one component.
    Instances,
    /// Live handles.
    Handles,
    /// Bytes by one call of a host function.
    HostCallBytes,
    /// Bytes that the host holds for the guest between calls.
    HeldBytes,
    /// The configuration, or the request to a provider.
    Config,
    /// What `describe`, or a verb of a provider, returned.
    Answer,
}

/// A limit that a call hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReport {
    /// Where.
    pub place: Place,
    /// Which limit.
    pub limit: Limit,
    /// Its value, in words.
    pub words: String,
    /// The last lines that the plugin wrote; see [`TrapReport`] about masking.
    pub log: Vec<String>,
}

impl fmt::Display for LimitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { plugin, export } = &self.place;
        write!(f, "{plugin} was stopped in `{export}`: {}", self.words)
    }
}

/// What a component imports and was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGranted {
    /// Where.
    pub place: Place,
    /// The interfaces, in the order of the contract.
    pub interfaces: Vec<Interface>,
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not called: it wants to ", self.place.plugin)?;
        for (at, interface) in self.interfaces.iter().enumerate() {
            let joint = match at {
                0 => "",
                _ if at + 1 == self.interfaces.len() => " and to ",
                _ => ", to ",
            };
            write!(f, "{joint}{} (`{interface}`)", interface.in_words())?;
        }
        write!(f, ", which was not granted to it")
    }
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin reported a failure. The message is its own.
    #[error("{0}")]
    Step(StepError),
    /// The provider reported a failure. The message is its own.
    #[error("{0}")]
    Provider(ProviderError),
    /// The plugin trapped.
    #[error("{0}")]
    Trap(Box<TrapReport>),
    /// The plugin hit a limit.
    #[error("{0}")]
    Limit(Box<LimitReport>),
    /// The deadline passed, whether the guest computed or a host call was waited for.
    #[error("{place} did not end within {}", humane(*deadline))]
    DeadlineExceeded {
        /// Where.
        place: Box<Place>,
        /// The deadline.
        deadline: Duration,
    },
    /// The component imports what was not granted; it was not instantiated.
    #[error("{0}")]
    NotGranted(Box<NotGranted>),
    /// The plugin does not keep to the contract.
    #[error("{place} does not keep to the plugin contract: {words}")]
    Contract {
        /// Where.
        place: Box<Place>,
        /// What is wrong.
        words: String,
    },
}

impl CodedError for CallError {
    fn code(&self) -> Code {
        Code(match self {
            CallError::Step(_) => 320,
            CallError::Trap(_) => 321,
            CallError::Limit(_) => 322,
            CallError::DeadlineExceeded { .. } => 323,
            CallError::NotGranted(_) => 324,
            CallError::Contract { .. } => 325,
            CallError::Provider(_) => 326,
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            CallError::Step(_) | CallError::Provider(_) => return None,
            CallError::Trap(report) => format!(
                "a trap is a defect of the plugin: report it to its author with its digest {}",
                report.place.plugin.digest
            ),
            CallError::Limit(report) => match report.limit {
                Limit::Config => "shorten the configuration; large data belongs in an artifact".into(),
                _ => "a plugin that needs more does it in a container; tell its author".into(),
            },
            CallError::DeadlineExceeded { place, .. } if Verb::ALL.iter().any(|verb| verb.name() == place.export) => {
                "find out what the provider waits for; what it has begun may have taken effect".into()
            }
            CallError::DeadlineExceeded { .. } => "raise the step's `timeout`, or find out what it waits for".into(),
            CallError::NotGranted(refused) => {
                let name = &refused.place.plugin.name;
                format!(
                    "if you trust it with that, run `windlass plugin install {name} --grant`; if its manifest does not ask for \
                     it, tell its author"
                )
            }
            CallError::Contract { .. } => "this is a defect of the plugin: tell its author".into(),
        })
    }

    fn retryable(&self) -> bool {
        match self {
            CallError::Step(error) => error.kind == StepErrorKind::Unavailable,
            CallError::Provider(error) => error.kind.retryable(),
            _ => false,
        }
    }
}

/// `90s`, `1.5s`, `200ms`.
fn humane(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ ..1000 => format!("{millis}ms"),
        millis if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        millis => format!("{:.1}s", millis as f64 / 1000.0),
    }
}
