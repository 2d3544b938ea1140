//! What can go wrong between a plugin's name and its bytes.

use std::{io, path::Path};
use windlass_contract::{Code, CodedError, Digest, NameError, PluginName, PluginRef};

/// Why a package operation failed. Codes WL08xx.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file or folder.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried, such as `read`.
        what: &'static str,
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A file of ours that cannot be read as what it should be.
    #[error("{file} is not valid{}: {message}", at(*line, *column))]
    Malformed {
        /// The file's name.
        file: String,
        /// Line from 1, 0 when not known.
        line: u64,
        /// Column from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// No registry is configured.
    #[error("no registry is configured for the namespace {namespace}")]
    NoRegistry {
        /// The namespace.
        namespace: String,
    },
    /// The registry's address.
    #[error("{address} cannot be a registry's address: {why}")]
    BadRegistry {
        /// As written.
        address: String,
        /// The rule it broke.
        why: &'static str,
    },
    /// The registry does not answer.
    #[error("the registry {registry} does not answer: {why}")]
    Unreachable {
        /// Its address.
        registry: String,
        /// Why.
        why: String,
    },
    /// The registry answered with an error.
    #[error("the registry {registry} answered {status} to {request}: {message}")]
    Answer {
        /// Its address.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// Method and path.
        request: String,
        /// Its message, cut and without control characters.
        message: String,
    },
    /// The publish gate said no.
    #[error("the registry refused {name}@{version}: {}", reasons.join("; "))]
    Refused {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
        /// Each reason, with its code.
        reasons: Vec<String>,
    },
    /// The registry sent something that it may not.
    #[error("the registry {registry} sent something unusable for {what}: {why}")]
    BadAnswer {
        /// Its address.
        registry: String,
        /// What was asked.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No such plugin.
    #[error("the registry {registry} has no plugin {name}")]
    UnknownPlugin {
        /// Its address.
        registry: String,
        /// The plugin.
        name: PluginName,
    },
    /// No version fits.
    #[error("no version of {name} satisfies {requirement} (there are: {available})")]
    NoVersion {
        /// The plugin.
        name: PluginName,
        /// What was asked.
        requirement: String,
        /// What there is, newest first.
        available: String,
    },
    /// Bytes that are not what they were said to be.
    #[error("{name}: {what} should have the digest {expected} and has {found}")]
    DigestMismatch {
        /// The plugin.
        name: String,
        /// What was compared, such as `the component in the store`.
        what: &'static str,
        /// What the lock, the index or the signature says.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The registry names other content than the lock file.
    #[error(
        "{plugin}: windlass.lock says {}, the registry {registry} says {offered}; a published version never changes, so one of them was tampered with",
        plugin.digest
    )]
    LockDisagrees {
        /// The plugin, with the lock's digest.
        plugin: Box<PluginRef>,
        /// The registry.
        registry: String,
        /// The registry's digest.
        offered: Digest,
    },
    /// Another process stands in for the plugin.
    #[error("another `windlass plugin dev` gives {name} to this project")]
    InDevelopment {
        /// The plugin.
        name: PluginName,
    },
    /// The index lost or changed what it had.
    #[error("the registry {registry} went back on what it had published of {name}: {why}")]
    Rollback {
        /// The registry.
        registry: String,
        /// The plugin.
        name: PluginName,
        /// What was there before and is not now.
        why: String,
    },
    /// What the registry says of its own index cannot be believed.
    #[error("the registry {registry} cannot be believed: {why}")]
    Untrusted {
        /// The registry.
        registry: String,
        /// In words.
        why: String,
    },
    /// What the registry says of its own index is of another time.
    #[error("the registry {registry} shows an old state of its index: {why}")]
    Stale {
        /// The registry.
        registry: String,
        /// In words.
        why: String,
    },
    /// Documents of a registry that are not of one state.
    #[error("the registry {registry} shows documents that do not belong together: {why}")]
    Mixed {
        /// The registry.
        registry: String,
        /// Which, with both digests.
        why: String,
    },
    /// What is asked for excludes itself.
    #[error("no versions of these plugins go together:\n{}", facts.iter().map(|fact| format!("  - {fact}")).collect::<Vec<_>>().join("\n"))]
    Conflict {
        /// Who asks for what, and what there is.
        facts: Vec<String>,
    },
    /// Only a registry of plugins can do that.
    #[error("{origin} is a plain OCI registry: it has tags, and nothing to search in, to yank or to ask about")]
    PlainOci {
        /// The source.
        origin: String,
    },
    /// The container tools' credentials.
    #[error("the credentials for {host} cannot be had: {why}")]
    Credentials {
        /// The host.
        host: String,
        /// In words, without any secret.
        why: String,
    },
    /// Something needs the plugin.
    #[error("{name} is still needed:\n{}", by.iter().map(|by| format!("  - {by}")).collect::<Vec<_>>().join("\n"))]
    Needed {
        /// The plugin.
        name: PluginName,
        /// By what, a line each.
        by: Vec<String>,
    },
    /// An archive that was not written by `plugin export`, or was changed.
    #[error("{file} cannot be imported: {why}")]
    BadArchive {
        /// The file.
        file: String,
        /// In words.
        why: String,
    },
    /// A signature that does not hold.
    #[error("{name}@{version} must not be installed: {why}")]
    BadSignature {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
        /// In words.
        why: String,
    },
    /// No signature.
    #[error("{name}@{version} is not signed")]
    Unsigned {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
    },
    /// Nobody was there to ask, or the answer was no.
    #[error("{plugin} asks for permissions that were not granted:\n{words}")]
    NotGranted {
        /// The plugin.
        plugin: Box<PluginRef>,
        /// The consent text.
        words: String,
        /// The command that grants.
        command: String,
    },
    /// `--locked`, and the lock would have to change.
    #[error("windlass.lock would have to change: {why}")]
    LockWouldChange {
        /// What is missing in it.
        why: String,
    },
    /// A pipeline asks for something that the lock does not have.
    #[error("{name} {requirement} is not installed in this project{}", have.as_ref().map(|v| format!(" (windlass.lock has {v})")).unwrap_or_default())]
    NotInstalled {
        /// The plugin.
        name: PluginName,
        /// What was asked.
        requirement: String,
        /// The locked version, if any.
        have: Option<semver::Version>,
    },
    /// Locked, but the component is not in the store.
    #[error("{name}@{version} is in windlass.lock, but its component is not on this machine")]
    NotFetched {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
    },
    /// The component itself.
    #[error("{name}: the component cannot be used: {why}")]
    BadComponent {
        /// The plugin.
        name: String,
        /// In words.
        why: String,
    },
    /// The component imports what the manifest does not ask for.
    #[error("{name}: the component imports {imports}, and its permissions do not ask for that")]
    UndeclaredImports {
        /// The plugin.
        name: String,
        /// The interfaces, by name.
        imports: String,
    },
    /// Over a limit.
    #[error("{what} is {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Publishing needs a token.
    #[error("publishing to {registry} needs a token")]
    NoToken {
        /// The registry.
        registry: String,
    },
}

fn at(line: u64, column: u64) -> String {
    if line == 0 { String::new() } else { format!(" (line {line}, column {column})") }
}

impl PackageError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        PackageError::Io { what, path: path.display().to_string(), source }
    }
}

impl CodedError for PackageError {
    fn code(&self) -> Code {
        use PackageError as E;
        Code(match self {
            E::Io { .. } => 801,
            E::Name(_) => 802,
            E::Malformed { .. } => 803,
            E::NoRegistry { .. } => 804,
            E::BadRegistry { .. } => 805,
            E::Unreachable { .. } => 806,
            E::Answer { .. } => 807,
            E::Refused { .. } => 808,
            E::BadAnswer { .. } => 809,
            E::UnknownPlugin { .. } => 810,
            E::NoVersion { .. } => 811,
            E::DigestMismatch { .. } => 812,
            E::LockDisagrees { .. } => 813,
            E::Rollback { .. } => 814,
            E::BadSignature { .. } => 815,
            E::Unsigned { .. } => 816,
            E::NotGranted { .. } => 817,
            E::LockWouldChange { .. } => 818,
            E::NotInstalled { .. } => 819,
            E::NotFetched { .. } => 820,
            E::BadComponent { .. } => 821,
            E::UndeclaredImports { .. } => 822,
            E::TooLarge { .. } => 823,
            E::NoToken { .. } => 824,
            E::InDevelopment { .. } => 890,
            E::Conflict { .. } => 825,
            E::Untrusted { .. } => 826,
            E::Stale { .. } => 827,
            E::Mixed { .. } => 828,
            E::PlainOci { .. } => 829,
            E::Credentials { .. } => 830,
            E::Needed { .. } => 831,
            E::BadArchive { .. } => 832,
        })
    }

    fn help(&self) -> Option<String> {
        use PackageError as E;
        Some(match self {
            E::Io { .. } => "check that the path exists and that you may use it".to_owned(),
            E::Name(_) | E::Malformed { .. } | E::Refused { .. } => return None,
            E::NoRegistry { namespace } => format!(
                "write `[registries] default = \"http://…\"`, or `{namespace} = \"http://…\"` in that table, into config.toml in WINDLASS_HOME"
            ),
            E::BadRegistry { .. } => "write https://host, or http://127.0.0.1:7420 for one on this machine".to_owned(),
            E::Unreachable { .. } => {
                "start it, or correct its address in config.toml in WINDLASS_HOME; what is locked and installed runs without it"
                    .to_owned()
            }
            E::Answer { status: 401 | 403, .. } => {
                "give a token that owns the namespace: WINDLASS_REGISTRY_TOKEN, or made by `registry-server token create`".to_owned()
            }
            E::Answer { .. } => "look into the registry's log; the request was not repeated".to_owned(),
            E::BadAnswer { .. } => "nothing was installed; tell whoever runs the registry".to_owned(),
            E::UnknownPlugin { name, .. } => format!("look for it with `windlass plugin search {}`", name.name()),
            E::NoVersion { name, .. } => format!("`windlass plugin info {name}` shows every version; ask for one that may be chosen, as {name}@^<version>"),
            E::DigestMismatch { .. } => {
                "do not use it; `windlass plugin verify` names every damaged plugin, and `windlass plugin install` fetches it anew"
                    .to_owned()
            }
            E::LockDisagrees { plugin, .. } => {
                format!("find out which is right before anything else; `windlass plugin remove {}` forgets the locked digest", plugin.name)
            }
            E::Rollback { .. } => {
                "nothing was installed; ask whoever runs the registry whether it was restored from an old copy".to_owned()
            }
            E::BadSignature { name, .. } => format!(
                "nothing was installed; ask the publisher for the key and pin it in config.toml: `[publishers] {} = \"ed25519:…\"`",
                name.namespace()
            ),
            E::Unsigned { .. } => {
                "publish it with `windlass plugin publish`, which signs; for local work there is --allow-unsigned".to_owned()
            }
            E::NotGranted { command, .. } => format!("to grant them: {command}"),
            E::InDevelopment { .. } => "end that one, or give another --project".to_owned(),
            E::LockWouldChange { .. } => "run it once without --locked and commit windlass.lock".to_owned(),
            E::NotInstalled { name, requirement, .. } => match requirement.as_str() {
                "*" => format!("run `windlass plugin install {name}`"),
                requirement => format!("run `windlass plugin install {name}@{requirement}`"),
            },
            E::NotFetched { .. } => "run `windlass plugin install --locked`".to_owned(),
            E::BadComponent { .. } => "look at it with `windlass plugin inspect FILE`".to_owned(),
            E::UndeclaredImports { .. } => "ask for it under `permissions` in plugin.yaml, with its scope".to_owned(),
            E::TooLarge { .. } => "make it smaller; a component shrinks when it is stripped and optimised for size".to_owned(),
            E::Conflict { .. } => {
                "ask for other versions, or let the locked ones move with `windlass plugin update`".to_owned()
            }
            E::Untrusted { registry, .. } => format!(
                "nothing was installed; ask whoever runs the registry for the key of its snapshots and pin it in config.toml: `[registries.keys] \"{registry}\" = \"ed25519:…\"`"
            ),
            E::Stale { .. } => {
                "nothing was installed; look at this machine's clock, then ask whoever runs the registry: somebody may be holding back what is new".to_owned()
            }
            E::Mixed { .. } => "nothing was installed; tell whoever runs the registry".to_owned(),
            E::PlainOci { .. } => "map the namespace to a registry of plugins in config.toml for that".to_owned(),
            E::Credentials { host, .. } => {
                format!("log in again with the container tools, or with `windlass plugin login` for {host}")
            }
            E::Needed { .. } => "take it out there first, or use --force".to_owned(),
            E::BadArchive { .. } => "nothing was imported; make it anew with `windlass plugin export`".to_owned(),
            E::NoToken { .. } => {
                "make one with `registry-server token create`, and keep it with `windlass plugin login`, or give it as WINDLASS_REGISTRY_TOKEN".to_owned()
            }
        })
    }

    fn retryable(&self) -> bool {
        matches!(self, PackageError::Unreachable { .. } | PackageError::Answer { status: 429 | 500..=599, .. })
    }
}
