//! The compiling child alone, for the tests of this crate.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = windlass_runtime::compile_child_main(&args);
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
