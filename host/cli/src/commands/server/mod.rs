//! `windlass server`, and what is below it.

mod key;
mod password;
mod user;

use crate::{
    app::{App, whoami},
    args::{Global, ServerArgs, ServerCommand},
    exit::{Exit, problem},
    style,
};
use windlass_server::{Desk, Problem, Settings, serve};

/// The folder of the home that is the server's project where none is named.
const PROJECT: &str = "server";

pub(crate) async fn server(global: &Global, args: ServerArgs) -> anyhow::Result<Exit> {
    let app = App::new(global, None)?;
    match args.command {
        Some(command) => manage(&app, command).await,
        None => start(global, app, args).await,
    }
}

/// What is done to people and keys.
async fn manage(app: &App, command: ServerCommand) -> anyhow::Result<Exit> {
    let desk = Desk::open(app.home.root(), &whoami()).await.map_err(problem)?;
    let done = match command {
        ServerCommand::User(command) => user::user(&desk, command).await,
        ServerCommand::Key(command) => key::key(&desk, command).await,
        ServerCommand::ResetAdmin => reset_admin(&desk).await.map_err(problem),
    };
    desk.close().await;
    done
}

async fn reset_admin(desk: &Desk) -> Result<Exit, Problem> {
    let (name, key) = desk.restore_admin().await?;
    anstream::println!("the key of {name}, shown this once: {}", style::paint(style::STRONG, key));
    Ok(Exit::Success)
}

async fn start(global: &Global, app: App, args: ServerArgs) -> anyhow::Result<Exit> {
    raise_open_files();
    let project = global.project.clone().unwrap_or_else(|| app.home.root().join(PROJECT));
    std::fs::create_dir_all(&project)?;
    let host = app.host().await?;
    let vault = app.vault();
    let ServerArgs { listen, public_url, .. } = args;
    let settings = Settings { listen, public_url, home: app.home, project, host, vault };
    let ready = |address, key: Option<String>| {
        anstream::println!(
            "{} windlass {} · http://{address}",
            style::paint(style::GOOD, "●"),
            env!("CARGO_PKG_VERSION")
        );
        if let Some(key) = key {
            anstream::println!("the first administrator's key, shown this once: {}", style::paint(style::STRONG, key));
        }
    };
    serve(settings, ready, stopped()).await.map_err(problem)?;
    Ok(Exit::Success)
}

/// Raises the limit of open files as far as this process may: each connection and each run is one, and the usual limit is a thousand.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
