//! The routes, and the way of every call: may it come in, is it understood, is it safe.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post};
use protocol::Timestamp;

use crate::admit::Admission;
use crate::answer::{Refused, ok};
use crate::producers::{Body, Read, adw, claude_code, cloud_events, context_foundry, openbuilder};
use crate::status::Status;
use crate::{MAX_BODY, NotKept, Sink};

/// Where a caller on another machine names its host.
const HOST_HEADER: &str = "phaseline-host";
/// Longest host name, characters (RFC 1035 allows 253).
const MAX_HOST: usize = 255;

/// What the routes share.
pub struct Ingest<S> {
    sink: S,
    admission: Admission,
    status: Arc<Status>,
}

impl<S: Sink> Ingest<S> {
    /// Calls that `admission` lets in are kept by `sink` and counted in `status`.
    pub fn new(sink: S, admission: Admission, status: Arc<Status>) -> Self {
        Self {
            sink,
            admission,
            status,
        }
    }
}

/// Every route, as the original producers call it.
pub fn router<S: Sink>(ingest: Ingest<S>) -> Router {
    let taking = |route: &'static str, read: Read| -> MethodRouter<Arc<Ingest<S>>> {
        post(
            async move |State(ingest): State<Arc<Ingest<S>>>, request: Request| {
                take(&ingest, route, read, String::new(), request).await
            },
        )
    };
    let taking_named = |route: &'static str, read: Read| -> MethodRouter<Arc<Ingest<S>>> {
        post(
            async move |State(ingest): State<Arc<Ingest<S>>>,
                        Path(name): Path<String>,
                        request: Request| {
                take(&ingest, route, read, name, request).await
            },
        )
    };
    let mut routes = Router::new();
    for (path, read) in PLAIN {
        routes = routes.route(path, taking(path, *read));
    }
    for (path, read) in NAMED {
        routes = routes.route(path, taking_named(path, *read));
    }
    routes
        .route(
            "/api/runner/process/list",
            get(async || ok(openbuilder::no_processes())),
        )
        .route(
            "/api/runner/process/{id}",
            delete(async || StatusCode::NO_CONTENT),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(ingest))
}

/// Upstream's router mounts its own prefix twice, and its orchestrator calls the single one: both are served.
const PLAIN: &[(&str, Read)] = &[
    ("/api/phase-update", context_foundry::phase_update),
    ("/api/agent-update", context_foundry::agent_update),
    ("/api/v1/adw-phase-update", adw::phase_update),
    ("/api/v1/api/v1/adw-phase-update", adw::phase_update),
    ("/api/v1/observability/task-logs", adw::task_log),
    ("/api/v1/workflow-complete", adw::workflow_complete),
    ("/api/workflow-history/resync", adw::nothing_to_keep),
    ("/api/roi-tracking/executions", adw::nothing_to_keep),
    ("/api/events", claude_code::hook),
    ("/api/build-events", openbuilder::build_event),
    ("/api/runner/events", openbuilder::runner_event),
    ("/api/v1/events", cloud_events::event),
];

const NAMED: &[(&str, Read)] = &[
    ("/api/broadcast/{session_id}", context_foundry::broadcast),
    ("/api/issue/{number}/complete", adw::nothing_to_keep),
    ("/api/runner/process/{id}/health", adw::nothing_to_keep),
];

async fn take<S: Sink>(
    ingest: &Ingest<S>,
    route: &'static str,
    read: Read,
    name: String,
    request: Request,
) -> Response {
    let now = || Timestamp::from_system_time(SystemTime::now());
    match try_to_take(ingest, read, &name, request).await {
        Ok(response) => {
            ingest.status.received(route, now());
            response
        }
        Err(refused) => {
            tracing::info!(route, reason = refused.message, "refused a producer's call");
            ingest.status.refused(route, now(), &refused.message);
            refused.into_response()
        }
    }
}

async fn try_to_take<S: Sink>(
    ingest: &Ingest<S>,
    read: Read,
    name: &str,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let local = ingest
        .admission
        .admit(&parts.method, &parts.headers, &parts.extensions)?;
    let host = match parts.headers.get(HOST_HEADER) {
        Some(value) => Some(host_name(value.to_str().unwrap_or_default())?),
        None if local => None,
        None => {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "host_required",
                "A call from another machine names its host in the header Phaseline-Host.",
            ));
        }
    };
    let bytes = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| {
        Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("A body may have {MAX_BODY} bytes."),
        )
    })?;
    let understood = read(&Body::read(&bytes)?, name)?;
    if let Some(mut call) = understood.call {
        call.host = host;
        ingest.sink.keep(call).await.map_err(|NotKept(reason)| {
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_kept", reason)
        })?;
    }
    Ok(ok(understood.answer))
}

fn host_name(text: &str) -> Result<String, Refused> {
    let plain =
        !text.is_empty() && text.chars().count() <= MAX_HOST && !text.chars().any(char::is_control);
    plain.then(|| text.to_owned()).ok_or_else(|| {
        Refused::new(
            StatusCode::BAD_REQUEST,
            "bad_host",
            "Phaseline-Host must be a host name of at most 255 characters.",
        )
    })
}
