//! The whole URL surface in one place.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tower_http::compression::CompressionLayer;

use super::error::ApiError;
use super::pages::Pages;
use super::{App, api, costs, guard, health, openapi, stream};

/// Everything that is served, with the checks and headers around it.
/// `taking` has the routes of producers that send, which have bodies and rules of their own.
pub(crate) fn router(app: App, taking: Router) -> Router {
    let api = Router::new()
        .route("/builds", get(api::builds))
        .route("/builds/{id}", get(api::build))
        .route("/builds/{id}/events", get(api::events))
        .route("/builds/{id}/logs", get(api::logs))
        .route("/hosts", get(api::hosts))
        .route("/hosts/{host}", get(api::host))
        .route("/alerts", get(api::alerts))
        .route("/calls", get(api::calls))
        .route("/costs", get(costs::costs))
        .route("/budgets", get(costs::budgets))
        .route("/openapi.json", get(openapi::document))
        .layer(from_fn(guard::timeout))
        .route("/stream", get(stream::upgrade))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .fallback(async || ApiError::route_not_found())
        .with_state(app.clone());
    let own = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(app.clone());
    let nothing = || async { ApiError::route_not_found().into_response() };
    let pages = dashboard::router(Pages::new(app.clone()))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn(guard::timeout));
    Router::new()
        .nest("/api/v1", api)
        .route("/api", axum::routing::any(nothing))
        .route("/api/", axum::routing::any(nothing))
        .route("/api/{*rest}", axum::routing::any(nothing))
        .merge(own)
        .merge(pages)
        .layer(CompressionLayer::new())
        .layer(from_fn(guard::no_bodies))
        .merge(taking)
        .layer(from_fn_with_state(app.clone(), guard::known_host))
        .layer(from_fn_with_state(app, guard::headers))
}
