//! `server.toml` in the home: what an operator says in a file, because it is too much for the command line.

use crate::{
    Problem,
    access::oidc::{ProviderConfig, ProviderId},
    problem::Kind,
};
use serde::Deserialize;
use std::{collections::BTreeMap, io, path::Path};

/// The file's name.
const FILE: &str = "server.toml";

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Identity providers by their names in addresses.
    pub(crate) oidc: BTreeMap<ProviderId, ProviderConfig>,
}

impl Config {
    /// Reads the file, if there is one.
    pub(crate) fn read(home: &Path) -> Result<Config, Problem> {
        let path = home.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => return Err(Problem::new(Kind::Invalid, format!("cannot read {}: {error}", path.display()))),
        };
        toml::from_str(&text).map_err(|error| Problem::new(Kind::Invalid, format!("{}: {error}", path.display())))
    }
}
