//! `/api/v1/stream`: the upgrade to a WebSocket. [`session`] is the life of
//! one connection, [`talk`] what it is sent, [`socket`] how that is written,
//! [`reading`] the log it looks at, [`inbound`] what a client may say, [`metered`] how much.

mod inbound;
mod metered;
mod reading;
mod session;
mod socket;
mod talk;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::guard;
use super::query::Params;
use crate::live::{Filter, Joined};
use crate::metrics::Kind;
use session::Session;
use socket::Socket;

/// Longest build id or host name in a filter, characters: longer than any that exists.
const MAX_FILTER: usize = 16 * 1024;

/// What a connection asks for.
#[derive(Debug)]
struct Wishes {
    since: Option<u64>,
    full: bool,
    filter: Filter,
    beat: Duration,
    /// Id of the build whose log lines are wanted.
    logs: Option<String>,
}

/// Seconds of silence before a heartbeat, unless the reader asks otherwise.
const BEAT_S: u64 = 15;
/// What it may ask for. Pages, which cannot ping, ask for 5: two missed and a
/// margin, and a connection that is open at one end only is given up within 15 s.
const BEATS_S: RangeInclusive<u64> = 1..=60;

impl Default for Wishes {
    fn default() -> Self {
        Self {
            since: None,
            full: false,
            filter: Filter::default(),
            beat: Duration::from_secs(BEAT_S),
            logs: None,
        }
    }
}

/// A WebSocket of text frames `{"type","data","timestamp","source","seq"}`.
///
/// First a `snapshot` (or, with `since`, what was missed as `build`, `host_update` and `build_complete`, then a
/// `heartbeat`), then only changes: `build_update` is a JSON merge patch (RFC 7396) of the build as last sent,
/// `build` a whole one. `seq` says: everything up to it that concerns this connection has been sent; pass the last
/// one as `since` to go on after a break. `heartbeat` comes after 15 s of silence (`beat`),
/// and at once when the values become old or current again (`data.stale`: `reason` and `last_seen_at`). A client may send
/// `{"type":"rate","per_second":N}`: each build is then sent at most N times a second (0.1 to 50); failures,
/// completions and changed to-do lists never wait.
/// `{"type":"logs","build":ID}` asks for the log lines of one build (null: of none), as `logs` does: `log` frames with
/// `id`, `lines`, `dropped` and `skipped_bytes`, as `/api/v1/builds/{id}/logs` has them; their `seq` is null. Where the
/// numbers of the lines have a gap, that route has what is missing.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "stream",
    params(
        ("since" = Option<u64>, Query, description = "The last `seq` received: only what changed after it, or a snapshot when that is too long ago"),
        ("full" = Option<u8>, Query, description = "1: whole builds instead of merge patches"),
        ("build" = Option<String>, Query, description = "Only this build and its host"),
        ("host" = Option<String>, Query, description = "Only this host and its builds"),
        ("beat" = Option<u64>, Query, description = "Seconds of silence before a heartbeat, 1 to 60; 15 unless given"),
        ("logs" = Option<String>, Query, description = "Log lines of this build too, as `log` frames"),
    ),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "A parameter cannot be used", body = ErrorBody),
        (status = 403, description = "The page that asks is from elsewhere", body = ErrorBody),
        (status = 426, description = "This address only answers WebSocket requests", body = ErrorBody),
        (status = 503, description = "Too many streams are open, or nothing was read from the database yet", body = ErrorBody),
    ),
)]
pub(super) async fn upgrade(
    State(app): State<App>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let accepted = accept(&app, &mut request);
    let kind = match &accepted {
        Ok(_) => "accepted",
        Err(error) => match error.code {
            "too_many_streams" => "refused_full",
            "origin_not_allowed" => "refused_origin",
            "not_ready" => "not_ready",
            _ => "refused_request",
        },
    };
    app.metrics
        .live
        .connections
        .get_or_create(&Kind { kind })
        .inc();
    let accepted = accepted?;
    let response = ingest::switching(&accepted.key);
    let task = app.tasks.clone();
    task.spawn(converse(app, accepted));
    Ok(response.into_response())
}

struct Accepted {
    key: HeaderValue,
    upgrade: OnUpgrade,
    wishes: Wishes,
    permit: OwnedSemaphorePermit,
}

fn accept(app: &App, request: &mut Request) -> Result<Accepted, ApiError> {
    let headers = request.headers();
    let host = guard::host(
        headers,
        request
            .uri()
            .authority()
            .map(axum::http::uri::Authority::as_str),
    );
    let origin = headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or("null"));
    if !app.hosts.allows_origin(origin, host.as_deref()) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "Pages from elsewhere may not open the stream. If this one may, add its name to PHASELINE_ALLOWED_HOSTS.",
        ));
    }
    let wishes = wishes(request)?;
    let key = ingest::websocket_key(request.method(), headers).ok_or_else(|| {
        let message = "This address only answers WebSocket requests (RFC 6455, version 13).";
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket_required", message)
    })?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(ApiError::internal)?;
    if !app.hub.is_loaded() {
        return Err(ApiError::not_loaded());
    }
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            "Too many streams are open here.",
        )
    })?;
    Ok(Accepted {
        key,
        upgrade,
        wishes,
        permit,
    })
}

fn wishes(request: &Request) -> Result<Wishes, ApiError> {
    let params = Params::read(
        request.uri(),
        &["since", "full", "build", "host", "beat", "logs"],
    )?;
    let filter = Filter {
        build: params.text("build"),
        host: params.text("host"),
    };
    let logs = params.text("logs");
    if [&filter.build, &filter.host, &logs]
        .into_iter()
        .flatten()
        .any(|text| text.chars().count() > MAX_FILTER)
    {
        return Err(ApiError::bad_request(
            "bad_parameter",
            "build, host and logs must be names that exist.",
        ));
    }
    Ok(Wishes {
        since: params.number("since", 0..=u64::MAX)?,
        full: params.flag("full")?,
        filter,
        beat: Duration::from_secs(params.number("beat", BEATS_S)?.unwrap_or(BEAT_S)),
        logs,
    })
}

async fn converse(app: App, accepted: Accepted) {
    let Accepted {
        upgrade,
        wishes,
        permit,
        ..
    } = accepted;
    let stream = match upgrade.await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a stream ended before it began");
            return;
        }
    };
    if let Some(since) = wishes.since {
        app.hub.reach(since).await;
    }
    let Some(joined) = app.hub.join(wishes.since, &wishes.filter) else {
        return;
    };
    app.metrics.live.clients.inc();
    let socket = Socket::new(stream, Arc::clone(&app.metrics)).await;
    let end = Session::new(socket, app.hub, wishes, joined)
        .run(&app.stop)
        .await;
    app.metrics.live.clients.dec();
    app.metrics
        .live
        .closed
        .get_or_create(&Kind { kind: end.word() })
        .inc();
    drop(permit);
}

/// Counts how a connection came to its first frames.
fn note_join(app: &crate::metrics::LiveMetrics, joined: &Joined) {
    if joined.resumed {
        app.resumes.inc();
    } else {
        app.snapshots.inc();
    }
}
