//! `windlass plugin login` and `logout`.

use super::super::{print_json, secret::read_value};
use crate::{
    app::App,
    exit::{Exit, UsageError, coded},
    style,
};
use windlass_contract::SecretValue;
use windlass_package::home::RegistryUrl;

/// The registry that is meant: the one given, else the default one.
fn registry(app: &App, address: Option<&str>) -> anyhow::Result<RegistryUrl> {
    match address {
        Some(address) => {
            address.parse().map_err(|error: windlass_package::PackageError| UsageError(error.to_string()).into())
        }
        None => match app.home.config().map_err(coded)?.registries.default {
            Some(address) => address.parse().map_err(coded),
            None => Err(UsageError("no default registry is configured; name one".to_owned()).into()),
        },
    }
}

pub(super) fn login(app: &App, address: Option<&str>) -> anyhow::Result<Exit> {
    let registry = registry(app, address)?;
    let token = read_value(&format!("token for {registry}"), &format!("windlass plugin login {registry}"))?;
    app.home.keep_token(&registry, &SecretValue::new(token)).map_err(coded)?;
    let words = "the token is kept in credentials.toml in WINDLASS_HOME, which only you can read";
    anstream::eprintln!("{} {words}", style::paint(style::GOOD, "✔"));
    Ok(Exit::Success)
}

pub(super) fn logout(app: &App, address: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    let registry = registry(app, address)?;
    let was_known = app.home.forget_token(&registry).map_err(coded)?;
    if json {
        return print_json(&serde_json::json!({ "registry": registry.to_string(), "forgotten": was_known }));
    }
    match was_known {
        true => anstream::eprintln!("{} the token for {registry} is forgotten", style::paint(style::GOOD, "✔")),
        false => anstream::eprintln!("no token was kept for {registry}"),
    }
    Ok(Exit::Success)
}
