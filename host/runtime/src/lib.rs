//! The only crate that names wasmtime: load, limit, call, explain traps.
