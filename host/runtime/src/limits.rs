//! Every limit of the sandbox: its unit, its default, and why it is what it is.
//!
//! A hostile guest that hits each of them is in `tests/hostile.rs`.

use std::time::Duration;

/// One mebibyte.
const MIB: usize = 1 << 20;

// ---- one call ------------------------------------------------------------------------------------------------------

/// Bytes of linear memory, summed over all memories of a component. A Python interpreter with a JSON document of 10 MiB
/// needs about 100 MiB; 256 leaves room and lets a machine of 4 GiB run a dozen at once.
pub const MEMORY_BYTES: usize = 256 * MIB;
/// Elements of tables, summed over all tables of a component. CPython with its extension modules uses about 20,000.
pub const TABLE_ELEMENTS: usize = 100_000;
/// Core instances of one component. A QuickJS component holds ten, a CPython component thirty.
pub const CORE_INSTANCES: u32 = 128;
/// Linear memories of one component. Toolchains make one, and a second one for an adapter.
pub const MEMORIES: u32 = 8;
/// Tables of one component. Each library of a CPython component may bring its own.
pub const TABLES: u32 = 64;
/// Live handles of a call, in the engine's tables and in ours. Each costs the host about 100 bytes and what it stands for.
pub const HANDLES: usize = 10_000;
/// Bytes that may be copied out of the guest by one call of a host function. Nothing larger belongs in a message:
/// artifacts move by handle, and are read and written by chunk.
pub const HOST_CALL_BYTES: usize = 16 * MIB;
/// Bytes that the host holds for a guest between its calls: container specifications and requests in the making. The
/// largest legal request body, and as much again for everything else.
pub const HELD_BYTES: usize = 128 * MIB;
/// Bytes of wasm stack. Deep enough for a recursive-descent parser, and a quarter of the fibre's own stack.
pub const STACK_BYTES: usize = 512 * 1024;
/// Bytes of the fibre's stack: the wasm stack, and what host functions need above it.
pub const ASYNC_STACK_BYTES: usize = 2 * MIB;
/// Bytes of one chunk, read from or written to an artifact or a response.
pub const CHUNK_BYTES: usize = MIB;
/// Bytes of random data by one call of `wasi:random`.
pub const RANDOM_BYTES: u64 = MIB as u64;
/// How often a running guest yields to others and to its deadline.
pub const TICK: Duration = Duration::from_millis(10);
/// Wall clock of `run` where the caller sets none: no step is meant to be without an end.
pub const RUN_DEADLINE: Duration = Duration::from_secs(3600);
/// Wall clock of `describe` and `validate`: they compute something small, and a person waits for it.
pub const QUICK_DEADLINE: Duration = Duration::from_secs(10);
/// Wall clock of `recover`: it may ask a remote system.
pub const RECOVER_DEADLINE: Duration = Duration::from_secs(60);
/// Guest frames in a report of a trap. The place of a fault is in the first few.
pub const FRAMES: usize = 10;
/// Last lines of the log in a report of a trap. A panic's message and what led to it.
pub const TAIL_LINES: usize = 20;
/// Characters of each such line.
pub const TAIL_LINE_CHARS: usize = 500;

// ---- what a call gives ---------------------------------------------------------------------------------------------

/// Bytes of log that a step's plugin may write; what a container prints does not pass through it.
pub const LOG_BYTES: u64 = 64 * MIB as u64;
/// Bytes of one line of log; a longer one is cut and marked.
pub const LOG_LINE_BYTES: usize = MIB;
/// Bytes that each entry is counted as at least, so that a flood of empty lines ends too, after a million of them.
pub const LOG_ENTRY_BYTES: u64 = 64;
/// Depth of groups in a log. Deeper ones are lines: nobody unfolds nine levels.
pub const LOG_GROUPS: u32 = 8;
/// Bytes of all results of a step, names and values: both outputs of a container, 1 MiB each, as JSON with its escapes, and
/// room for the rest.
pub const OUTPUT_BYTES: usize = 4 * MIB;
/// Results of a step.
pub const OUTPUT_NAMES: usize = 1000;
/// Bytes of a configuration, or of a request to a provider, as JSON: it may hold all results of a step before it.
pub const CONFIG_BYTES: usize = 4 * MIB;
/// Bytes of a provider's answer, as JSON: as many as its request may have.
pub const PROVIDER_ANSWER_BYTES: usize = 4 * MIB;
/// Bytes of the document that `describe` returns.
pub const DESCRIPTOR_BYTES: usize = MIB;
/// Diagnostics that `validate` may return; nobody reads the 1,001st.
pub const DIAGNOSTICS: usize = 1000;

// ---- components ----------------------------------------------------------------------------------------------------

/// Bytes of a component. The largest that common toolchains make (CPython with libraries) has about 40 MiB.
pub const COMPONENT_BYTES: u64 = 64 * MIB as u64;
/// Bytes of address space of the process that compiles. StarlingMonkey, the largest interpreter in use, needs 1.5 GiB.
pub const COMPILE_MEMORY_BYTES: u64 = 4096 * MIB as u64;
/// Processor time of the process that compiles. The largest interpreters need 10 seconds of it on a slow machine.
pub const COMPILE_CPU: Duration = Duration::from_secs(180);
/// Wall clock of the process that compiles.
pub const COMPILE_WALL: Duration = Duration::from_secs(300);
/// Bytes of compiled code: about three times the component, and room.
pub const COMPILED_BYTES: u64 = 512 * MIB as u64;
/// How long a refusal by the compiler is remembered, so that a component that uses the limits up does so once an hour
/// and not once a run. It is not for ever, because a machine may have been short of memory.
pub const REFUSAL_REMEMBERED: Duration = Duration::from_secs(3600);
/// Compiled components that stay mapped; the least recently loaded goes first. Their pages are shared and cost nothing
/// while nobody runs them.
pub const LOADED: usize = 64;

/// The limits of one compilation. The default is what the constants above say.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// Processor time, rounded up to seconds.
    pub cpu: Duration,
    /// Wall clock.
    pub wall: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        CompileLimits { memory_bytes: COMPILE_MEMORY_BYTES, cpu: COMPILE_CPU, wall: COMPILE_WALL }
    }
}

/// The limits that a caller may set for one call.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Wall clock from the moment the call has an instance's place, host calls included; waiting for a place in a
    /// storm does not count.
    pub deadline: Duration,
    /// Bytes of linear memory, summed; at most [`MEMORY_BYTES`].
    pub memory_bytes: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        CallLimits { deadline: RUN_DEADLINE, memory_bytes: MEMORY_BYTES }
    }
}

impl CallLimits {
    /// The defaults with another deadline.
    pub fn within(deadline: Duration) -> Self {
        CallLimits { deadline, ..CallLimits::default() }
    }
}

/// A size for people: `256 MiB`, `512 KiB`, `17 bytes`.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        MIB.. if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        MIB.. => format!("{:.1} MiB", bytes as f64 / MIB as f64),
        KIB.. => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}
