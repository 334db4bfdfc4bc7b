//! What a caller is told.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    code: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_body", message)
    }

    pub(crate) fn missing(key: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "missing_key",
            format!("The body has no {key}, or it is not text."),
        )
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message }, "detail": self.message });
        (self.status, Json(body)).into_response()
    }
}

/// A success, as the caller knows it.
pub(crate) fn ok(body: Value) -> Response {
    Json(body).into_response()
}
