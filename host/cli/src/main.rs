//! The `windlass` command.
//!
//! **Purpose.** Arguments in, text and an exit code out. What is done is done by the crates below; this one only chooses,
//! asks and prints.
//!
//! **Invariants.** Standard output holds what was asked for, standard error what happens meanwhile. `--json` prints one JSON
//! document, or one a line where it is a stream. Colour and progress appear on a terminal only. The exit code says how it
//! ended: see [`exit::Exit`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this crate is the one whose purpose is to print")]

mod app;
mod args;
mod commands;
mod exit;
mod lines;
mod report;
mod style;
mod telemetry;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|each| each.to_string_lossy().into_owned()).collect();
    if args.first().is_some_and(|first| first == windlass_runtime::CHILD_ARGUMENT) {
        // The compiler's own process must stay small: no threads, no logging, nothing but the compiler. It is no command.
        return ExitCode::from(u8::try_from(windlass_runtime::compile_child_main(&args)).unwrap_or(1));
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { exit::Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    style::choose(cli.global.color);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let telemetry = start_telemetry(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(&anyhow::Error::new(error).context("cannot start")),
    };
    let done = runtime.block_on(commands::dispatch(cli));
    drop(runtime);
    telemetry.end();
    match done {
        Ok(exit) => exit.into(),
        Err(error) => exit::fail(&error),
    }
}

fn start_telemetry(cli: &args::Cli) -> telemetry::Telemetry {
    let (format, serves) = match &cli.command {
        args::Command::Server(args) => (args.log_format, true),
        _ => (telemetry::LogFormat::Text, false),
    };
    let default = match (cli.global.verbose, serves) {
        (0, false) => "warn",
        (0, true) | (1, false) => "warn,windlass=info",
        _ => "info,windlass=debug",
    };
    telemetry::start(default, format, serves)
}
