//! A fresh instance and a call through [`Runtime::run`] beside bare wasmtime doing the same, and loading what was
//! compiled. Each figure is printed with its floor from the same run, its target, and whether it holds.
//!
//! Percentiles are the point, so this is no criterion bench. `cargo bench -p windlass-runtime`.
#![allow(clippy::print_stdout, reason = "this is what a bench is for")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Guest, Host, Recorder, call};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, component};
use windlass_contract::{Capabilities, Digest};
use windlass_runtime::{CallLimits, Runtime, Settings};

mod bare {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    wasmtime::component::bindgen!({ path: "../../wit", world: "step-plugin", exports: { default: async } });
}

const ROUNDS: usize = 5_000;
const LOADS: usize = 300;

/// A guest of the size of a small Rust plugin: its code, and the memory that it writes to.
fn guest() -> Vec<u8> {
    let functions: String = (0..4000)
        .map(|n| {
            format!(
                "(func (param i32) (result i32) (i32.store (local.get 0) (i32.const {n}))
                   (i32.add (i32.load offset={n} (local.get 0)) (i32.mul (local.get 0) (i32.const {n}))))"
            )
        })
        .collect();
    Guest { pages: 17, items: &functions, run: "(i32.store (i32.const 70000) (i32.const 1))", ..Guest::default() }
        .build()
}

struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wasm = guest();
    let host = Host::new(16);
    let report = host.runtime.compile(&host.write(&wasm), Digest::of(&wasm)).await.expect("compiled");
    println!("component {} bytes, code {} bytes, compiled in {:?}", report.bytes, report.cwasm_bytes, report.duration);

    // Ours.
    let plugin = host.runtime.load(Host::reference(&wasm)).expect("a plugin");
    let step = call(plugin.plugin(), serde_json::json!({"image": "alpine:3", "commands": ["true"]}));
    let log = Arc::new(Recorder::default());

    // Bare: the same pool and the same interruption, and nothing else.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(16)
        .total_stacks(16)
        .max_memory_size(256 << 20)
        .linear_memory_keep_resident(256 << 10);
    let mut config = Config::new();
    config.epoch_interruption(true).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).expect("an engine");
    let compiled = component::Component::new(&engine, &wasm).expect("a component");
    let linker = component::Linker::<()>::new(&engine);
    let pre = bare::StepPluginPre::new(linker.instantiate_pre(&compiled).expect("linked")).expect("a plugin");

    let (mut ours, mut floor) = (Times(Vec::new()), Times(Vec::new()));
    // In turns, so that whatever else the machine does meets both.
    for round in 0..ROUNDS + 500 {
        let began = Instant::now();
        let capabilities = Capabilities::none(log.clone());
        host.runtime.run(&plugin, &step, capabilities, CallLimits::default()).await.result.expect("success");
        let mine = began.elapsed();
        let began = Instant::now();
        {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1_000_000);
            let instance = pre.instantiate_async(&mut store).await.expect("an instance");
            instance.windlass_plugin_step().call_run(&mut store, "step.test").await.expect("no trap").expect("success");
        }
        let theirs = began.elapsed();
        if round >= 500 {
            ours.0.push(mine);
            floor.0.push(theirs);
        }
    }
    let (p50, bare) = (ours.at(0.5), floor.at(0.5));
    let ratio = p50.as_secs_f64() / bare.as_secs_f64();
    println!("fresh instance + call   p50 {p50:?}  p99 {:?}  (n={ROUNDS})", ours.at(0.99));
    println!("  bare wasmtime         p50 {bare:?}  p99 {:?}", floor.at(0.99));
    println!(
        "  ratio {ratio:.2}, target 1.50: {}; p50 target 50µs: {}",
        verdict(ratio <= 1.5),
        verdict(p50 <= Duration::from_micros(50))
    );

    // Loading: a runtime that has mapped nothing yet, each time.
    let (mut ours, mut floor) = (Times(Vec::new()), Times(Vec::new()));
    let settings =
        Settings { cache_dir: host.folder.path().join("cache"), compiler: common::compiler(), concurrency: 1 };
    let file = host.folder.path().join("bare.cwasm");
    std::fs::write(&file, compiled.serialize().expect("code")).expect("a file");
    for _ in 0..LOADS {
        let runtime = Runtime::new(settings.clone()).expect("a runtime");
        let began = Instant::now();
        runtime.load(Host::reference(&wasm)).expect("a plugin");
        ours.0.push(began.elapsed());
        let began = Instant::now();
        // SAFETY: the file was written a moment ago by this process.
        drop(unsafe { component::Component::deserialize_file(&engine, &file) }.expect("a component"));
        floor.0.push(began.elapsed());
    }
    let p99 = ours.at(0.99);
    println!("compiled load           p50 {:?}  p99 {p99:?}  (n={LOADS})", ours.at(0.5));
    println!("  bare deserialize_file p50 {:?}  p99 {:?}", floor.at(0.5), floor.at(0.99));
    println!("  p99 target 1ms: {}", verdict(p99 <= Duration::from_millis(1)));
}
