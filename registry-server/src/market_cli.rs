//! The operator's commands for the market. They work on the data folder, beside a server or without one.

use clap::Subcommand;
use std::path::PathBuf;
use windlass_registry_server::{
    RegistryError,
    accounts::Namespace,
    database::{By, Market as _, Sqlite},
    market::{self, native::source::Source},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import a static index of native plugins: found by search, not installable here
    ///
    /// What was imported before is replaced. Prints what is not valid, and the step types that more than one provides.
    Import {
        /// The folder that holds everything
        #[arg(long, value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
        data: PathBuf,
        /// The folder or address that holds v1/index.json
        #[arg(long, value_name = "DIR|URL")]
        index: Source,
    },
    /// Say who owns a namespace: vouch for it, or take that back
    Verify {
        /// The folder that holds everything
        #[arg(long, value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
        data: PathBuf,
        /// The namespace
        namespace: Namespace,
        /// Take it back
        #[arg(long)]
        withdraw: bool,
    },
    /// Fill the database with plugins that nobody published, for measurements
    #[command(hide = true)]
    SeedBench {
        /// The folder that holds everything
        #[arg(long, value_name = "DIR", env = "WINDLASS_REGISTRY_DATA")]
        data: PathBuf,
        /// How many
        #[arg(long)]
        plugins: usize,
    },
}

impl Command {
    /// Does it, and says what came of it.
    pub(crate) async fn run(self) -> Result<String, RegistryError> {
        match self {
            Command::Import { data, index } => {
                let database = Sqlite::open(&data).await?;
                let report = market::import(&database, &index, &By::operator()).await?;
                Ok(report.to_string())
            }
            Command::Verify { data, namespace, withdraw } => {
                let database = Sqlite::open(&data).await?;
                database.verify(&namespace, !withdraw, &By::operator()).await?;
                let state = if withdraw { "not verified any more" } else { "verified" };
                Ok(format!("{namespace} is {state}"))
            }
            Command::SeedBench { data, plugins } => {
                let database = Sqlite::open(&data).await?;
                database.seed(plugins).await?;
                Ok(format!("{plugins} plugins are there"))
            }
        }
    }
}
