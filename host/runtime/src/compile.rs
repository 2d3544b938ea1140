//! Compiling, in a child process.
//!
//! A hostile component can attack the compiler: with code that takes minutes or gigabytes, or with a defect of the
//! compiler itself. So the host never compiles; it starts itself again as a child with an empty environment, no files
//! but the component and the result, and limits that the child sets on itself before it reads a byte.
//!
//! The child reads the component from its standard input and writes the code to its standard output. It exits with 0;
//! with [`REFUSED`] and the words on standard error; or it is ended by a limit.

use crate::{
    cache::{Cache, Refusal},
    engine,
    error::RuntimeError,
    limits::{self, CompileLimits},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt as _;
use windlass_contract::Digest;

/// The word by which the binary knows that it is the child.
pub const CHILD_ARGUMENT: &str = "__compile";
/// The child's exit code for a component that is refused.
const REFUSED: i32 = 3;
/// The child's exit code for bytes of another digest.
const OTHER_BYTES: i32 = 4;
/// Bytes of the child's words that are read; a compiler's message is a line.
const WORDS_BYTES: u64 = 16 << 10;

/// What came of compiling.
#[derive(Debug, Clone, Copy)]
pub struct CompileReport {
    /// Bytes of the component.
    pub bytes: u64,
    /// Bytes of the code.
    pub cwasm_bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// It was there already.
    pub cached: bool,
}

/// Compiles the component at `wasm` into the cache, or finds it there.
pub(crate) async fn compile(
    cache: &Cache,
    program: &Path,
    wasm: &Path,
    digest: Digest,
    limits: &CompileLimits,
) -> Result<CompileReport, RuntimeError> {
    let began = Instant::now();
    let unreadable = |cause| RuntimeError::Component { path: wasm.to_owned(), cause };
    let input = File::open(wasm).map_err(unreadable)?;
    let bytes = input.metadata().map_err(unreadable)?.len();
    if bytes > limits::COMPONENT_BYTES {
        return Err(RuntimeError::TooLarge { path: wasm.to_owned(), bytes });
    }
    if let Ok(found) = cache.find(digest) {
        let cwasm_bytes = std::fs::metadata(found).map_err(|cause| cache.error(cause))?.len();
        return Ok(CompileReport { bytes, cwasm_bytes, duration: began.elapsed(), cached: true });
    }
    if let Some(refusal) = cache.refused(digest) {
        return Err(refusal.into_error(digest));
    }
    let output = cache.temporary().map_err(|cause| cache.error(cause))?;
    let broken = |words: String| RuntimeError::Compiler { program: program.to_owned(), words };
    let mut child = tokio::process::Command::new(program)
        .arg(CHILD_ARGUMENT)
        .arg(digest.to_string())
        .arg(limits.memory_bytes.to_string())
        .arg(limits.cpu.as_secs().max(1).to_string())
        .env_clear()
        .stdin(input)
        .stdout(output.reopen().map_err(|cause| cache.error(cause))?)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| broken(format!("it cannot be started: {cause}")))?;
    let mut words = Vec::new();
    let stderr = child.stderr.take();
    let ended = tokio::time::timeout(limits.wall, async {
        if let Some(stderr) = stderr {
            stderr.take(WORDS_BYTES).read_to_end(&mut words).await?;
        }
        child.wait().await
    })
    .await;
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    let refusal = match ended {
        Ok(Ok(status)) if status.success() => {
            let cwasm_bytes = cache.keep(digest, output).map_err(|cause| cache.error(cause))?;
            return Ok(CompileReport { bytes, cwasm_bytes, duration: began.elapsed(), cached: false });
        }
        Ok(Ok(status)) if status.code() == Some(OTHER_BYTES) => {
            return Err(RuntimeError::Digest { path: wasm.to_owned(), expected: digest, found: words });
        }
        Ok(Ok(status)) => explain(status, words, limits).map_err(broken)?,
        Ok(Err(cause)) => return Err(broken(format!("it cannot be waited for: {cause}"))),
        // Dropping the child kills it.
        Err(_) => Refusal::Limit(format!("it took longer than {} seconds", limits.wall.as_secs())),
    };
    cache.refuse(digest, &refusal).map_err(|cause| cache.error(cause))?;
    Err(refusal.into_error(digest))
}

/// Why the child ended; `Err` when that says nothing about the component.
fn explain(status: ExitStatus, words: String, limits: &CompileLimits) -> Result<Refusal, String> {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    const SIGXCPU: i32 = 24;
    const SIGXFSZ: i32 = 25;
    let memory = || Refusal::Limit(format!("it needed more than {} of memory", limits::size(limits.memory_bytes)));
    let short_of_memory = ["memory allocation of", "Cannot allocate memory", "os error 12", "os error 11"];
    Ok(match (status.code(), status.signal()) {
        (Some(REFUSED), _) if short_of_memory.iter().any(|sign| words.contains(sign)) => memory(),
        (Some(REFUSED), _) => Refusal::Invalid(words),
        (_, Some(SIGXCPU | SIGKILL)) => {
            Refusal::Limit(format!("it needed more than {} seconds of processor time", limits.cpu.as_secs().max(1)))
        }
        (_, Some(SIGXFSZ)) => {
            Refusal::Limit(format!("its compiled form is larger than {}", limits::size(limits::COMPILED_BYTES)))
        }
        (_, Some(SIGABRT)) | (Some(101), _) if short_of_memory.iter().any(|sign| words.contains(sign)) => memory(),
        (_, Some(SIGSEGV | SIGABRT)) => {
            Refusal::Invalid(format!("the compiler crashed on it {words}").trim().to_owned())
        }
        (Some(101), _) => Refusal::Invalid(format!("the compiler gave up: {words}")),
        _ => return Err(format!("it ended with {status} {words}").trim().to_owned()),
    })
}

/// The child's whole life. `args` are what follows the program's name, with or without the leading `__compile`.
///
/// Gives the exit code. Call it before anything else in `main`: no runtime, no log, no configuration.
pub fn compile_child_main(args: &[String]) -> i32 {
    let args = match args {
        [first, rest @ ..] if first == CHILD_ARGUMENT => rest,
        all => all,
    };
    match child(args) {
        Ok(()) => 0,
        Err((code, words)) => {
            // Nobody is left to tell if this fails.
            let _ = io::stderr().write_all(words.as_bytes());
            code
        }
    }
}

fn child(args: &[String]) -> Result<(), (i32, String)> {
    let misused = |words: &str| (2, format!("{CHILD_ARGUMENT} is how windlass starts its own compiler: {words}"));
    let [digest, memory, cpu] = args else { return Err(misused("it takes a digest and two limits")) };
    let expected: Digest = digest.parse().map_err(|_| misused("no digest"))?;
    let memory: u64 = memory.parse().map_err(|_| misused("no memory limit"))?;
    let cpu: u64 = cpu.parse().map_err(|_| misused("no processor limit"))?;
    for (resource, limit) in
        [(Resource::As, memory), (Resource::Cpu, cpu), (Resource::Fsize, limits::COMPILED_BYTES), (Resource::Core, 0)]
    {
        // The hard limit is the same: nothing that the component makes of this process can raise it again.
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|cause| (1, format!("a limit cannot be set: {cause}")))?;
    }
    let failed = |cause: io::Error| (1, cause.to_string());
    let mut wasm = Vec::new();
    io::stdin().lock().take(limits::COMPONENT_BYTES + 1).read_to_end(&mut wasm).map_err(failed)?;
    let found = Digest::of(&wasm);
    if found != expected {
        return Err((OTHER_BYTES, found.to_string()));
    }
    let engine = engine::compiling().map_err(|error| (1, format!("{error:#}")))?;
    let code = engine.precompile_component(&wasm).map_err(|error| (REFUSED, one_line(&format!("{error:#}"))))?;
    io::stdout().lock().write_all(&code).map_err(failed)
}

/// A message of the compiler on one line of bounded length; it may quote the component.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(1000).collect()
}
