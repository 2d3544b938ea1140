//! Guests written as core modules, made into components as any toolchain does it, and a host to run them.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test programs")]

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use windlass_contract::{
    Capabilities, CodedError, Digest, PluginRef, StepCall,
    capability::{Log, LogEntry, State, StateError},
};
use windlass_runtime::{CallLimits, Plugin, RunReport, Runtime, RuntimeError, Settings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// What toolchains import of WASI, as far as the tests call it.
const WASI: &str = r#"
package test:guest;
package wasi:cli@0.2.0 {
    interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        get-arguments: func() -> list<string>;
    }
    interface stdout {
        use wasi:io/streams@0.2.0.{output-stream};
        get-stdout: func() -> output-stream;
    }
}
package wasi:io@0.2.0 {
    interface error { resource error; }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
    }
}
package wasi:filesystem@0.2.0 {
    interface types { resource descriptor; }
    interface preopens {
        use types.{descriptor};
        get-directories: func() -> list<tuple<descriptor, string>>;
    }
}
package wasi:sockets@0.2.0 {
    interface network {
        enum error-code {
            unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
            not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
            remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
            name-unresolvable, temporary-resolver-failure, permanent-resolver-failure
        }
        enum ip-address-family { ipv4, ipv6 }
    }
    interface tcp { resource tcp-socket; }
    interface tcp-create-socket {
        use network.{error-code, ip-address-family};
        use tcp.{tcp-socket};
        create-tcp-socket: func(family: ip-address-family) -> result<tcp-socket, error-code>;
    }
}
package wasi:http@0.2.0 {
    interface handler { handle: func(); }
}
package other:place@1.0.0 {
    interface thing { go: func(); }
}
world guest {
    include windlass:plugin/step-plugin@0.1.0;
    import wasi:cli/environment@0.2.0;
    import wasi:cli/stdout@0.2.0;
    import wasi:io/streams@0.2.0;
    import wasi:filesystem/preopens@0.2.0;
    import wasi:sockets/tcp-create-socket@0.2.0;
    import wasi:http/handler@0.2.0;
    import other:place/thing@1.0.0;
}
world provider-guest { include windlass:plugin/provider-plugin@0.1.0; }
world both {
    include windlass:plugin/step-plugin@0.1.0;
    include windlass:plugin/provider-plugin@0.1.0;
}
world elsewhere { export other:place/thing@1.0.0; }
"#;

/// A component of `world` from a core module in text.
pub fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).expect("the contract");
    let package = resolve.push_str("test.wit", WASI).expect("the test's world");
    let world = resolve.select_world(&[package], Some(world)).expect("a world");
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("{error}\n{core}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default().validate(true).module(&module).expect("a module").encode().expect("a component")
}

/// A step plugin in pieces, each with a harmless default.
pub struct Guest<'a> {
    /// Imports, in text.
    pub imports: &'a str,
    /// The memory's size in pages.
    pub pages: u32,
    /// Functions, tables and so on.
    pub items: &'a str,
    /// The body of `cabi_realloc` before it does its work.
    pub realloc: &'a str,
    /// The body of `describe` before it answers with `descriptor`.
    pub describe: &'a str,
    /// What `describe` answers.
    pub descriptor: &'a str,
    /// The body of `run`; falls through to success. Its locals are `$i` and `$j`; 1024 is its answer's address.
    pub run: &'a str,
    /// What `recover` answers.
    pub recover: u32,
}

pub const DESCRIPTOR: &str =
    r#"{"steps":[{"name":"step.test","summary":"A test.","effect":"pure","config_schema":{}}]}"#;

impl Default for Guest<'_> {
    fn default() -> Self {
        Guest {
            imports: "",
            pages: 1,
            items: "",
            realloc: "",
            describe: "",
            descriptor: DESCRIPTOR,
            run: "",
            recover: 0,
        }
    }
}

impl Guest<'_> {
    /// Its component. Memory: 512 the descriptor, 1024 answers, 2048 for the body, 32768 the heap.
    pub fn build(&self) -> Vec<u8> {
        let Guest { imports, pages, items, realloc, describe, descriptor, run, recover } = self;
        let text = descriptor.replace('\\', "\\\\").replace('"', "\\\"");
        let length = descriptor.len();
        component(
            "guest",
            &format!(
                r#"(module
                {imports}
                (memory (export "memory") {pages})
                (global $heap (mut i32) (i32.const 32768))
                (data (i32.const 512) "{text}")
                {items}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    {realloc}
                    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                    (global.set $heap (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "windlass:plugin/step@0.1.0#describe") (result i32)
                    {describe}
                    (i32.store (i32.const 1024) (i32.const 512))
                    (i32.store (i32.const 1028) (i32.const {length}))
                    (i32.const 1024))
                (func (export "windlass:plugin/step@0.1.0#validate") (param i32 i32 i32 i32) (result i32)
                    ;; one warning at "/x" that quotes the step type
                    (i32.store8 (i32.const 1100) (i32.const 1))
                    (i32.store16 (i32.const 1080) (i32.const 0x782f))
                    (i32.store (i32.const 1104) (i32.const 1080))
                    (i32.store (i32.const 1108) (i32.const 2))
                    (i32.store (i32.const 1112) (local.get 0))
                    (i32.store (i32.const 1116) (local.get 1))
                    (i32.store (i32.const 1024) (i32.const 1100))
                    (i32.store (i32.const 1028) (i32.const 1))
                    (i32.const 1024))
                (func $run (export "windlass:plugin/step@0.1.0#run") (param i32 i32) (result i32)
                    (local $i i32) (local $j i32)
                    {run}
                    (i32.const 1024))
                (func (export "windlass:plugin/step@0.1.0#recover") (param i32 i32) (result i32) (i32.const {recover})))"#
            ),
        )
    }
}

pub struct Host {
    pub folder: tempfile::TempDir,
    pub runtime: Runtime,
}

/// One host for all tests of a program.
pub static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(8));

pub fn compiler() -> PathBuf {
    env!("CARGO_BIN_EXE_windlass-compile-child").into()
}

impl Host {
    pub fn new(concurrency: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { cache_dir: folder.path().join("cache"), compiler: compiler(), concurrency };
        Host { runtime: Runtime::new(settings).expect("a runtime"), folder }
    }

    pub fn reference(wasm: &[u8]) -> PluginRef {
        PluginRef {
            name: "acme:x".parse().expect("a name"),
            version: "0.1.0".parse().expect("a version"),
            digest: Digest::of(wasm),
        }
    }

    pub fn write(&self, wasm: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{}.wasm", Digest::of(wasm).hex()));
        std::fs::write(&path, wasm).expect("a file");
        path
    }

    /// Compiles and loads.
    pub async fn load(&self, wasm: &[u8]) -> Result<Plugin, RuntimeError> {
        self.runtime.compile(&self.write(wasm), Digest::of(wasm)).await?;
        self.runtime.load(Self::reference(wasm))
    }

    pub async fn run(&self, guest: &Guest<'_>, log: &Arc<Recorder>) -> RunReport {
        self.run_with(guest, Capabilities::none(log.clone()), CallLimits::within(Duration::from_secs(20))).await
    }

    pub async fn run_with(&self, guest: &Guest<'_>, capabilities: Capabilities, limits: CallLimits) -> RunReport {
        let wasm = guest.build();
        let plugin = self.load(&wasm).await.expect("a plugin");
        self.runtime
            .run(&plugin, &call(plugin.plugin(), serde_json::json!({"a": {"b": "c"}})), capabilities, limits)
            .await
    }
}

pub fn call(plugin: &PluginRef, config: serde_json::Value) -> StepCall {
    StepCall {
        plugin: plugin.clone(),
        step_type: "step.test".into(),
        run: "r1".parse().expect("a run"),
        step: "test".parse().expect("a step"),
        attempt: 1,
        config,
    }
}

/// `WL0321 words`, and the help below.
pub fn words(error: &dyn CodedError) -> String {
    let help = error.help().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    format!("{} {error}{help}", error.code())
}

/// What a guest's `run` ends with.
pub async fn ends(guest: Guest<'_>) -> String {
    ends_with(guest, |_| {}, Duration::from_secs(20)).await
}

pub async fn ends_with(guest: Guest<'_>, grant: impl FnOnce(&mut Capabilities), deadline: Duration) -> String {
    let mut capabilities = Capabilities::none(Arc::new(Recorder::default()));
    grant(&mut capabilities);
    match HOST.run_with(&guest, capabilities, CallLimits::within(deadline)).await.result {
        Ok(()) => "succeeded".into(),
        Err(error) => words(&error).lines().next().unwrap_or_default().to_owned(),
    }
}

/// A log that keeps what it gets, up to a thousand entries, and counts the rest.
#[derive(Default)]
pub struct Recorder {
    pub entries: Mutex<Vec<LogEntry>>,
    pub bytes: Mutex<u64>,
}

impl Log for Recorder {
    fn write(&self, entry: LogEntry) {
        let bytes = match &entry {
            LogEntry::Line { message, .. } => message.len(),
            LogEntry::Stdio { bytes, .. } => bytes.len(),
            _ => 0,
        };
        *self.bytes.lock().expect("a lock") += bytes as u64;
        let mut entries = self.entries.lock().expect("a lock");
        if entries.len() == 1000 {
            entries.remove(0);
        }
        entries.push(entry);
    }
}

/// A store that never answers.
pub struct Never;

#[async_trait::async_trait]
impl State for Never {
    async fn get(&self, _: String) -> Result<Option<Vec<u8>>, StateError> {
        std::future::pending().await
    }
    async fn set(&self, _: String, _: Vec<u8>) -> Result<(), StateError> {
        Err(StateError::Conflict)
    }
    async fn compare_and_set(&self, _: String, _: Option<Vec<u8>>, _: Vec<u8>) -> Result<(), StateError> {
        Err(StateError::Conflict)
    }
    async fn delete(&self, _: String) -> Result<(), StateError> {
        Ok(())
    }
    async fn keys(&self, _: String) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }
}
