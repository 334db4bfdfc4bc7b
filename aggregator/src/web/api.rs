//! The API's reads.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use protocol::page::{AlertPage, BuildFilter, BuildPage, EventPage, HostPage};
use protocol::{Build, CallPage, HostAnswer, HostCalls, LogPage};
use serde_json::json;
use serde_json::value::RawValue;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::past::has_come;
use super::query::Params;
use crate::history::{self, Moment};
use crate::store::{MAX_BUILDS, MAX_EVENTS, MAX_LINES};

/// Events in one answer unless told.
const DEFAULT_EVENTS: u32 = 100;
/// Log lines in one answer unless told.
const DEFAULT_LINES: u32 = 500;

type Answer<T> = Result<Json<T>, ApiError>;
type PathText = Result<Path<String>, PathRejection>;

/// Builds, newest first, past ones too.
#[utoipa::path(
    get, path = "/api/v1/builds", tag = "builds",
    params(
        ("state" = Option<String>, Query, description = "queued, running, waiting, stalled, completed, failed, cancelled or unknown"),
        ("host" = Option<String>, Query, description = "Name of the host"),
        ("producer" = Option<String>, Query, description = "Name of the producer, e.g. context-foundry"),
        ("project" = Option<String>, Query, description = "Name of the project"),
        ("branch" = Option<String>, Query, description = "Name of the branch"),
        ("q" = Option<String>, Query, description = "Text in id, project, path, session, branch or detail"),
        ("from" = Option<String>, Query, description = "Begun at this time or later: RFC 3339, or a UTC date"),
        ("to" = Option<String>, Query, description = "Begun before this time"),
        ("cost_min" = Option<String>, Query, description = "US dollars, at least; builds whose cost is unknown are left out"),
        ("cost_max" = Option<String>, Query, description = "US dollars, at most; builds whose cost is unknown are left out"),
        ("at" = Option<String>, Query, description = "RFC 3339 time: the builds as they were when everything committed by then was known, their `seq` null; a page may be shorter than asked for although `next` is not null. A time to come is refused"),
        ("limit" = Option<u32>, Query, description = "Builds in the answer, 1 to 200; 50 unless told"),
        ("cursor" = Option<String>, Query, description = "`next` of the answer before"),
    ),
    responses(
        (status = 200, description = "A page of builds", body = BuildPage),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 410, description = "The events that tell how it was then are past retention", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn builds(State(app): State<App>, uri: Uri) -> Result<Response, ApiError> {
    let known = [
        "state", "host", "producer", "project", "branch", "q", "from", "to", "cost_min",
        "cost_max", "at", "limit", "cursor",
    ];
    let params = Params::read(&uri, &known)?;
    let filter = BuildFilter {
        state: params.text("state"),
        host: params.text("host"),
        producer: params.text("producer"),
        project: params.text("project"),
        branch: params.text("branch"),
        q: params.text("q"),
        from: params.text("from"),
        to: params.text("to"),
        cost_min: params.text("cost_min"),
        cost_max: params.text("cost_max"),
        at: params.text("at"),
        limit: params.number("limit", 1..=MAX_BUILDS)?,
        cursor: params.text("cursor"),
    };
    let is_past = filter.at.is_some();
    let page = app.builds(&filter).await?;
    if !is_past {
        return Ok(Json(page).into_response());
    }
    let builds: Vec<Members> = page.builds.iter().map(past_members).collect();
    Ok(Json(json!({ "builds": builds, "next": page.next })).into_response())
}

/// One build as it is now, or as it was.
#[utoipa::path(
    get, path = "/api/v1/builds/{id}", tag = "builds",
    params(
        ("id" = String, Path, description = "Id of the build"),
        ("at" = Option<String>, Query, description = "RFC 3339 time: the build as it was when everything committed by then was known; its `seq` is null"),
    ),
    responses(
        (status = 200, description = "The build", body = Build),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 404, description = "There is no such build, or it had not begun", body = ErrorBody),
        (status = 410, description = "The events that tell how it was are past retention", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn build(State(app): State<App>, id: PathText, uri: Uri) -> Answer<Members> {
    let params = Params::read(&uri, &["at"])?;
    let Some(at) = params.moment("at")? else {
        return Ok(Json(members(&find(&app, id).await?)));
    };
    has_come(at)?;
    let id = build_id(id)?;
    match app.ask(history::build_at(&app.store, &id, at)).await? {
        Moment::Was(build) => Ok(Json(past_members(&build))),
        Moment::NoBuild => Err(ApiError::build_not_found()),
        Moment::NotYet => Err(ApiError::not_yet()),
        Moment::Forgotten => Err(ApiError::forgotten()),
    }
}

/// The members of an object as they are spelled. Not a `Value`, where an amount of money is a double.
type Members = BTreeMap<String, Box<RawValue>>;

fn members(build: &Build) -> Members {
    // A struct with text keys is always an object.
    serde_json::to_string(build)
        .and_then(|text| serde_json::from_str(&text))
        .unwrap_or_default()
}

/// A build at a moment, which has no place in the order of changes.
fn past_members(build: &Build) -> Members {
    let mut build = members(build);
    build.insert("seq".to_owned(), RawValue::NULL.to_owned());
    build
}

/// What was observed of a build, oldest first.
#[utoipa::path(
    get, path = "/api/v1/builds/{id}/events", tag = "builds",
    params(
        ("id" = String, Path, description = "Id of the build"),
        ("after" = Option<i64>, Query, description = "`next` of the answer before"),
        ("limit" = Option<u32>, Query, description = "Events in the answer, 1 to 500; 100 unless told"),
    ),
    responses(
        (status = 200, description = "A page of events", body = EventPage),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 404, description = "There is no such build", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn events(State(app): State<App>, id: PathText, uri: Uri) -> Answer<EventPage> {
    let params = Params::read(&uri, &["after", "limit"])?;
    let after = params.number("after", 0..=i64::MAX)?;
    let limit = params
        .number("limit", 1..=MAX_EVENTS)?
        .unwrap_or(DEFAULT_EVENTS);
    let id = build_id(id)?;
    let page = app.ask(app.store.events(&id, after, limit)).await?;
    if page.events.is_empty() {
        // No events may also mean no build.
        known(&app, &id).await?;
    }
    Ok(Json(page))
}

/// The lines of a build's log, oldest first.
#[utoipa::path(
    get, path = "/api/v1/builds/{id}/logs", tag = "builds",
    description = "Lines of the log files of the build's producer, or of what its runner's programs print, bounded: the \
                   oldest give way and are counted in `dropped`. Secrets are masked. Empty where texts may not leave the host.",
    params(
        ("id" = String, Path, description = "Id of the build"),
        ("after" = Option<i64>, Query, description = "`next` of the answer before, or the number of any line"),
        ("limit" = Option<u32>, Query, description = "Lines in the answer, 1 to 1000; 500 unless told"),
        ("last" = Option<u8>, Query, description = "1: the newest `limit` lines instead of those after `after`"),
    ),
    responses(
        (status = 200, description = "A page of lines", body = LogPage),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 404, description = "There is no such build", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn logs(State(app): State<App>, id: PathText, uri: Uri) -> Answer<LogPage> {
    let params = Params::read(&uri, &["after", "limit", "last"])?;
    let after = params.number("after", 0..=i64::MAX)?;
    let limit = params
        .number("limit", 1..=MAX_LINES)?
        .unwrap_or(DEFAULT_LINES);
    let last = params.flag("last")?;
    let id = build_id(id)?;
    let page = app.ask(app.store.log(&id, after, limit, last)).await?;
    if page.lines.is_empty() {
        // No lines may also mean no build.
        known(&app, &id).await?;
    }
    Ok(Json(page))
}

/// All hosts whose agents were ever heard, by name.
#[utoipa::path(
    get, path = "/api/v1/hosts", tag = "hosts",
    params(("at" = Option<String>, Query, description = "RFC 3339 time: the hosts as their last change before it left them; `last_seen_at` of one that was up is null, and figures are those of that change")),
    responses(
        (status = 200, description = "The hosts", body = HostPage),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 410, description = "How it was then is past retention", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn hosts(State(app): State<App>, uri: Uri) -> Answer<HostPage> {
    let at = Params::read(&uri, &["at"])?.moment("at")?;
    let hosts = match app.past(at)? {
        Some(at) => app.ask(app.store.hosts_at(at, None)).await?,
        None => app.ask(app.store.hosts()).await?,
    };
    Ok(Json(HostPage { hosts }))
}

/// One host; `state` and what else only an agent tells is null where none was ever heard.
#[utoipa::path(
    get, path = "/api/v1/hosts/{host}", tag = "hosts",
    params(
        ("host" = String, Path, description = "Name of the host"),
        ("at" = Option<String>, Query, description = "RFC 3339 time: the host as it was"),
    ),
    responses(
        (status = 200, description = "The host", body = HostAnswer),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 404, description = "No such host was ever heard of, by an agent or a call, or not by then", body = ErrorBody),
        (status = 410, description = "How it was then is past retention", body = ErrorBody),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn host(State(app): State<App>, name: PathText, uri: Uri) -> Answer<HostAnswer> {
    let at = Params::read(&uri, &["at"])?.moment("at")?;
    let Ok(Path(name)) = name else {
        return Err(ApiError::host_not_found());
    };
    let Some(now) = app.ask(app.store.host(&name)).await? else {
        let called = app.ask(app.store.called_host(&name, app.past(at)?)).await?;
        let called = called.ok_or_else(ApiError::host_not_found)?;
        return Ok(Json(HostAnswer::Calls(Box::new(called))));
    };
    let Some(at) = app.past(at)? else {
        return Ok(Json(HostAnswer::Agent(Box::new(now))));
    };
    let then = app.ask(app.store.hosts_at(at, Some(&name))).await?.pop();
    let then = then.ok_or_else(ApiError::host_not_yet)?;
    Ok(Json(HostAnswer::Agent(Box::new(then))))
}

/// What producers that send have sent since each listener started: what was received and refused
/// last by each route, and why.
#[utoipa::path(
    get, path = "/api/v1/calls", tag = "operation",
    responses(
        (status = 200, description = "This server's routes, then those of the agents that take calls", body = CallPage),
        (status = 503, description = "The database cannot be reached", body = ErrorBody),
    ),
)]
pub(super) async fn calls(State(app): State<App>, uri: Uri) -> Answer<CallPage> {
    Params::read(&uri, &[])?;
    let hosts = app.ask(app.store.hosts()).await?;
    let calls = |host: protocol::Host| {
        Some(HostCalls {
            host: host.name,
            state: host.state,
            calls: host.calls?,
        })
    };
    Ok(Json(CallPage {
        server: app.calls.snapshot(),
        hosts: hosts.into_iter().filter_map(calls).collect(),
    }))
}

/// What is wrong with the servers behind this one, or was.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "operation",
    responses((status = 200, description = "Those that go on, then those that are over, newest first", body = AlertPage)),
)]
pub(super) async fn alerts(State(app): State<App>, uri: Uri) -> Answer<AlertPage> {
    Params::read(&uri, &[])?;
    Ok(Json(AlertPage {
        alerts: app.health.alerts.all(),
    }))
}

async fn find(app: &App, id: PathText) -> Result<Build, ApiError> {
    known(app, &build_id(id)?).await
}

async fn known(app: &App, id: &str) -> Result<Build, ApiError> {
    let build = app.ask(app.store.build(id)).await?;
    build.ok_or_else(ApiError::build_not_found)
}

/// Ids are URL-safe; anything else never was one.
fn build_id(id: PathText) -> Result<String, ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match id {
        Ok(Path(id)) if id.chars().all(plain) => Ok(id),
        _ => Err(ApiError::build_not_found()),
    }
}
