//! What the API says of itself. The router is made of what is described, so nothing is missing.
//!
//! The document is kept in `host/server/openapi.json`, from which the web UI's types are made, and where a change is seen in review.

use super::*;
use axum::{Router, http::header, response::IntoResponse, routing::get};
use std::sync::LazyLock;
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, RefOr, ResponseBuilder,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Windlass",
        description = "Everything that the web UI and the command line do with a Windlass server. Errors are problem details (RFC 9457) with stable codes. Times are milliseconds since 1970 (UTC) where a name ends in `_ms`. A POST with an `Idempotency-Key` may be sent again: it has its effect once, and the same answer for 24 hours."
    ),
    components(schemas(Problem)),
    tags(
        (name = "session", description = "Signing in and out"),
        (name = "users", description = "People and their keys"),
        (name = "workflows", description = "Pipelines that were deployed, and their versions"),
        (name = "runs", description = "Runs: begin, follow, read, stop, repeat"),
        (name = "gates", description = "What waits for people"),
        (name = "triggers", description = "What begins runs by itself: webhooks and schedules"),
        (name = "pipelines", description = "Sequences of templates, as the documented interface has them"),
        (name = "environments", description = "Where is deployed, by which provider"),
        (name = "market", description = "Plugins that can be installed"),
        (name = "plugins", description = "Plugins that are installed, and what they may do"),
        (name = "secrets", description = "Names of secrets; values are only ever written"),
        (name = "system", description = "The server itself"),
    )
)]
struct Api;

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(access::routes())
        .merge(admin::routes())
        .merge(artifacts::routes())
        .merge(environments::routes())
        .merge(events::routes())
        .merge(gates::routes())
        .merge(hooks::routes())
        .merge(lint::routes())
        .merge(logs::routes())
        .merge(market::routes())
        .merge(plugins::routes())
        .merge(reports::routes())
        .merge(runs::routes())
        .merge(schemas::routes())
        .merge(secrets::routes())
        .merge(sequences::routes())
        .merge(system::routes())
        .merge(templates::routes())
        .merge(triggers::routes())
        .merge(workflows::routes())
}

/// The routes, each of which is in the [`document`].
pub(super) fn routes() -> Router<App> {
    let (router, _) = described().split_for_parts();
    router.route("/api/v1/openapi.json", get(serve))
}

/// The document, with a newline at its end.
pub fn document() -> String {
    let (_, mut document) = described().split_for_parts();
    complete(&mut document);
    // Texts and maps with text keys: cannot fail.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// What is the same for all: that every error is a problem, and how callers show who they are. An operation that needs nobody says so
/// by an empty requirement of its own.
fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let key = |name: &str| ApiKeyValue::new(name);
    components.add_security_scheme("bearer", bearer);
    components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key("x-api-key"))));
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(key("windlass_session"))));
    let any = ["bearer", "key", "session"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            operation.security.get_or_insert_with(|| any.to_vec());
            // Functions are named within their module; the whole document needs names of its own.
            let tag = operation.tags.as_ref().and_then(|tags| tags.first().cloned()).unwrap_or_default();
            operation.operation_id = operation.operation_id.take().map(|id| format!("{tag}_{id}"));
            let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
            let problem = ResponseBuilder::new()
                .description("What went wrong")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".to_owned(), RefOr::T(problem));
        }
    }
}

/// `GET /api/v1/openapi.json`.
async fn serve() -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(document);
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}
