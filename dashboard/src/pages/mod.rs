//! The pages, one file each: the view struct beside its template and the
//! handler that fills it.

mod build;
mod costs;
mod error;
mod history;
mod hosts;
mod live;
pub(crate) mod past;
mod system;

use askama::Template;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use protocol::Timestamp;

use crate::assets;
use crate::source::Source;

/// The whole address space of the pages.
pub(crate) fn routes<S: Source>(source: S) -> Router {
    Router::new()
        .route("/", get(live::show::<S>))
        .route("/builds/{id}", get(build::show::<S>))
        .route("/history", get(history::show::<S>))
        .route("/costs", get(costs::show::<S>))
        .route("/hosts", get(hosts::list::<S>))
        .route("/hosts/{host}", get(hosts::show::<S>))
        .route("/system", get(system::show::<S>))
        .route("/clock", get(clock))
        .merge(assets::routes())
        .fallback(error::not_found)
        .with_state(source)
}

/// What every page has around it.
pub(crate) struct Shell {
    /// In the browser's tab.
    pub(crate) title: String,
    /// Which tab is the current one: `live`, `history`, `costs`, `hosts`, `system`, or none.
    pub(crate) tab: &'static str,
    /// Where the static files are.
    pub(crate) assets: &'static str,
    /// What the page shows includes every change up to here; 0 when it shows none.
    pub(crate) seq: u64,
    /// Server clock, milliseconds since the epoch.
    pub(crate) now_ms: i64,
    /// What was searched for.
    pub(crate) q: String,
    /// Of which moment it is; none for now.
    pub(crate) past: Option<past::PastBar>,
}

impl Shell {
    pub(crate) fn new(title: impl Into<String>, tab: &'static str, now: Timestamp) -> Self {
        Self {
            title: title.into(),
            tab,
            assets: assets::BASE.as_str(),
            seq: 0,
            now_ms: now.as_millis(),
            q: String::new(),
            past: None,
        }
    }
}

/// The server's time, for a browser that measures how far its clock is off.
async fn clock() -> Response {
    let body = format!("{{\"now\":\"{}\"}}", now());
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(std::time::SystemTime::now())
}

/// A page as an answer. Pages are never kept: they are the state of a moment.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(header::CACHE_CONTROL, "no-cache")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "failed to render a page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
