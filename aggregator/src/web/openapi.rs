//! The API's description, made from the types that are served.

mod producers;

use axum::Json;
use axum::http::Uri;
use serde_json::Value;
use utoipa::OpenApi;

use super::error::{ApiError, ErrorBody};
use super::query::Params;
use super::{api, costs, health, stream};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Phaseline",
        description = "Builds on many hosts, as they are now and as they were. Times are RFC 3339 UTC with \
                       milliseconds, money is US dollars, and unknown is null.",
    ),
    paths(
        api::builds, api::build, api::events, api::logs, api::hosts, api::host, api::alerts, api::calls,
        costs::costs, costs::budgets,
        stream::upgrade, health::live, health::ready, health::metrics, document,
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "builds", description = "Runs of producers"),
        (name = "costs", description = "What builds cost"),
        (name = "hosts", description = "Machines with an agent"),
        (name = "stream", description = "Changes as they happen"),
        (name = "operation", description = "For those who run it"),
    ),
)]
struct Described;

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub(super) async fn document(uri: Uri) -> Result<Json<Value>, ApiError> {
    Params::read(&uri, &[])?;
    Ok(Json(described()))
}

pub(super) fn described() -> Value {
    // A struct with text keys is always an object.
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    producers::add(&mut document);
    document
}
