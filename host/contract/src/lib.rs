//! The plugin contract in plain Rust.
//!
//! **Purpose.** The vocabulary that the sandbox (`runtime`), the things a plugin may reach (`capabilities`), the package
//! client and the driver share: who is called ([`PluginRef`], [`StepCall`]), what it may reach ([`Permissions`]), the
//! traits behind each capability interface ([`capability`]), and what a plugin says of itself ([`Descriptor`]). What a provider
//! is asked and answers is in [`provider`].
//! It mirrors `wit/`: one module per concept there, in types that name neither wasmtime nor bollard, so that a fake host
//! (`windlass plugin test`) and the real one are two sets of implementations of the same traits.
//!
//! **Invariants.** No I/O happens here. Every string that becomes a path, a label or part of a URL is a type that can
//! only be made by parsing ([`PluginName`], [`ArtifactKey`], [`Digest`], [`StepName`]). A [`SecretValue`] has neither
//! `Debug` nor `Serialize`, and is wiped when dropped.
//!
//! **Not here.** Policy (what is granted to whom) and effects (carrying anything out).

pub mod capability;
mod descriptor;
mod error;
mod names;
pub mod permissions;
pub mod provider;
mod secret;

pub use capability::{Capabilities, StepCall};
pub use descriptor::{CONTRACT_PACKAGE, CONTRACT_VERSION, Descriptor, EffectClass, Recovery, StepType};
pub use error::{Code, CodedError};
pub use names::{
    ArtifactKey, DetachedName, Digest, EnvironmentName, NameError, PluginKind, PluginName, PluginRef, ProviderName,
    RunId, SecretReference, StepName,
};
pub use permissions::{Interface, Permissions};
pub use provider::{ProviderCall, ProviderDescriptor, Verb};
pub use secret::SecretValue;
