//! The one engine: its configuration and its clock.

use crate::{error::RuntimeError, limits};
use std::hash::{Hash, Hasher};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What decides the compiled code. The compiling process and the running one use the same, or nothing would load.
///
/// Left out of the build, and so off for every guest: threads and shared memory, garbage collection, exceptions (which
/// need it), stack switching. Component-model async is on because JavaScript toolchains emit its ABI by default.
fn code_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(true)
        .wasm_memory64(false)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(limits::STACK_BYTES)
        .async_stack_size(limits::ASYNC_STACK_BYTES);
    config
}

/// The engine of the compiling process: it never runs anything.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&code_config())
}

/// The engine of the running process, with a place for each of `concurrency` instances, and its ticker.
pub(crate) fn running(concurrency: usize) -> Result<Engine, RuntimeError> {
    let engine = match Engine::new(code_config().allocation_strategy(pool(concurrency))) {
        Ok(engine) => engine,
        Err(error) => {
            // A container with little address space: slower, but it works.
            tracing::warn!(%error, concurrency, "no pool of instances; each call allocates its own memory");
            Engine::new(&code_config()).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?
        }
    };
    tick(&engine)?;
    Ok(engine)
}

/// A pool in which `concurrency` components of the largest legal shape fit, so that none is ever refused for want of
/// room: the semaphore is what waits.
fn pool(concurrency: usize) -> InstanceAllocationStrategy {
    let places = u32::try_from(concurrency).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_stacks(places)
        .total_core_instances(places.saturating_mul(limits::CORE_INSTANCES))
        .total_memories(places.saturating_mul(limits::MEMORIES))
        .total_tables(places.saturating_mul(limits::TABLES))
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(limits::MEMORIES)
        .max_memories_per_module(limits::MEMORIES)
        .max_tables_per_component(limits::TABLES)
        .max_tables_per_module(limits::TABLES)
        .max_memory_size(limits::MEMORY_BYTES)
        .table_elements(limits::TABLE_ELEMENTS)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(4 << 20)
        // What is cleared by writing zeros instead of by a system call when an instance ends.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(places.min(16));
    InstanceAllocationStrategy::Pooling(pool)
}

/// Starts the one thread that moves the epoch on. It ends with the engine, of which it holds no share.
///
/// The epoch is the clock of all guests: it is never moved to stop one of them.
fn tick(engine: &Engine) -> Result<(), RuntimeError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("windlass-ticker".into())
        .spawn(move || {
            loop {
                std::thread::sleep(limits::TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map(drop)
        .map_err(|cause| RuntimeError::Engine(format!("no thread for its clock: {cause}")))
}

/// 16 hex digits that two engines share exactly when one can load what the other compiled.
pub(crate) fn compatibility(engine: &Engine) -> String {
    /// A hasher that is the same on every machine and in every release, unlike the standard one.
    struct Stable(sha2::Sha256);
    impl Hasher for Stable {
        fn write(&mut self, bytes: &[u8]) {
            sha2::Digest::update(&mut self.0, bytes);
        }
        fn finish(&self) -> u64 {
            let digest = sha2::Digest::finalize(self.0.clone());
            u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
        }
    }
    let mut hasher = Stable(sha2::Digest::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    std::env::consts::OS.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
