//! The HTTP face. A module for each kind of thing; each gives its routes with their descriptions.

pub(crate) mod access;
mod admin;
mod artifacts;
pub(crate) mod environments;
mod events;
pub(crate) mod gates;
mod hooks;
pub(crate) mod lint;
mod logs;
pub(crate) mod market;
mod openapi;
pub(crate) mod plugins;
mod reports;
pub(crate) mod runs;
pub(crate) mod schemas;
pub(crate) mod secrets;
mod sequences;
mod system;
mod templates;
mod triggers;
mod workflows;

pub(crate) use logs::{LogLineRow, LogMatches, LogPage};
pub use openapi::document;

use crate::{App, Problem, assets, edge, idempotency, problem::Kind};
use axum::{Router, middleware::from_fn_with_state};

/// Everything that is served.
pub(crate) fn router(app: &App) -> Router {
    let routes = openapi::routes()
        .route_layer(from_fn_with_state(app.clone(), idempotency::once))
        .fallback(assets::serve)
        .method_not_allowed_fallback(no_such_method);
    edge::around(app, routes.with_state(app.clone()))
}

async fn no_such_method() -> Problem {
    Problem::new(Kind::Method, "this address does not take this method")
}
