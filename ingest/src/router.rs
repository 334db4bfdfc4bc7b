//! The routes, and the way of every call: may it come in, is it understood, is it safe.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admit::{Admission, only_json};
use crate::answer::{Refused, ok};
use crate::lines::{Lines, Output};
use crate::producers::{Body, Read, adw, claude_code, cloud_events, context_foundry, openbuilder};
use crate::runner;
use crate::status::Status;
use crate::{MAX_BODY, NotKept, Sink};

/// Where a caller on another machine names its host.
const HOST_HEADER: &str = "phaseline-host";
/// A body must have come by then: callers send some KiB from nearby.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// What the routes share.
pub struct Ingest<S> {
    pub(crate) sink: S,
    admission: Admission,
    pub(crate) status: Arc<Status>,
    /// The one host that is spoken for; any without.
    host: Option<String>,
    /// Where runners' log lines go; none: they are not kept.
    lines: Option<Arc<Lines>>,
    /// Where runners' connections run, and until when.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) seats: Arc<Semaphore>,
}

impl<S: Sink> Ingest<S> {
    /// Calls that `admission` lets in are kept by `sink` and counted in `status`.
    pub fn new(sink: S, admission: Admission, status: Arc<Status>) -> Self {
        Self {
            sink,
            admission,
            status,
            host: None,
            lines: None,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            seats: Arc::new(Semaphore::new(runner::MAX_CONNECTED)),
        }
    }

    /// Runners' connections are `tasks`, and end with `stop`.
    #[must_use]
    pub fn on(self, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            tasks,
            stop,
            ..self
        }
    }

    /// What runners' programs print is kept as log lines.
    #[must_use]
    pub fn with_lines(self, lines: Arc<Lines>) -> Self {
        Self {
            lines: Some(lines),
            ..self
        }
    }

    /// Takes output of a runner's program, and counts it.
    pub(crate) fn output(&self, route: &'static str, host: Option<&str>, output: &Output) {
        let taken = self
            .lines
            .as_ref()
            .is_some_and(|lines| lines.take(host, output));
        match taken {
            true => self.status.received(route),
            false => self.status.ignored(route),
        }
    }

    /// Whoever sent a project's output is gone.
    pub(crate) fn output_ends(&self, host: Option<&str>, project: &str) {
        if let Some(lines) = &self.lines {
            lines.end(host, project);
        }
    }

    /// Only calls of this host are taken.
    #[must_use]
    pub fn of_host(self, host: &str) -> Self {
        Self {
            host: Some(host.to_owned()),
            ..self
        }
    }

    /// Lets a request pass, with the host that it names.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<String>, Refused> {
        let local = self.admission.admit(headers, extensions)?;
        let bad = |code, message: String| Err(Refused::new(StatusCode::BAD_REQUEST, code, message));
        match (headers.get(HOST_HEADER), &self.host) {
            (Some(value), own) => {
                let name = value.to_str().unwrap_or_default();
                if !protocol::host::is_name(name) {
                    let expected = protocol::host::NAME_EXPECTED;
                    return bad("bad_host", format!("Phaseline-Host must have {expected}."));
                }
                if own.as_ref().is_some_and(|own| own != name) {
                    return bad(
                        "other_host",
                        "The agent here takes calls of its own host only.".to_owned(),
                    );
                }
                Ok(Some(name.to_owned()))
            }
            (None, Some(_)) => Ok(None),
            (None, None) if local => Ok(None),
            (None, None) => bad(
                "host_required",
                "A call from another machine names its host in the header Phaseline-Host."
                    .to_owned(),
            ),
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
    for (method, path, answer) in ASKED {
        routes = routes.route(path, asked(*method, path, *answer));
    }
    routes
        .route(runner::ROUTE, get(runner::upgrade::<S>))
        .method_not_allowed_fallback(async || {
            let message = "This route does not take this method.";
            Refused::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(ingest))
}

/// Where runners' lifecycle events come when they do not come by WebSocket.
const RUNNER_EVENTS: &str = "/api/runner/events";

/// Upstream's router mounts its own prefix twice, and its orchestrator calls the single one: both are served.
pub(crate) const PLAIN: &[(&str, Read)] = &[
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
    (RUNNER_EVENTS, openbuilder::runner_event),
    (cloud_events::ROUTE, cloud_events::event),
];

pub(crate) const NAMED: &[(&str, Read)] = &[
    ("/api/broadcast/{session_id}", context_foundry::broadcast),
    ("/api/issue/{number}/complete", adw::nothing_to_keep),
    ("/api/v1/event/{event_type}", adw::event),
];

/// A route that is asked by this method, and the answer.
type Asked = (MethodFilter, &'static str, fn() -> Response);

/// What runners ask and tell of processes, of which there are none: nobody
/// specifies a body, and none is read.
const ASKED: &[Asked] = &[
    (MethodFilter::GET, "/api/runner/process/list", || {
        ok(openbuilder::no_processes())
    }),
    (MethodFilter::DELETE, "/api/runner/process/{id}", || {
        StatusCode::NO_CONTENT.into_response()
    }),
    (
        MethodFilter::POST,
        "/api/runner/process/{id}/health",
        || ok(adw::nothing_to_do()),
    ),
];

fn asked<S: Sink>(
    method: MethodFilter,
    route: &'static str,
    answer: fn() -> Response,
) -> MethodRouter<Arc<Ingest<S>>> {
    on(
        method,
        async move |State(ingest): State<Arc<Ingest<S>>>, request: Request| match ingest
            .admit(request.headers(), request.extensions())
        {
            Ok(_) => {
                ingest.status.ignored(route);
                answer()
            }
            Err(refused) => refuse(&ingest.status, route, refused),
        },
    )
}

fn refuse(status: &Status, route: &'static str, refused: Refused) -> Response {
    tracing::info!(route, reason = refused.message, "refused a producer's call");
    status.refused(route, &refused.message);
    refused.into_response()
}

async fn take<S: Sink>(
    ingest: &Ingest<S>,
    route: &'static str,
    read: Read,
    name: String,
    request: Request,
) -> Response {
    match try_to_take(ingest, route, read, &name, request).await {
        Ok(response) => response,
        Err(refused) => refuse(&ingest.status, route, refused),
    }
}

async fn try_to_take<S: Sink>(
    ingest: &Ingest<S>,
    route: &'static str,
    read: Read,
    name: &str,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let host = ingest.admit(&parts.headers, &parts.extensions)?;
    only_json(&parts.headers)?;
    let bytes = tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, MAX_BODY))
        .await
        .map_err(|_| {
            Refused::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                format!("A body must come within {} s.", BODY_WITHIN.as_secs()),
            )
        })?
        .map_err(|_| {
            Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("A body may have {MAX_BODY} bytes."),
            )
        })?;
    let body = Body::read(&bytes);
    if route == cloud_events::ROUTE {
        cloud_events::no_binary_mode(&parts.headers, body.as_ref().ok())?;
    }
    let body = body?;
    let understood = read(&body, name)?;
    let output = match route {
        RUNNER_EVENTS => openbuilder::output(&body),
        _ => None,
    };
    match understood.call {
        Some(mut call) => {
            call.host = host;
            ingest.sink.keep(call).await.map_err(|NotKept(reason)| {
                Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_kept", reason)
            })?;
            ingest.status.received(route);
        }
        None => match output {
            Some(output) => ingest.output(route, host.as_deref(), &output),
            None => ingest.status.ignored(route),
        },
    }
    Ok(ok(understood.answer))
}
