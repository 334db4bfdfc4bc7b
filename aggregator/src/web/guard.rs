//! What holds for every request: security headers, the `Host` check, limits
//! of size and time.

use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::error::ApiError;
use crate::metrics::Kind;

/// Longest time for an answer; Postgres alone is given less.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request body, bytes. Nothing here reads one; small ones of careless clients pass.
const MAX_BODY: u64 = 16 * 1024;

/// Nothing from elsewhere, nothing inline.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

const ALWAYS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// Adds the security headers and counts the answer.
pub(super) async fn headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let own = is_ours(request.uri().path());
    let mut response = next.run(request).await;
    for (name, value) in ALWAYS {
        response.headers_mut().insert(name, value);
    }
    // Data is never kept; a page is asked for again unless it says otherwise.
    let caching = HeaderValue::from_static(if own { "no-store" } else { "no-cache" });
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(caching);
    let kind = match response.status().as_u16() {
        100..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    app.metrics.http.get_or_create(&Kind { kind }).inc();
    response
}

/// Refuses requests under a name that is not ours.
pub(super) async fn known_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = host(
        request.headers(),
        request
            .uri()
            .authority()
            .map(axum::http::uri::Authority::as_str),
    );
    if app.hosts.allows_host(host.as_deref()) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host_not_allowed",
        "This server does not answer under this name. If it should, add the name to PHASELINE_ALLOWED_HOSTS.",
    )
    .into_response()
}

/// The `Host` of a request, or the one in its URL; none when there are several.
pub(super) fn host(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next(), authority) {
        (Some(host), None, None) => host.to_str().ok().map(str::to_owned),
        (None, None, Some(authority)) => Some(authority.to_owned()),
        (Some(host), None, Some(authority))
            if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            Some(authority.to_owned())
        }
        _ => None,
    }
}

/// Refuses large bodies before anything is done.
pub(super) async fn no_bodies(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > MAX_BODY {
        return ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "Nothing here takes a body.",
        )
        .into_response();
    }
    next.run(request).await
}

/// Gives up on an answer that takes too long.
pub(super) async fn timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(
                limit_s = ANSWER_TIMEOUT.as_secs(),
                "failed to answer a request in time"
            );
            ApiError::timeout().into_response()
        }
    }
}

/// Whether the path is data rather than a page.
fn is_ours(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/api" | "/healthz" | "/readyz" | "/metrics")
}
