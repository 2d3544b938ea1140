//! The `registry-server` binary: serves a data folder, and is the operator's hand in it.

mod market_cli;
mod operator;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use url::Url;
use windlass_contract::CodedError as _;
use windlass_registry_server::{GATES, Registry, RegistryError, Settings, config::Config, connections};
use windlass_runtime::{CHILD_ARGUMENT, Runtime};

/// How long requests that were begun may take after the process was asked to stop, in seconds.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// The registry for Windlass plugins: OCI distribution, sparse index, publish gate
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a data folder, until interrupted
    Serve {
        /// The folder that holds everything; made if it is not there
        #[arg(long, value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
        data: PathBuf,
        /// Where to listen; port 0 takes a free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7420")]
        listen: SocketAddr,
        /// The address by which clients reach it, when it is not the one it listens on (behind a TLS proxy)
        #[arg(long, value_name = "URL")]
        public_url: Option<Url>,
        /// A file with limits and with the issuers that are believed
        #[arg(long, value_name = "FILE", env = "WINDLASS_REGISTRY_CONFIG")]
        config: Option<PathBuf>,
        /// How the log is written
        #[arg(long, value_enum, default_value_t = LogFormat::Text)]
        log_format: LogFormat,
    },
    #[command(flatten)]
    Operator(operator::Command),
    #[command(flatten)]
    Market(market_cli::Command),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for a person
    Text,
    /// A JSON object a line
    Json,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == CHILD_ARGUMENT) {
        // The compiler's own process: nothing else may happen in it.
        return ExitCode::from(u8::try_from(windlass_runtime::compile_child_main(&args)).unwrap_or(1));
    }
    // Reads FAILPOINTS, which means something in builds for crash tests only.
    let _scenario = fail::FailScenario::setup();
    let command = Cli::parse().command;
    log(matches!(command, Command::Serve { log_format: LogFormat::Json, .. }));
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let coded = error.downcast_ref::<RegistryError>();
            let code = coded.map(|error| format!("{} ", error.code())).unwrap_or_default();
            report(&format!("error: {code}{error:#}"));
            if let Some(help) = coded.and_then(RegistryError::help) {
                report(&format!("help: {help}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // Colours are for a terminal; in a file they are noise.
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    if json {
        log.json().flatten_event(true).init();
    } else {
        log.init();
    }
}

#[allow(clippy::print_stderr, reason = "the last words of a program that ends")]
fn report(line: &str) {
    eprintln!("{line}");
}

#[allow(clippy::print_stdout, reason = "what a script reads: the token, the address")]
fn answer(line: &str) {
    println!("{line}");
}

fn run(command: Command) -> anyhow::Result<()> {
    let threads = tokio::runtime::Runtime::new().context("no threads")?;
    match command {
        Command::Operator(command) => {
            for line in threads.block_on(command.run())? {
                answer(&line);
            }
            Ok(())
        }
        Command::Market(command) => {
            let done = threads.block_on(command.run())?;
            answer(done.trim_end());
            Ok(())
        }
        Command::Serve { data, listen, public_url, config, .. } => {
            threads.block_on(serve(data, listen, public_url, config))
        }
    }
}

/// Raises the limit of open files as far as this process may: each connection is one, and the usual limit is a thousand.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(data: PathBuf, listen: SocketAddr, public: Option<Url>, config: Option<PathBuf>) -> anyhow::Result<()> {
    raise_open_files();
    let config = config.map(|path| Config::load(&path)).transpose()?.unwrap_or_default();
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let local = listener.local_addr()?;
    let public = match public {
        Some(url) => url,
        None => Url::parse(&format!("http://{local}"))?,
    };
    let components = Runtime::new(windlass_runtime::Settings {
        cache_dir: data.join("compiled"),
        compiler: std::env::current_exe().context("cannot find this program")?,
        concurrency: GATES,
    })
    .context("cannot start the sandbox")?;
    let registry =
        Registry::open(Settings { data, public: public.clone(), components: Arc::new(components), config }).await?;
    // Before the jobs, which may end it: who started it waits for this line.
    answer(&format!("registry-server listens on http://{local}, known as {public}"));
    let work = tokio::spawn(registry.clone().work());
    let bounds = windlass_serving::Bounds { connections: connections::MAX_CONNECTIONS, grace: Some(SHUTDOWN) };
    windlass_serving::serve(listener, registry.clone().router(), bounds, async {
        interrupted().await;
        tracing::info!("asked to stop: no new connections");
    })
    .await;
    work.abort();
    registry.close().await;
    Ok(())
}

/// Ends when the process is asked to stop.
async fn interrupted() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM will end this at once");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
