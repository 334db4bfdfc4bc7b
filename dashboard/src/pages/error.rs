//! Pages for what cannot be shown, which say where to go next.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Shell, now, page};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    heading: &'static str,
    text: String,
    /// Address and text of the first way onward.
    way: (&'static str, &'static str),
}

/// No page has this address.
pub(crate) async fn not_found() -> Response {
    missing(
        "There is no such page",
        "The address may be mistyped, or come from another version.".to_owned(),
        ("/", "Live builds"),
    )
}

/// What was asked for does not exist.
pub(crate) fn missing(
    heading: &'static str,
    text: String,
    way: (&'static str, &'static str),
) -> Response {
    respond(StatusCode::NOT_FOUND, heading, text, way)
}

/// The filter of a listing makes no sense.
pub(crate) fn bad_filter(reason: &str) -> Response {
    respond(
        StatusCode::BAD_REQUEST,
        "This search cannot be made",
        crate::text::line(reason, crate::text::TITLE_CHARS),
        ("/history", "All builds"),
    )
}

/// Nothing can be read now.
pub(crate) fn unavailable() -> Response {
    respond(
        StatusCode::SERVICE_UNAVAILABLE,
        "This cannot be shown right now",
        "Phaseline cannot read its database. Nothing is lost: events wait in the stream and on \
         the hosts, and are shown when it is back. Reload in a moment."
            .to_owned(),
        ("/system", "What is wrong"),
    )
}

fn respond(
    status: StatusCode,
    heading: &'static str,
    text: String,
    way: (&'static str, &'static str),
) -> Response {
    let template = ErrorPage {
        shell: Shell::new(format!("{heading} · Phaseline"), "", now()),
        heading,
        text,
        way,
    };
    page(status, &template)
}
