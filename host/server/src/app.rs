//! The server's parts, and how it starts and ends.

use crate::{
    Problem, access::first_admin, api, environments::Environments, plugins::Plugins, runs::Runs, workflows::Workflows,
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
    workflows: Workflows,
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

    pub(crate) fn workflows(&self) -> &Workflows {
        &self.0.workflows
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
    let records = Records::open(home.root()).await?;
    let listener = TcpListener::bind(listen).await.map_err(|error| Problem::internal(format!("{listen}: {error}")))?;
    let address = listener.local_addr().map_err(Problem::internal)?;
    let plugins = Arc::new(Plugins::new(home, project));
    let runs = Runs::new(host.clone(), Arc::clone(&plugins));
    let public_url = public_url.unwrap_or_else(|| format!("http://{address}"));
    let key = first_admin(&records).await?;
    let (environments, workflows) = (Environments::default(), Workflows::new());
    let app = App(Arc::new(Parts { public_url, host, vault, records, plugins, environments, runs, workflows }));
    app.runs().take_up_all().await?;
    ready(address, key);
    let router = api::router(&app);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop)
        .await
        .map_err(Problem::internal)?;
    app.runs().end().await;
    app.records().close().await;
    app.host().store().close().await;
    Ok(())
}
