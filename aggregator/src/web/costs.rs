//! What builds cost, by API.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use protocol::page::{BudgetPage, CostFilter, CostPage};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::query::Params;
use crate::budgets;
use crate::store::MAX_ROWS;

/// What builds cost, added up.
#[utoipa::path(
    get, path = "/api/v1/costs", tag = "costs",
    params(
        ("by" = Option<String>, Query, description = "What a row stands for: day (UTC, on which the builds began), host, project, producer, phase, model or build; day unless told"),
        ("from" = Option<String>, Query, description = "Builds begun at this time or later: RFC 3339, or a UTC date"),
        ("to" = Option<String>, Query, description = "Builds begun before this time"),
        ("host" = Option<String>, Query, description = "Name of the host"),
        ("producer" = Option<String>, Query, description = "Name of the producer"),
        ("project" = Option<String>, Query, description = "Name of the project"),
        ("limit" = Option<u32>, Query, description = "Rows in the answer, 1 to 1000; 100 unless told"),
    ),
    responses(
        (status = 200, description = "The sums, exact to the last digit; a build whose cost is unknown is counted and adds nothing", body = CostPage),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn costs(State(app): State<App>, uri: Uri) -> Result<Json<CostPage>, ApiError> {
    let known = ["by", "from", "to", "host", "producer", "project", "limit"];
    let params = Params::read(&uri, &known)?;
    let filter = CostFilter {
        by: params.text("by"),
        from: params.text("from"),
        to: params.text("to"),
        host: params.text("host"),
        producer: params.text("producer"),
        project: params.text("project"),
        limit: params.number("limit", 1..=MAX_ROWS)?,
    };
    Ok(Json(app.ask(app.store.costs(&filter)).await?))
}

/// How much of their budgets projects have spent. Going over one raises an alert and stops nothing.
#[utoipa::path(
    get, path = "/api/v1/budgets", tag = "costs",
    responses(
        (status = 200, description = "The budgets that are set", body = BudgetPage),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn budgets(
    State(app): State<App>,
    uri: Uri,
) -> Result<Json<BudgetPage>, ApiError> {
    Params::read(&uri, &[])?;
    let budgets = app.ask(budgets::all(&app.store, &app.budgets)).await?;
    Ok(Json(BudgetPage { budgets }))
}
