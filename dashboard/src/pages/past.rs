//! `?at=TIME`: what pages of a moment have in common. They stand still, and say
//! of when they are and how to come back.

use axum::response::{IntoResponse as _, Redirect, Response};
use protocol::Timestamp;
use serde::Deserialize;

use super::error;
use crate::view::stamp::Stamp;

/// The moment in an address.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct At {
    at: Option<String>,
}

impl At {
    /// The moment; none where no moment was asked for.
    ///
    /// # Errors
    /// A page that says what a moment looks like.
    #[expect(clippy::result_large_err, reason = "made once for a request, and sent")]
    pub(crate) fn read(self) -> Result<Option<Timestamp>, Response> {
        let text = self.at.filter(|text| !text.trim().is_empty());
        text.map(|text| Timestamp::read(&text)).transpose().map_err(|_| {
            error::bad_filter(
                "The moment is not a time such as 2026-11-20T10:08 (UTC) or 2026-11-20T10:08:17.042Z.",
            )
        })
    }
}

/// The line above a page of the past.
pub(crate) struct PastBar {
    pub(crate) at: Stamp,
    /// The same page as it is now.
    pub(crate) now_href: String,
}

impl PastBar {
    pub(crate) fn new(at: Timestamp, now_href: String) -> Self {
        Self {
            // In UTC, as the field of the form beside it.
            at: Stamp {
                local: "",
                ..Stamp::exact(Some(at))
            },
            now_href,
        }
    }
}

/// A time as a form's field holds it, to the second.
pub(crate) fn field(at: Option<Timestamp>) -> String {
    let text = at.map(|at| at.to_string());
    text.and_then(|text| text.get(..19).map(str::to_owned))
        .unwrap_or_default()
}

/// An address with a moment.
pub(crate) fn href(path: &str, at: Timestamp) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!(
        "{path}{mark}at={}",
        crate::view::link::query(&at.to_string())
    )
}

/// To the page of now: the moment has not passed.
pub(crate) fn to_now(path: &str) -> Response {
    Redirect::to(path).into_response()
}
