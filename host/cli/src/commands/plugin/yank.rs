//! `windlass plugin yank` and `unyank`.

use super::super::print_json;
use crate::{
    app::App,
    exit::{Exit, UsageError, coded},
    style,
};
use windlass_contract::SecretValue;
use windlass_package::{Request, client::Registry, resolve::exact_version};

/// `reason`: none takes a yank back.
pub(super) async fn yank(
    app: &App,
    text: &str,
    reason: Option<&str>,
    token: Option<SecretValue>,
    json: bool,
) -> anyhow::Result<Exit> {
    let exact = text.replacen('@', "@=", 1);
    let request: Option<Request> = exact.parse().ok();
    let named = request.and_then(|it| Some((exact_version(&it.requirement)?, it.name)));
    let Some((version, name)) = named else {
        return Err(UsageError(format!("{text:?} is not NAME@VERSION, such as acme:echo@1.2.3")).into());
    };
    let url = app.home.registry_of(name.namespace()).map_err(coded)?;
    let token = match token {
        Some(token) => Some(token),
        None => app.home.token(&url).map_err(coded)?,
    };
    let registry = Registry::new(&app.home, url, token).map_err(coded)?;
    registry.yank(&name, &version, reason).await.map_err(coded)?;
    if json {
        let yanked = reason.is_some();
        return print_json(
            &serde_json::json!({ "name": name, "version": version, "yanked": yanked, "reason": reason }),
        );
    }
    let how = match reason {
        Some(_) => "is yanked: it is not chosen any more, and who has it locked keeps it",
        None => "may be chosen again",
    };
    anstream::eprintln!("{} {name}@{version} {how}", style::paint(style::GOOD, "✔"));
    Ok(Exit::Success)
}
