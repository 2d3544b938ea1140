//! What the publish gate learns of some bytes.

mod common;

use common::Guest;
use windlass_contract::Interface;
use windlass_runtime::inspect;

#[test]
fn a_plugin() {
    let wasm = Guest {
        imports: r#"(import "windlass:plugin/state@0.1.0" "get" (func (param i32 i32 i32)))
            (import "windlass:plugin/log@0.1.0" "group-end" (func))
            (import "wasi:cli/environment@0.2.0" "get-environment" (func (param i32)))
            (import "other:place/thing@1.0.0" "go" (func))"#,
        ..Guest::default()
    }
    .build();
    let found = inspect(&wasm).expect("a plugin");
    assert_eq!(found.imports, [Interface::Log, Interface::State].into());
    assert_eq!(found.size, wasm.len() as u64);
    insta::assert_snapshot!(format!("{:#?}", (&found.kinds, &found.wasi, &found.unknown_imports, &found.contract.to_string(), &found.exports)), @r#"
    (
        {
            Step,
        },
        [
            "wasi:cli/environment@0.2.0",
        ],
        [
            "`other:place/thing@1.0.0`: a plugin imports interfaces of the contract and of WASI only",
        ],
        "0.1.0",
        [
            "windlass:plugin/step@0.1.0",
        ],
    )
    "#);
}

/// `containers` brings the types of `artifacts` and `secrets` along; only what can be called is a permission.
#[test]
fn types_alone_are_no_permission() {
    let save = r#"(import "windlass:plugin/containers@0.1.0" "[method]container.save" (func (param i32 i32 i32 i32 i32 i32)))"#;
    let wasm = Guest { imports: save, ..Guest::default() }.build();
    let text = wasm.windows(30).any(|bytes| bytes == b"windlass:plugin/artifacts@0.1.");
    assert!(text, "the component imports the type");
    assert_eq!(inspect(&wasm).expect("a plugin").imports, [Interface::Containers].into());
}

#[test]
fn what_is_no_plugin() {
    let check = |wasm: &[u8], expect: &str| assert_eq!(inspect(wasm).expect_err(expect).to_string(), expect);
    check(b"", "it is not WebAssembly: it does not begin as such a file does");
    check(b"#!/bin/sh", "it is not WebAssembly: it does not begin as such a file does");
    check(b"\0asm\xff\xff", "it is not a valid component for this host: unexpected end-of-file");
    check(&wat::parse_str("(module)").expect("a module"), "it is a core module, not a component");
    check(
        &wat::parse_str("(component)").expect("a component"),
        "it is a component, but not a plugin: it exports nothing",
    );
    let elsewhere = common::component("elsewhere", r#"(module (func (export "other:place/thing@1.0.0#go")))"#);
    check(&elsewhere, "it is a component, but not a plugin: it exports other:place/thing@1.0.0");
    let threads = wat::parse_str("(component (core module (memory 1 1 shared)))").expect("a component");
    check(&threads, "it is not a valid component for this host: threads must be enabled for shared memories");
    let future =
        wat::parse_str(r#"(component (instance (export "windlass:plugin/step@0.9.0")))"#).expect("a component");
    check(&future, "it is built for windlass:plugin@0.9.0, and this host offers 0.1.0");
    let mut cut = Guest::default().build();
    cut.truncate(cut.len() / 2);
    assert!(matches!(inspect(&cut), Err(windlass_runtime::InspectError::Invalid(_))));
}
