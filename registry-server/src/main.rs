//! The `registry-server` binary: `serve`, and `token create`.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use url::Url;
use windlass_contract::CodedError as _;
use windlass_registry_server::{GATES, Registry, RegistryError, Settings, tokens};
use windlass_runtime::{CHILD_ARGUMENT, Runtime};

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
    },
    /// Tokens for publishing
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print it; it is not shown again
    Create {
        /// The folder that holds everything
        #[arg(long, value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
        data: PathBuf,
        /// What to call it
        #[arg(long)]
        name: String,
        /// A namespace that it may publish to; may be given several times
        #[arg(long, required = true)]
        namespace: Vec<String>,
        /// How many days it lives
        #[arg(long, default_value_t = tokens::DEFAULT_DAYS)]
        days: u32,
    },
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == CHILD_ARGUMENT) {
        // The compiler's own process: nothing else may happen in it.
        return ExitCode::from(u8::try_from(windlass_runtime::compile_child_main(&args)).unwrap_or(1));
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse().command) {
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

#[allow(clippy::print_stderr, reason = "the last words of a program that ends")]
fn report(line: &str) {
    eprintln!("{line}");
}

#[allow(clippy::print_stdout, reason = "what a script reads: the token, the address")]
fn answer(line: &str) {
    println!("{line}");
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Token(TokenCommand::Create { data, name, namespace, days }) => {
            answer(&tokens::Tokens::new(&data).create(&name, &namespace, days)?);
            Ok(())
        }
        Command::Serve { data, listen, public_url } => {
            tokio::runtime::Runtime::new().context("no threads")?.block_on(serve(data, listen, public_url))
        }
    }
}

async fn serve(data: PathBuf, listen: SocketAddr, public: Option<Url>) -> anyhow::Result<()> {
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
    let registry = Registry::open(Settings { data, public: public.clone(), components: Arc::new(components) })?;
    answer(&format!("registry-server listens on http://{local}, known as {public}"));
    axum::serve(listener, registry.router()).with_graceful_shutdown(interrupted()).await?;
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
