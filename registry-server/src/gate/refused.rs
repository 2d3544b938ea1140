//! Why the gate said no.

use axum::http::StatusCode;
use semver::{Version, VersionReq};
use windlass_contract::{Code, CodedError, Digest, PluginName};
use windlass_package::signature::PublisherKey;

/// Why a version was not accepted. Codes WL09xx.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The name.
    #[error("{0}")]
    Name(String),
    /// The version.
    #[error("{0:?} is not a semantic version such as 1.2.3, without build metadata")]
    Version(String),
    /// The OCI manifest.
    #[error("the OCI manifest {digest} cannot be a plugin: {why}")]
    Packaging {
        /// Which.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// `plugin.yaml`.
    #[error("{0}")]
    Manifest(String),
    /// The component.
    #[error("{0}")]
    Component(String),
    /// The component imports more than the manifest asks for.
    #[error("{0}")]
    Imports(String),
    /// The version exists.
    #[error("{name}@{version} is published with other content, and a version never changes")]
    Exists {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: Version,
    },
    /// Over a limit.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The README.
    #[error("the README cannot be used: {0}")]
    Readme(String),
    /// The signature.
    #[error("{0}")]
    Signature(String),
    /// The signature is not the namespace's.
    #[error("it is signed by {found}, and the namespace {namespace} belongs to {}", or(bound))]
    OtherKey {
        /// The namespace.
        namespace: String,
        /// Its keys.
        bound: Vec<PublisherKey>,
        /// The one that signed.
        found: PublisherKey,
    },
    /// What it says of itself.
    #[error("its description cannot be used: {0}")]
    Descriptor(String),
    /// A plugin that it calls.
    #[error("it depends on {name} {range}, {why}")]
    Dependency {
        /// Which.
        name: PluginName,
        /// In which versions.
        range: VersionReq,
        /// What is wrong.
        why: &'static str,
    },
    /// The versions of Windlass that it says it runs on.
    #[error("its engine {0} names no version at all")]
    Engine(VersionReq),
    /// Breaking, and not said to be.
    #[error("{version} is compatible with {previous} by its number, and breaks what worked with it: {}", breaks.join("; "))]
    Breaking {
        /// The new version.
        version: Version,
        /// The one that it must go on from.
        previous: Version,
        /// What broke, each in words.
        breaks: Vec<String>,
    },
    /// An example pipeline.
    #[error("{0}")]
    Example(String),
    /// The component is one that the registry does not hand out.
    #[error("the component {0} is in quarantine or was removed, under this name or another")]
    Withheld(Digest),
    /// The token is not for this.
    #[error("{0}")]
    Denied(String),
}

fn or(keys: &[PublisherKey]) -> String {
    if keys.is_empty() {
        return "nobody: all its keys were revoked".to_owned();
    }
    keys.iter().map(PublisherKey::to_string).collect::<Vec<_>>().join(" or ")
}

impl Refused {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Refused::Exists { .. } => StatusCode::CONFLICT,
            Refused::Denied(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl CodedError for Refused {
    fn code(&self) -> Code {
        Code(match self {
            Refused::Denied(_) => 901,
            Refused::Name(_) => 902,
            Refused::Version(_) => 903,
            Refused::Packaging { .. } => 904,
            Refused::Manifest(_) => 905,
            Refused::Component(_) => 906,
            Refused::Imports(_) => 907,
            Refused::Exists { .. } => 908,
            Refused::TooLarge { .. } => 910,
            Refused::Readme(_) => 911,
            Refused::Signature(_) => 912,
            Refused::OtherKey { .. } => 913,
            Refused::Descriptor(_) => 914,
            Refused::Dependency { .. } => 915,
            Refused::Engine(_) => 916,
            Refused::Breaking { .. } => 917,
            Refused::Example(_) => 918,
            Refused::Withheld(_) => 919,
        })
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Refused::Denied(_) => "use a token made for it: `registry-server token create --namespace …`",
                Refused::Name(_) | Refused::Version(_) | Refused::Manifest(_) => "correct plugin.yaml",
                Refused::Packaging { .. } => "publish with `windlass plugin publish`",
                Refused::Component(_) => "look at it with `windlass plugin inspect FILE`",
                Refused::Imports(_) => "ask for it under `permissions` in plugin.yaml, with its scope",
                Refused::Exists { .. } => "raise the version in plugin.yaml",
                Refused::TooLarge { .. } | Refused::Readme(_) => "make it smaller, as UTF-8 text where it is text",
                Refused::Signature(_) => "publish with `windlass plugin publish`, which signs",
                Refused::OtherKey { .. } => "publish from where the namespace's key is kept, keys/ in WINDLASS_HOME",
                Refused::Dependency { .. } => "correct `dependencies` in plugin.yaml, or publish that one first",
                Refused::Engine(_) => "write a range such as >=0.1, <0.3 under `engine` in plugin.yaml",
                Refused::Breaking { .. } => "raise the major version (before 1.0: the minor one), or keep what worked",
                Refused::Example(_) => "correct the file that `examples` in plugin.yaml names, or leave it out",
                Refused::Withheld(_) => {
                    "build it anew without what was found in it; the registry's operator says what that was"
                }
                Refused::Descriptor(_) => "correct what the plugin's `describe` returns; wit/step.wit says what it is",
            }
            .to_owned(),
        )
    }
}
