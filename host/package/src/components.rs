//! The seam to the sandbox: what this crate and the registry must know of a component, and who can tell.

use async_trait::async_trait;
use std::path::Path;
use windlass_contract::{Descriptor, Digest, PluginRef};
use windlass_runtime::{Inspection, Runtime};

/// Who can look into a component and run its `describe`.
///
/// [`Runtime`] is the one that a host uses. A trait, so that the client and the publish gate can also be tried with
/// components that behave as none can be built to (a compiler that dies, a descriptor that no guest would send).
#[async_trait]
pub trait Components: Send + Sync {
    /// Parses and validates, without running anything. The error says in words why these bytes are not a plugin.
    fn inspect(&self, wasm: &[u8]) -> Result<Inspection, String>;

    /// Compiles the component in a process of its own, where that has not been done for this machine and this host.
    /// `wasm` holds the bytes with this digest.
    async fn compile(&self, digest: Digest, wasm: &Path) -> Result<(), String>;

    /// Compiles the component in a process of its own, and asks it once, in the sandbox and without any capability, to
    /// describe itself. `wasm` holds the bytes whose digest is `plugin.digest`.
    async fn describe(&self, plugin: &PluginRef, wasm: &Path) -> Result<Descriptor, String>;
}

#[async_trait]
impl Components for Runtime {
    fn inspect(&self, wasm: &[u8]) -> Result<Inspection, String> {
        windlass_runtime::inspect(wasm).map_err(|error| error.to_string())
    }

    async fn compile(&self, digest: Digest, wasm: &Path) -> Result<(), String> {
        Runtime::compile(self, wasm, digest).await.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn describe(&self, plugin: &PluginRef, wasm: &Path) -> Result<Descriptor, String> {
        Components::compile(self, plugin.digest, wasm).await?;
        let loaded = self.load(plugin.clone()).map_err(|error| error.to_string())?;
        Runtime::describe(self, &loaded).await.map_err(|error| error.to_string())
    }
}
