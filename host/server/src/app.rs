//! The server's parts, and how it starts and ends.

use crate::{
    Problem,
    access::{Access, first_admin, oidc::Providers},
    api,
    board::Board,
    config::Config,
    edge,
    environments::{self, Environments},
    follow::Following,
    idempotency::UnderWay,
    metrics::Metrics,
    plugins::Plugins,
    runs::Runs,
    sequences,
    streams::Streams,
    triggers,
    triggers::Triggers,
    workflows::Workflows,
};
use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::net::TcpListener;
use windlass_capabilities::Vault;
use windlass_driver::Host;
use windlass_package::Home;
use windlass_store::Records;

/// What a server is started with.
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Under which address browsers and other systems reach it, without a slash at its end; that of `listen` if none is given.
    pub public_url: Option<String>,
    /// The user's folder: registries' configuration and the store of plugins.
    pub home: Home,
    /// The folder with `windlass.lock` and the grants.
    pub project: PathBuf,
    /// Everything that carries runs out.
    pub host: Host,
    /// The secrets.
    pub vault: Vault,
}

/// The server's parts. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    public_url: String,
    host: Host,
    vault: Vault,
    records: Records,
    plugins: Arc<Plugins>,
    environments: Environments,
    runs: Runs,
    metrics: Arc<Metrics>,
    board: Board,
    following: Following,
    streams: Streams,
    workflows: Workflows,
    access: Access,
    under_way: UnderWay,
    triggers: Triggers,
}

impl App {
    /// Under which address it is reached.
    pub(crate) fn public_url(&self) -> &str {
        &self.0.public_url
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(crate) fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.0.environments
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.0.runs
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What changes among all runs.
    pub(crate) fn board(&self) -> &Board {
        &self.0.board
    }

    /// What runs tell.
    pub(crate) fn following(&self) -> &Following {
        &self.0.following
    }

    /// The streams that clients read.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    pub(crate) fn workflows(&self) -> &Workflows {
        &self.0.workflows
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn under_way(&self) -> &UnderWay {
        &self.0.under_way
    }

    pub(crate) fn triggers(&self) -> &Triggers {
        &self.0.triggers
    }
}

/// Serves until `stop` comes. `ready` is told the address, and the first administrator's key where one was made.
///
/// # Errors
/// When the records cannot be opened, or the address not be listened at.
pub async fn serve(
    settings: Settings,
    ready: impl FnOnce(SocketAddr, Option<String>),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Problem> {
    let Settings { listen, public_url, home, project, host, vault } = settings;
    let config = Config::read(home.root())?;
    let access = Access::new(Providers::new(config.oidc, home.root())?);
    let records = Records::open(home.root()).await?;
    let listener = TcpListener::bind(listen).await.map_err(|error| Problem::internal(format!("{listen}: {error}")))?;
    let address = listener.local_addr().map_err(Problem::internal)?;
    let plugins = Arc::new(Plugins::new(home, project));
    let metrics = Arc::new(Metrics::new());
    let runs = Runs::new(host.clone(), Arc::clone(&plugins), Arc::clone(&metrics));
    let public_url = public_url.unwrap_or_else(|| format!("http://{address}"));
    let key = first_admin(&records).await?;
    let triggers = Triggers::open(&records).await?;
    let board = Board::new(host.store().clone());
    let following = Following::new(host.store().clone(), runs.clone(), board.clone());
    let app = App(Arc::new(Parts {
        public_url,
        host,
        vault,
        records,
        plugins,
        environments: Environments::default(),
        runs,
        metrics,
        board,
        following,
        streams: Streams::default(),
        workflows: Workflows::new(),
        access,
        under_way: UnderWay::default(),
        triggers,
    }));
    app.runs().take_up_all().await?;
    sequences::forget_unbegun(&app).await?;
    environments::sweep_secrets(&app).await?;
    triggers::start(&app);
    ready(address, key);
    let router = api::router(&app);
    let streams = app.streams().clone();
    let stop = async move {
        stop.await;
        // They would go on for as long as somebody reads them.
        streams.stop();
    };
    let bounds = windlass_serving::Bounds { connections: edge::MAX_CONNECTIONS, grace: Some(edge::GRACE) };
    windlass_serving::serve(listener, router, bounds, stop).await;
    app.triggers().end().await;
    app.runs().end().await;
    app.records().close().await;
    app.host().store().close().await;
    Ok(())
}
