//! Guests that attack the host, each with the words that it ends with.

mod common;

use common::{Guest, HOST, Host, Never, Recorder, ends, ends_with};
use insta::assert_snapshot;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use windlass_contract::{
    Capabilities,
    capability::{Container, ContainerError, ContainerSpec, Containers, LogEntry},
};
use windlass_runtime::{CallLimits, limits};

const LOG: &str = r#"(import "windlass:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;
const SET: &str = r#"(import "windlass:plugin/outputs@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32)))"#;
const STATE: &str = r#"(import "windlass:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32)))"#;

const SOON: Duration = Duration::from_millis(300);

/// What it ends with, and that it took no longer than the deadline and a few ticks on a busy machine.
async fn ends_soon(guest: Guest<'_>, grant: impl FnOnce(&mut Capabilities)) -> String {
    let wasm = guest.build();
    HOST.load(&wasm).await.expect("a plugin");
    let began = Instant::now();
    let words = ends_with(guest, grant, SOON).await;
    assert!(began.elapsed() >= SOON, "it ended before its time: {words}");
    assert!(began.elapsed() < SOON + Duration::from_secs(3), "it ended after {:?}", began.elapsed());
    words
}

// ---- time ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_loop_without_an_end() {
    let guest = Guest { run: "(loop $l (br $l))", ..Guest::default() };
    assert_snapshot!(ends_soon(guest, |_| {}).await, @"WL0323 acme:x@0.1.0 in `run` did not end within 300ms");
}

#[tokio::test]
async fn a_loop_in_start() {
    let items = "(func $spin (loop $l (br $l))) (start $spin)";
    let guest = Guest { items, ..Guest::default() };
    assert_snapshot!(ends_soon(guest, |_| {}).await, @"WL0323 acme:x@0.1.0 in `run` did not end within 300ms");
}

#[tokio::test]
async fn a_loop_in_realloc() {
    let guest = Guest { realloc: "(loop $l (br $l))", ..Guest::default() };
    assert_snapshot!(ends_soon(guest, |_| {}).await, @"WL0323 acme:x@0.1.0 in `run` did not end within 300ms");
}

#[tokio::test]
async fn a_loop_of_short_host_calls() {
    let imports = r#"(import "windlass:plugin/inputs@0.1.0" "is-cancelled" (func $ask (result i32)))"#;
    let guest = Guest { imports, run: "(loop $l (drop (call $ask)) (br $l))", ..Guest::default() };
    assert_snapshot!(ends_soon(guest, |_| {}).await, @"WL0323 acme:x@0.1.0 in `run` did not end within 300ms");
}

#[tokio::test]
async fn a_host_call_without_an_end() {
    let guest = Guest {
        imports: STATE,
        run: "(call $get (i32.const 2048) (i32.const 1) (i32.const 3000))",
        ..Guest::default()
    };
    let words = ends_soon(guest, |grant| grant.state = Some(Arc::new(Never))).await;
    assert_snapshot!(words, @"WL0323 acme:x@0.1.0 in `run` did not end within 300ms");
}

#[tokio::test]
async fn a_dropped_call_frees_its_place() {
    let host = Host::new(1);
    let spin = Guest { run: "(loop $l (br $l))", ..Guest::default() };
    let log = Arc::new(Recorder::default());
    let cancelled = tokio::time::timeout(SOON, host.run(&spin, &log)).await;
    assert!(cancelled.is_err());
    host.run(&Guest::default(), &log).await.result.expect("the one place is free again");
}

// ---- memory --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn memory_summed_over_memories() {
    let guest = Guest {
        items: "(memory $a 0) (memory $b 0) (memory $c 0)",
        run: "(if (i32.eq (memory.grow $a (i32.const 1600)) (i32.const -1)) (then (unreachable)))
              (if (i32.eq (memory.grow $b (i32.const 1600)) (i32.const -1)) (then (unreachable)))
              (if (i32.eq (memory.grow $c (i32.const 1600)) (i32.const -1)) (then (unreachable)))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0322 acme:x@0.1.0 was stopped in `run`: it asked for more than 256 MiB of memory");
}

#[tokio::test]
async fn memory_by_small_steps() {
    let guest = Guest {
        run: "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0322 acme:x@0.1.0 was stopped in `run`: it asked for more than 256 MiB of memory");
}

#[tokio::test]
async fn memory_from_the_beginning() {
    let guest = Guest { pages: 65536, ..Guest::default() };
    let refused = HOST.load(&guest.build()).await.expect_err("4 GiB");
    assert_snapshot!(common::words(&refused), @r"
    WL0311 acme:x@0.1.0 cannot be used: it is over a limit of this host: memory has a minimum byte size of 4294967296 which exceeds the limit of 0x10000000 bytes
    help: install a version of the plugin that this host can run, built for the contract 0.1.0
    ");
}

#[tokio::test]
async fn a_lower_memory_limit_counts() {
    let guest = Guest {
        run: "(if (i32.eq (memory.grow (i32.const 200)) (i32.const -1)) (then (unreachable)))",
        ..Guest::default()
    };
    let capabilities = || Capabilities::none(Arc::new(Recorder::default()));
    HOST.run_with(&guest, capabilities(), CallLimits::default()).await.result.expect("13 MiB of 256");
    let low = CallLimits { memory_bytes: 8 << 20, ..CallLimits::default() };
    let words = HOST.run_with(&guest, capabilities(), low).await.result.expect_err("13 MiB of 8").to_string();
    assert_snapshot!(words, @"acme:x@0.1.0 was stopped in `run`: it asked for more than 8 MiB of memory");
}

#[tokio::test]
async fn a_table_flood() {
    let guest = Guest {
        items: "(table $t 0 funcref) (table $u 0 funcref)",
        run: "(if (i32.eq (table.grow $t (ref.null func) (i32.const 60000)) (i32.const -1)) (then (unreachable)))
              (if (i32.eq (table.grow $u (ref.null func) (i32.const 60000)) (i32.const -1)) (then (unreachable)))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0322 acme:x@0.1.0 was stopped in `run`: it asked for more than 100000 elements of tables");
}

struct NoContainers;

#[async_trait::async_trait]
impl Containers for NoContainers {
    async fn start(&self, _: ContainerSpec) -> Result<Arc<dyn Container>, ContainerError> {
        Err(ContainerError::EngineUnavailable("none".into()))
    }
}

const SPEC: &str = r#"
    (import "windlass:plugin/containers@0.1.0" "[constructor]container-spec" (func $spec (param i32 i32) (result i32)))
    (import "windlass:plugin/containers@0.1.0" "[method]container-spec.env" (func $env (param i32 i32 i32 i32 i32)))"#;

#[tokio::test]
async fn a_handle_flood() {
    let guest = Guest {
        imports: SPEC,
        run: "(loop $l (drop (call $spec (i32.const 2048) (i32.const 1))) (br $l))",
        ..Guest::default()
    };
    let grant = |grant: &mut Capabilities| grant.containers = Some(Arc::new(NoContainers));
    let words = ends_with(guest, grant, Duration::from_secs(20)).await;
    assert_snapshot!(words, @"WL0322 acme:x@0.1.0 was stopped in `run`: it holds more than 10000 handles");
}

#[tokio::test]
async fn one_specification_without_an_end() {
    let guest = Guest {
        imports: SPEC,
        pages: 100,
        run: "(local.set $i (call $spec (i32.const 2048) (i32.const 1)))
              (loop $l (call $env (local.get $i) (i32.const 2048) (i32.const 1) (i32.const 2048) (i32.const 4000000)) (br $l))",
        ..Guest::default()
    };
    let grant = |grant: &mut Capabilities| grant.containers = Some(Arc::new(NoContainers));
    let words = ends_with(guest, grant, Duration::from_secs(20)).await;
    assert_snapshot!(words, @"WL0322 acme:x@0.1.0 was stopped in `run`: it made the host hold more than 128 MiB in container specifications and requests");
}

#[tokio::test]
async fn a_stack_overflow() {
    let items = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let guest = Guest { items, run: "(drop (call $deep (i32.const 0)))", ..Guest::default() };
    assert_snapshot!(ends(guest).await, @"WL0321 acme:x@0.1.0 trapped in `run`: it used up its stack of 512 KiB, probably by a recursion without an end");
}

// ---- host calls ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_text_of_200_mib_to_the_log() {
    let guest = Guest {
        imports: LOG,
        pages: 3300,
        run: "(call $log (i32.const 1) (i32.const 0) (i32.const 209715200) (i32.const 0) (i32.const 0))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0322 acme:x@0.1.0 was stopped in `run`: it passed more than 16 MiB to the host in one call");
}

#[tokio::test]
async fn a_text_of_1_gib_that_is_not_there() {
    let guest = Guest {
        imports: LOG,
        run: "(call $log (i32.const 1) (i32.const 0) (i32.const 1073741824) (i32.const 0) (i32.const 0))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0325 acme:x@0.1.0 in `run` does not keep to the plugin contract: string pointer/length out of bounds of memory");
}

#[tokio::test]
async fn a_list_of_13_million_empty_texts() {
    let guest = Guest {
        imports: LOG,
        pages: 3300,
        run: "(call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 13000000))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0322 acme:x@0.1.0 was stopped in `run`: it passed more than 16 MiB to the host in one call");
}

#[tokio::test]
async fn a_list_of_100_million_that_is_not_there() {
    let guest = Guest {
        imports: LOG,
        run: "(call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 100000000))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0325 acme:x@0.1.0 in `run` does not keep to the plugin contract: list pointer/length out of bounds of memory");
}

#[tokio::test]
async fn a_case_that_the_type_does_not_have() {
    let guest = Guest { run: "(i32.store8 (i32.const 1024) (i32.const 77))", ..Guest::default() };
    assert_snapshot!(ends(guest).await, @"WL0325 acme:x@0.1.0 in `run` does not keep to the plugin contract: invalid expected discriminant");
}

#[tokio::test]
async fn a_text_that_is_not_utf_8() {
    let guest = Guest {
        run: r#"(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const 1))
              (i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const 2))
              (i32.store16 (i32.const 2048) (i32.const 0xffff))"#,
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"WL0325 acme:x@0.1.0 in `run` does not keep to the plugin contract: invalid utf-8 sequence of 1 bytes from index 0");
}

#[tokio::test]
async fn a_log_flood() {
    let guest = Guest {
        imports: LOG,
        pages: 40,
        run: r#"(memory.fill (i32.const 65536) (i32.const 120) (i32.const 2000000))
              (loop $l
                (call $log (i32.const 1) (i32.const 65536) (i32.const 2000000) (i32.const 0) (i32.const 0))
                (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))"#,
        ..Guest::default()
    };
    let log = Arc::new(Recorder::default());
    HOST.run(&guest, &log).await.result.expect("a flood is dropped, not an error");
    let bytes = *log.bytes.lock().expect("a lock");
    assert!((60 << 20..=65 << 20).contains(&bytes), "{bytes}");
    let entries = log.entries.lock().expect("a lock");
    let Some(LogEntry::Line { message, .. }) = entries.last() else { panic!("{:?}", entries.last()) };
    assert_snapshot!(message, @"37 further log entries with 37.0 MiB were dropped: a plugin may write 64 MiB a step");
    let Some(LogEntry::Line { message, .. }) = entries.first() else { panic!("no line") };
    assert_snapshot!(&message[limits::LOG_LINE_BYTES - 3..], @"xxx … (cut: 951424 more bytes)");
}

#[tokio::test]
async fn an_output_flood() {
    // "a" and "b" are each a text of 2,400,000; the second is one too many.
    let guest = Guest {
        imports: SET,
        pages: 40,
        items: r#"(data (i32.const 2048) "ab")"#,
        run: r#"(memory.fill (i32.const 65536) (i32.const 120) (i32.const 2400000))
              (i32.store8 (i32.const 65536) (i32.const 34)) (i32.store8 (i32.const 2465535) (i32.const 34))
              (call $set (i32.const 2048) (i32.const 1) (i32.const 65536) (i32.const 2400000) (i32.const 3000))
              (if (i32.load8_u (i32.const 3000)) (then (unreachable)))
              (call $set (i32.const 2049) (i32.const 1) (i32.const 65536) (i32.const 2400000) (i32.const 3000))
              (if (i32.eqz (i32.load8_u (i32.const 3000))) (then (unreachable)))
              ;; fails with the words of the refusal: results count all the same
              (i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const 1))
              (i32.store (i32.const 1032) (i32.load (i32.const 3008))) (i32.store (i32.const 1036) (i32.load (i32.const 3012)))"#,
        ..Guest::default()
    };
    let report = HOST.run(&guest, &Arc::new(Recorder::default())).await;
    assert_eq!(report.outputs.keys().collect::<Vec<_>>(), ["a"]);
    assert_snapshot!(report.result.expect_err("refused"), @"the results of a step have at most 4 MiB; larger data belongs in an artifact");
}

// ---- traps ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn traps_in_words() {
    let check = async |run: &str, expect: &str| {
        let words = ends(Guest { items: "(table $t 1 funcref) (type $f (func))", run, ..Guest::default() }).await;
        assert_eq!(words, format!("WL0321 acme:x@0.1.0 trapped in `run`: {expect}"));
    };
    check(
        "(unreachable)",
        "it gave up (`unreachable`): a panic, a failed assertion or an abort; its last log lines may say why",
    )
    .await;
    check("(drop (i32.load (i32.const -8)))", "out of bounds memory access: it read or wrote outside its memory").await;
    check("(drop (i32.div_s (i32.const 1) (local.get $i)))", "integer divide by zero").await;
    check(
        "(call_indirect $t (type $f) (i32.const 0))",
        "it called through a function pointer that is not one (uninitialized element)",
    )
    .await;
}

#[tokio::test]
async fn a_trap_tells_where_and_what_was_said() {
    let guest = Guest {
        imports: LOG,
        items: r#"(data (i32.const 2048) "about to fall")
            (func $acme::inner (unreachable)) (func $_ZN4acme5outer17h0123456789abcdefE (call $acme::inner))"#,
        run: "(call $log (i32.const 1) (i32.const 2048) (i32.const 13) (i32.const 0) (i32.const 0))
              (call $_ZN4acme5outer17h0123456789abcdefE)",
        ..Guest::default()
    };
    let error = HOST.run(&guest, &Arc::new(Recorder::default())).await.result.expect_err("a trap");
    let windlass_runtime::CallError::Trap(report) = error else { panic!("{error}") };
    assert_eq!(report.log, ["about to fall"]);
    assert_eq!(report.place.plugin.digest, windlass_contract::Digest::of(&guest.build()));
    assert_snapshot!(report.frames.join("\n"), @r"
    acme::inner
    acme::outer
    run
    ");
}

// ---- what was not granted ------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_import_that_was_not_granted() {
    let guest = || Guest {
        imports: STATE,
        // It would be seen if it ran: the refusal comes before the component is instantiated.
        items: "(func $spin (loop $l (br $l))) (start $spin)",
        ..Guest::default()
    };
    let error = HOST.run(&guest(), &Arc::new(Recorder::default())).await.result.expect_err("not granted");
    assert_snapshot!(common::words(&error), @r"
    WL0324 acme:x@0.1.0 was not called: it wants to keep a small store of its own between runs (`state`), which was not granted to it
    help: if you trust it with that, run `windlass plugin install acme:x --grant`; if its manifest does not ask for it, tell its author
    ");
}

#[tokio::test]
async fn a_capability_in_describe() {
    let guest = Guest {
        imports: STATE,
        describe: "(call $get (i32.const 2048) (i32.const 1) (i32.const 3000))",
        ..Guest::default()
    };
    let plugin = HOST.load(&guest.build()).await.expect("a plugin");
    let error = HOST.runtime.describe(&plugin).await.expect_err("describe has nothing");
    assert_snapshot!(error, @"acme:x@0.1.0 was not called: it wants to keep a small store of its own between runs (`state`), which was not granted to it");
}

#[tokio::test]
async fn imports_that_no_host_offers() {
    let check = async |import: &str, expect: &str| {
        let imports = format!(r#"(import "{import}" (func))"#);
        let wasm = Guest { imports: &imports, ..Guest::default() }.build();
        assert_eq!(
            HOST.load(&wasm).await.expect_err("unknown").to_string(),
            format!("acme:x@0.1.0 cannot be used: {expect}")
        );
    };
    check(
        r#"other:place/thing@1.0.0" "go"#,
        "it imports `other:place/thing@1.0.0`: a plugin imports interfaces of the contract and of WASI only",
    )
    .await;
    check(
        r#"wasi:http/handler@0.2.0" "handle"#,
        "it imports `wasi:http/handler@0.2.0`: WASI's own HTTP is not offered; use the capability `http` of \
         windlass:plugin, or build without it (for JavaScript, `--disable http fetch-event`)",
    )
    .await;
}

#[tokio::test]
async fn another_world() {
    let wasm = common::component("elsewhere", r#"(module (func (export "other:place/thing@1.0.0#go")))"#);
    assert_snapshot!(HOST.load(&wasm).await.expect_err("no plugin"), @"acme:x@0.1.0 cannot be used: it is neither a step plugin nor a provider: it exports other:place/thing@1.0.0");
}

// ---- WASI ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_hosts_environment_and_arguments_are_not_there() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "the canary: this process has an environment");
    let guest = Guest {
        imports: r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $env (param i32)))
                    (import "wasi:cli/environment@0.2.0" "get-arguments" (func $args (param i32)))"#,
        run: "(call $env (i32.const 3000)) (call $args (i32.const 3008))
              (if (i32.or (i32.load (i32.const 3004)) (i32.load (i32.const 3012))) (then (unreachable)))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"succeeded");
}

#[tokio::test]
async fn no_file_and_no_socket_opens() {
    let guest = Guest {
        imports: r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $dirs (param i32)))
                    (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $tcp (param i32 i32)))"#,
        // No directory; and the answer for a socket is the error 1, access-denied.
        run: "(call $dirs (i32.const 3000)) (call $tcp (i32.const 0) (i32.const 3008))
              (if (i32.load (i32.const 3004)) (then (unreachable)))
              (if (i32.ne (i32.load8_u (i32.const 3008)) (i32.const 1)) (then (unreachable)))
              (if (i32.ne (i32.load8_u (i32.const 3012)) (i32.const 1)) (then (unreachable)))",
        ..Guest::default()
    };
    assert_snapshot!(ends(guest).await, @"succeeded");
}

#[tokio::test]
async fn standard_output_is_the_log() {
    let guest = Guest {
        imports: r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $out (result i32)))
                    (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                        (func $write (param i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 2048) "printed\n")"#,
        run: "(call $write (call $out) (i32.const 2048) (i32.const 8) (i32.const 3000))",
        ..Guest::default()
    };
    let log = Arc::new(Recorder::default());
    HOST.run(&guest, &log).await.result.expect("success");
    let expect = LogEntry::Stdio { stderr: false, bytes: b"printed\n".to_vec() };
    assert_eq!(*log.entries.lock().expect("a lock"), [expect]);
}

// ---- many ----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_waits_and_never_fails() {
    let host = Arc::new(Host::new(4));
    let wasm = Guest { items: "(memory 16) (memory 16) (table 100 funcref)", pages: 16, ..Guest::default() }.build();
    let plugin = host.load(&wasm).await.expect("a plugin");
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (host, plugin) = (host.clone(), plugin.clone());
            tokio::spawn(async move {
                let call = common::call(plugin.plugin(), serde_json::json!({}));
                let capabilities = Capabilities::none(Arc::new(Recorder::default()));
                host.runtime.run(&plugin, &call, capabilities, CallLimits::default()).await.result
            })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("no error");
    }
}
