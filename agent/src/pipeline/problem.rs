//! A state file that is there and cannot be used: why, for people and for the
//! decision whether it is worth a new try.

use protocol::event::MAX_DOCUMENT_BYTES;
use protocol::json::JsonError;
use protocol::{ContentHash, UnreadableReason};

use crate::beneath::{Meta, ReadError};

/// A file that cannot be used, and how sure that is.
pub(super) struct Problem {
    /// In one word.
    pub(super) reason: UnreadableReason,
    /// For people.
    pub(super) message: String,
    /// Equal for what is reported once only.
    pub(super) fingerprint: ContentHash,
    /// What the system says of it.
    pub(super) meta: Meta,
    /// It may be different in a moment.
    pub(super) may_pass: bool,
}

impl Problem {
    /// What kept a file from being read.
    pub(super) fn of(error: ReadError, meta: Meta) -> Self {
        let (reason, message, meta, may_pass) = match error {
            ReadError::TooLarge(meta) => {
                // Without its size: it is told once, and the file may go on growing.
                let message = format!(
                    "it has more than the {MAX_DOCUMENT_BYTES} bytes that are read of a document or a line"
                );
                (UnreadableReason::TooLarge, message, meta, false)
            }
            ReadError::NotRegular(kind) => (
                UnreadableReason::NotRegular,
                format!("{kind}, not a regular file"),
                meta,
                false,
            ),
            ReadError::Refused(error) => (UnreadableReason::Denied, error.to_string(), meta, true),
            ReadError::Missing => (UnreadableReason::Denied, "missing".to_owned(), meta, true),
        };
        Self {
            fingerprint: ContentHash::of(format!("{reason:?}").as_bytes()),
            reason,
            message,
            meta,
            may_pass,
        }
    }

    /// What kept these bytes from being JSON.
    pub(super) fn of_json(error: &JsonError, raw: ContentHash, meta: Meta) -> Self {
        let too_deep = matches!(error, JsonError::TooDeep);
        Self {
            reason: if too_deep {
                UnreadableReason::TooDeep
            } else {
                UnreadableReason::Unparsable
            },
            message: error.to_string(),
            fingerprint: raw,
            meta,
            may_pass: !too_deep,
        }
    }
}
