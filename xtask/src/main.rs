//! Chores that need code. So far one: `bench`, behind `make bench`.
//!
//! This program is its own compiler: the sandbox starts it again with `__compile`, as it does the `windlass` binary, so a
//! benchmark needs no other program of this repository.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what is measured is printed; that is the purpose")]

mod bench;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Chores that need code.
#[derive(Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure, each figure beside its bare floor from the same run. See docs/benchmarks.md.
    Bench(bench::Options),
    /// Leave runs behind in a home: what the benchmark of a crash starts, and kills.
    #[command(name = "__leave", hide = true)]
    Leave { home: PathBuf },
    /// Answer every request with a file: the bare server beside ours.
    #[command(name = "__answer", hide = true)]
    Answer { file: PathBuf },
}

fn main() -> ExitCode {
    // The compiler's child must stay small: no threads, nothing but the compiler.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == windlass_runtime::CHILD_ARGUMENT) {
        let code = windlass_runtime::compile_child_main(&args);
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let done = match Cli::parse().chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Leave { home } => bench::leave(&home),
        Chore::Answer { file } => bench::answer(&file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
