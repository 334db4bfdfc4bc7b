//! One file per producer: which build a body is about, and the answer that
//! its caller expects.

pub(crate) mod adw;
pub(crate) mod claude_code;
pub(crate) mod cloud_events;
pub(crate) mod context_foundry;
pub(crate) mod openbuilder;

use protocol::Document;
use protocol::json::JsonError;
use serde_json::{Map, Value};

use crate::answer::Refused;
use crate::call::Call;

/// A body that was understood: what to keep, and the answer once that is safe.
pub(crate) struct Understood {
    /// None when it says nothing about a build.
    pub(crate) call: Option<Call>,
    pub(crate) answer: Value,
}

pub(crate) type Reading = Result<Understood, Refused>;

/// Reads one route's body. The second argument is the path's own parameter, or empty.
pub(crate) type Read = fn(&Body<'_>, &str) -> Reading;

/// A body that is a JSON object.
pub(crate) struct Body<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) members: Map<String, Value>,
}

impl<'a> Body<'a> {
    /// Read as files are, so that a call may carry all that a file may hold.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Refused> {
        let read = Document::parse(bytes, &[""; 0]).map_err(|error| match error {
            JsonError::TooDeep => bad_document(&error),
            error => Refused::bad_body(format!("The body is not JSON: {error}.")),
        })?;
        match serde_json::from_str(&read.text) {
            Ok(Value::Object(members)) => Ok(Self { bytes, members }),
            _ => Err(Refused::bad_body("The body must be a JSON object.")),
        }
    }

    /// A text; a number is taken as its text, as producers send ids either way.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        text(&self.members, key)
    }

    pub(crate) fn required(&self, key: &str) -> Result<String, Refused> {
        self.text(key).ok_or_else(|| Refused::missing(key))
    }
}

/// As [`Body::text`], of any object.
fn text(members: &Map<String, Value>, key: &str) -> Option<String> {
    match members.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The document could not be spelled.
pub(crate) fn bad_document(error: &JsonError) -> Refused {
    Refused::bad_body(format!("The body cannot be taken: {error}."))
}
