//! Compiling, and the cache of what was compiled.

mod common;

use common::{Guest, Host, words};
use insta::assert_snapshot;
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};
use windlass_contract::{CodedError, Digest};
use windlass_runtime::{CompileLimits, Runtime, Settings};

impl Host {
    /// The cache's file of a component.
    fn cached(&self, wasm: &[u8], ending: &str) -> PathBuf {
        let digest = Digest::of(wasm).hex();
        fs::read_dir(self.folder.path().join("cache"))
            .expect("the cache")
            .map(|entry| entry.expect("an entry").path())
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.starts_with(&digest) && name.ends_with(ending)
            })
            .expect("a file")
    }

    /// The same cache in a process that has loaded nothing yet, and whose compiler is `compiler`.
    fn restart(&self, compiler: PathBuf) -> Runtime {
        Runtime::new(Settings { cache_dir: self.folder.path().join("cache"), compiler, concurrency: 1 })
            .expect("a runtime")
    }
}

fn other() -> Vec<u8> {
    Guest { recover: 1, ..Guest::default() }.build()
}

#[tokio::test]
async fn compiled_once() {
    let host = Host::new(1);
    let wasm = Guest::default().build();
    let (path, digest) = (host.write(&wasm), Digest::of(&wasm));
    let first = host.runtime.compile(&path, digest).await.expect("compiled");
    assert!(!first.cached && first.bytes == wasm.len() as u64 && first.cwasm_bytes > first.bytes);
    // No compiler is started for what is there: this one does not exist.
    let restarted = host.restart("/nowhere".into());
    assert!(restarted.compile(&path, digest).await.expect("found").cached);
    restarted.load(Host::reference(&wasm)).expect("loaded");
}

#[tokio::test]
async fn never_compiled_by_loading() {
    let host = Host::new(1);
    let error = host.runtime.load(Host::reference(&other())).expect_err("nothing there");
    assert_snapshot!(words(&error), @r"
    WL0310 acme:x@0.1.0 is not ready to run: it has not been compiled on this machine for this version of windlass
    help: run `windlass plugin install acme:x@0.1.0`: it verifies and compiles it again
    ");
}

#[tokio::test]
async fn tampered_code_is_a_miss_and_heals() {
    const CHANGED: &str = "its compiled form was changed after it was written, and is not used";
    const INCOMPLETE: &str = "its compiled form is not complete";
    type Tamper = fn(&Host, &[u8]);
    let cases: [(&str, Tamper, &str); 6] = [
        (
            "one bit flipped",
            |host, wasm| {
                let path = host.cached(wasm, "cwasm");
                let mut bytes = fs::read(&path).expect("code");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes).expect("written");
            },
            CHANGED,
        ),
        (
            "cut short",
            |host, wasm| {
                let path = host.cached(wasm, "cwasm");
                let bytes = fs::read(&path).expect("code");
                fs::write(path, &bytes[..bytes.len() - 1]).expect("written");
            },
            CHANGED,
        ),
        ("empty", |host, wasm| fs::write(host.cached(wasm, "cwasm"), "").expect("written"), CHANGED),
        (
            "another component's, with its MAC",
            |host, wasm| {
                for ending in ["cwasm", "mac"] {
                    fs::copy(host.cached(&other(), ending), host.cached(wasm, ending)).expect("copied");
                }
            },
            CHANGED,
        ),
        ("without its MAC", |host, wasm| fs::remove_file(host.cached(wasm, "mac")).expect("removed"), INCOMPLETE),
        (
            "with a MAC that is none",
            |host, wasm| fs::write(host.cached(wasm, "mac"), "zz").expect("written"),
            INCOMPLETE,
        ),
    ];
    let host = Host::new(1);
    let wasm = Guest::default().build();
    host.load(&other()).await.expect("another plugin");
    for (name, tamper, expect) in cases {
        host.runtime.compile(&host.write(&wasm), Digest::of(&wasm)).await.expect("compiled");
        tamper(&host, &wasm);
        let error = host.restart(common::compiler()).load(Host::reference(&wasm)).expect_err(name);
        assert_eq!(error.to_string(), format!("acme:x@0.1.0 is not ready to run: {expect}"), "{name}");
        let healed = host.runtime.compile(&host.write(&wasm), Digest::of(&wasm)).await.expect(name);
        assert!(!healed.cached, "{name}");
        host.restart(common::compiler()).load(Host::reference(&wasm)).expect(name);
    }
}

#[tokio::test]
async fn code_of_another_machine_or_engine_is_a_miss() {
    let (here, there) = (Host::new(1), Host::new(1));
    let wasm = Guest::default().build();
    here.load(&wasm).await.expect("a plugin");
    there.load(&wasm).await.expect("a plugin");
    for ending in ["cwasm", "mac"] {
        fs::copy(there.cached(&wasm, ending), here.cached(&wasm, ending)).expect("copied");
    }
    let error = here.restart(common::compiler()).load(Host::reference(&wasm)).expect_err("another key");
    assert!(error.to_string().ends_with("was changed after it was written, and is not used"), "{error}");
    // Another engine's code has another name, so it is not even looked at.
    for ending in ["cwasm", "mac"] {
        let path = there.cached(&wasm, ending);
        let name = format!("{}-0123456789abcdef.{ending}", Digest::of(&wasm).hex());
        fs::rename(&path, path.with_file_name(name)).expect("renamed");
    }
    let error = there.restart(common::compiler()).load(Host::reference(&wasm)).expect_err("another engine");
    assert!(error.to_string().ends_with("for this version of windlass"), "{error}");
}

#[tokio::test]
async fn a_component_that_is_not_the_one() {
    let host = Host::new(1);
    let wasm = Guest::default().build();
    let path = host.write(&wasm);
    let mut changed = wasm.clone();
    changed.push(0);
    fs::write(&path, changed).expect("written");
    let error = host.runtime.compile(&path, Digest::of(&wasm)).await.expect_err("changed");
    assert_eq!(error.code().0, 306);
    assert!(error.to_string().contains("is not the one that was asked for"), "{error}");
}

#[tokio::test]
async fn a_component_too_large() {
    let host = Host::new(1);
    let path = host.folder.path().join("large.wasm");
    fs::File::create(&path).expect("a file").set_len((64 << 20) + 1).expect("a length");
    let error = host.runtime.compile(&path, Digest::of(b"")).await.expect_err("too large");
    assert!(error.to_string().ends_with("has 64.0 MiB, more than the 64 MiB that a component may have"), "{error}");
}

#[tokio::test]
async fn what_is_no_component_is_refused_and_remembered() {
    let host = Host::new(1);
    let garbage = b"garbage";
    let path = host.write(garbage);
    let error = host.runtime.compile(&path, Digest::of(garbage)).await.expect_err("garbage");
    assert_eq!(error.code().0, 307, "{error}");
    let again = host.restart("/nowhere".into()).compile(&path, Digest::of(garbage)).await.expect_err("remembered");
    assert_eq!(again.to_string(), error.to_string());
    let module = wat::parse_str("(module)").expect("a module");
    let error = host.runtime.compile(&host.write(&module), Digest::of(&module)).await.expect_err("a module");
    assert_eq!(error.code().0, 307, "{error}");
}

/// A function of straight code that the compiler has to hold as a whole.
fn bomb(lines: usize) -> Vec<u8> {
    let line = "(i32.store (local.get 0) (i32.mul (i32.add (i32.load (local.get 1)) (local.get 0)) (i32.const 3)))\n";
    let run = line.repeat(lines);
    Guest { run: &run, ..Guest::default() }.build()
}

#[tokio::test]
async fn a_bomb_for_the_compiler() {
    let host = Host::new(1);
    let wasm = bomb(100_000);
    let (path, digest) = (host.write(&wasm), Digest::of(&wasm));
    let roomy = CompileLimits::default();

    let wall = CompileLimits { wall: Duration::from_millis(50), ..roomy };
    let error = host.runtime.compile_within(&path, digest, &wall).await.expect_err("no time");
    assert!(error.to_string().ends_with("was stopped: it took longer than 0 seconds"), "{error}");
    fs::remove_file(host.cached(&wasm, "refused")).expect("forgotten");

    let memory = CompileLimits { memory_bytes: 128 << 20, ..roomy };
    let error = host.runtime.compile_within(&path, digest, &memory).await.expect_err("no memory");
    assert!(error.to_string().ends_with("was stopped: it needed more than 128 MiB of memory"), "{error}");
    fs::remove_file(host.cached(&wasm, "refused")).expect("forgotten");

    let cpu = CompileLimits { cpu: Duration::from_secs(1), ..roomy };
    let error = host.runtime.compile_within(&path, digest, &cpu).await.expect_err("no processor");
    assert!(error.to_string().ends_with("was stopped: it needed more than 1 seconds of processor time"), "{error}");
    // It is not tried again with every run.
    let again = host.restart("/nowhere".into()).compile(&path, digest).await.expect_err("remembered");
    assert_eq!(again.to_string(), error.to_string());
}

#[test]
fn a_folder_that_others_can_write_to() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let settings = Settings { cache_dir: folder.path().to_owned(), compiler: common::compiler(), concurrency: 1 };
    let Err(error) = Runtime::new(settings) else { panic!("a shared folder was taken") };
    assert_eq!(error.code().0, 303, "{error}");
}

#[tokio::test]
async fn the_compiler_gets_nothing_of_the_hosts_environment() {
    use std::io::Write as _;
    let host = Host::new(1);
    let script = host.folder.path().join("compiler");
    let mut file = fs::File::create(&script).expect("a script");
    // `env` without arguments prints the environment; shells add PWD, SHLVL and _ themselves.
    writeln!(file, "#!/bin/sh\n/usr/bin/env | /bin/grep -v -e ^PWD= -e ^SHLVL= -e ^_= >&2\nexit 3").expect("written");
    drop(file);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("a mode");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "the canary: this process has an environment");
    let wasm = Guest::default().build();
    let error = host.restart(script).compile(&host.write(&wasm), Digest::of(&wasm)).await.expect_err("a script");
    assert!(error.to_string().ends_with("cannot be compiled: "), "{error}");
}
