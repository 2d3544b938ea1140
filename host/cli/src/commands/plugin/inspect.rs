//! `windlass plugin inspect`.

use super::super::print_json;
use crate::{
    app::App,
    exit::{Exit, coded},
    style,
};
use anyhow::Context as _;
use std::{path::Path, time::Instant};
use windlass_contract::Digest;

pub(super) async fn inspect(app: &App, file: &Path, json: bool) -> anyhow::Result<Exit> {
    let wasm = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = windlass_runtime::inspect(&wasm).map_err(coded)?;
    let runtime = app.runtime()?;
    let began = Instant::now();
    let report = runtime.compile(file, Digest::of(&wasm)).await.map_err(coded)?;
    let compile_ms = if report.cached { report.duration } else { began.elapsed() }.as_millis();
    if json {
        return print_json(&serde_json::json!({
            "digest": Digest::of(&wasm),
            "size": found.size,
            "language": found.language,
            "kinds": found.kinds,
            "contract": found.contract.to_string(),
            "exports": found.exports,
            "permissions": found.imports,
            "wasi": found.wasi,
            "unknown_imports": found.unknown_imports,
            "compile_ms": compile_ms,
            "compiled_size": report.cwasm_bytes,
        }));
    }
    let list = |names: Vec<String>| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let rows = [
        ("digest", Digest::of(&wasm).to_string()),
        ("size", style::size(found.size)),
        ("language", found.language.unwrap_or_else(|| "unknown".to_owned())),
        ("contract", format!("{} {}", windlass_contract::CONTRACT_PACKAGE, found.contract)),
        ("exports", list(found.exports)),
        ("asks for", list(found.imports.iter().filter(|i| !i.always_granted()).map(ToString::to_string).collect())),
        (
            "wasi",
            if found.wasi.is_empty() { "-".to_owned() } else { format!("{} interfaces, all closed", found.wasi.len()) },
        ),
        ("compile", format!("{compile_ms} ms{}", if report.cached { " (when it was compiled)" } else { "" })),
        ("compiled", style::size(report.cwasm_bytes)),
    ];
    let rows: Vec<_> = rows.map(|(name, value)| vec![style::paint(style::FAINT, name), value]).into();
    anstream::print!("{}", style::table(&rows));
    Ok(Exit::Success)
}
