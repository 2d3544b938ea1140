//! How long it takes to load a pipeline of 10,000 steps, which is as many as there may be: in a chain, fanned out from one
//! step, in layers, and in layers whose steps read each other's outputs.
//!
//! `cargo bench -p windlass-manifest`; the promise is 300 ms (docs/benchmarks.md).

#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::{fmt::Write as _, hint::black_box};
use windlass_contract::{Digest, EffectClass, PluginRef, StepType};
use windlass_manifest::{Catalogue, InstalledStep, MAX_STEPS, Source, load};

/// How many steps a layer has.
const WIDTH: usize = 100;

fn catalogue() -> Catalogue {
    let plugin = PluginRef {
        name: "bench:shell".parse().expect("a plugin name"),
        version: "0.1.0".parse().expect("a version"),
        digest: Digest::of(b"bench"),
    };
    let step = StepType {
        name: "step.sh".to_owned(),
        summary: String::new(),
        docs: String::new(),
        effect: EffectClass::Idempotent,
        config_schema: json!({
            "type": "object",
            "required": ["run"],
            "properties": {
                "image": { "type": "string", "x-windlass-template": "strict" },
                "run": { "type": "string" },
                "env": { "type": "object", "additionalProperties": { "type": "string", "x-windlass-secret": true } },
                "memory_mib": { "type": "integer", "minimum": 4 },
                "timeout": { "type": "string", "x-windlass-timeout": true },
            },
        }),
        output_schema: json!({ "type": "object", "additionalProperties": false, "properties": {
            "exit_code": { "type": "integer" }, "stdout": { "type": "string" },
        }}),
    };
    Catalogue::new(vec![InstalledStep { plugin, step }])
}

/// A file of as many steps as there may be; `step` writes what the step at an index says beside its name and type.
fn file(step: impl Fn(usize) -> String) -> Source {
    let mut text = "name: bench\nsteps:\n".to_owned();
    for at in 0..MAX_STEPS {
        writeln!(text, "- {{name: s{at}, type: step.sh, {}}}", step(at)).expect("a line");
    }
    Source { name: "bench.yaml".to_owned(), text }
}

fn layered(config: impl Fn(usize) -> String) -> Source {
    file(|at| {
        let needs = match at.checked_sub(WIDTH) {
            None => String::new(),
            Some(before) => format!("s{before}, s{}", at - at % WIDTH - WIDTH + (at + 7) % WIDTH),
        };
        format!("needs: [{needs}], config: {{run: {}}}", config(at))
    })
}

fn bench(criterion: &mut Criterion) {
    let catalogue = catalogue();
    let shapes = [
        ("chain", file(|_| "config: {run: x}".to_owned())),
        ("fan-out", file(|at| format!("needs: [{}], config: {{run: x}}", if at == 0 { "" } else { "s0" }))),
        ("layered", layered(|_| "x".to_owned())),
        (
            "layered and reading",
            layered(|at| match at.checked_sub(WIDTH) {
                None => "x".to_owned(),
                Some(before) => format!("'{{{{ steps.s{before}.outputs.stdout }}}}'"),
            }),
        ),
        (
            "chain and reading the first",
            file(|at| match at {
                0 => "config: {run: x}".to_owned(),
                _ => "if: steps.s0.outputs.exit_code == 0, config: {run: x}".to_owned(),
            }),
        ),
    ];
    let mut group = criterion.benchmark_group("load 10,000 steps");
    group.sample_size(10);
    for (name, source) in &shapes {
        let loaded = load(source, &catalogue);
        assert!(loaded.plan.is_some(), "{name}: {:?}", loaded.diagnostics.first());
        group.bench_function(*name, |bencher| bencher.iter(|| load(black_box(source), &catalogue)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
