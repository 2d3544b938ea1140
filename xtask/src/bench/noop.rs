//! A step plugin that does nothing, made here so that no toolchain's cost is in it; and a home that has it.

use super::{
    home::{Home, carry, grants},
    root,
    shapes::Shape,
};
use std::time::{Duration, Instant};
use windlass_contract::{Permissions, PluginRef};
use windlass_driver::Grants;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Its step type.
pub(crate) const STEP_TYPE: &str = "step.noop";

const DESCRIPTOR: &str = r#"{"steps":[{"name":"step.noop","summary":"Nothing.","effect":"pure","config_schema":{}}]}"#;

/// `DESCRIPTOR` and `LENGTH` are put in.
const MODULE: &str = r#"(module
    (memory (export "memory") 1)
    (global $heap (mut i32) (i32.const 32768))
    (data (i32.const 512) "DESCRIPTOR")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
    (func (export "windlass:plugin/step@0.1.0#describe") (result i32)
        (i32.store (i32.const 1024) (i32.const 512))
        (i32.store (i32.const 1028) (i32.const LENGTH))
        (i32.const 1024))
    ;; Zeros are an empty list, success, and `rerun`.
    (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32) (i32.const 1024))
    (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const 0)))"#;

/// What the plugin is called.
pub(crate) const NAME: &str = "bench:noop";

/// Its component.
pub(crate) fn component() -> anyhow::Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit"))?;
    let world = resolve.select_world(&[package], Some("step-plugin"))?;
    let text =
        MODULE.replace("DESCRIPTOR", &DESCRIPTOR.replace('"', "\\\"")).replace("LENGTH", &DESCRIPTOR.len().to_string());
    let mut module = wat::parse_str(text)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// A home with the plugin.
pub(crate) struct NoopHome {
    pub(crate) home: Home,
    pub(crate) plugin: PluginRef,
}

impl NoopHome {
    pub(crate) async fn open() -> anyhow::Result<NoopHome> {
        let home = Home::open().await?;
        let plugin = home.install(NAME, &component()?).await?;
        Ok(NoopHome { home, plugin })
    }

    /// The plugin asks for nothing, and is granted that.
    pub(crate) fn grants(&self) -> Grants {
        grants(&self.plugin, Permissions::default())
    }

    /// The time of one run of `count` steps, from its creation to its end.
    pub(crate) async fn run(&self, shape: Shape, count: u32) -> anyhow::Result<Duration> {
        let plan = shape.plan(&self.plugin, count)?;
        let began = Instant::now();
        carry(&self.home.host, plan, self.grants(), None).await?;
        Ok(began.elapsed())
    }
}
