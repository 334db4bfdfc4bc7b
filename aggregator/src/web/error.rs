//! What a client is told when a request cannot be answered: a code for
//! programs and a sentence for people. The cause goes to the log.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{ReadError, StoreError};

/// `{"error":{"code","message"}}`
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// For programs; stays the same.
    #[schema(example = "build_not_found")]
    code: &'static str,
    /// For people.
    #[schema(example = "There is no build with this id.")]
    message: String,
}

/// An answer other than success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn build_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "build_not_found",
            "There is no build with this id.",
        )
    }

    pub(crate) fn not_yet() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_yet",
            "This build had not begun at that time.",
        )
    }

    pub(crate) fn forgotten() -> Self {
        Self::new(
            StatusCode::GONE,
            "past_retention",
            "The events that tell how this build was are past retention.",
        )
    }

    pub(crate) fn before_retention(oldest: Timestamp) -> Self {
        Self::new(
            StatusCode::GONE,
            "past_retention",
            format!(
                "What was before {oldest} is past retention: the events that tell are deleted."
            ),
        )
    }

    pub(crate) fn to_come(now: Timestamp) -> Self {
        Self::bad_request(
            "moment_to_come",
            format!("That moment has not come: it is {now} now."),
        )
    }

    pub(crate) fn host_not_yet() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_yet",
            "This host had not been heard of at that time.",
        )
    }

    pub(crate) fn host_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "host_not_found",
            "No host of this name was ever heard of.",
        )
    }

    pub(crate) fn route_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "route_not_found",
            "There is nothing at this address. /api/v1/openapi.json lists what there is.",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address only answers GET and HEAD.",
        )
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database_unavailable",
            "The database cannot be reached now. Try again in a moment; nothing is lost.",
        )
    }

    pub(crate) fn not_loaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "The server has just started and is still reading its builds.",
        )
    }

    pub(crate) fn timeout() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "The answer took too long. Try again in a moment.",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here; the server's log says what.",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Unreachable(_)) {
            tracing::warn!(%error, "failed to answer a request");
            Self::unavailable()
        } else {
            tracing::error!(%error, "failed to answer a request");
            Self::internal()
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BadFilter(sentence) => Self::bad_request(
                "bad_parameter",
                format!("{}.", sentence.trim_end_matches('.')),
            ),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code,
                message: self.message,
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(
                axum::http::header::RETRY_AFTER,
                axum::http::HeaderValue::from_static("1"),
            );
        }
        response
    }
}
