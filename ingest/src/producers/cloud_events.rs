//! `CloudEvents` 1.0 in structured mode (the JSON format of the specification)
//! for every other program: `data` is the state of the build, with the keys
//! that the API's Build has.

use axum::http::HeaderMap;
use protocol::mapping::FIELDS;
use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document, text};
use crate::answer::Refused;
use crate::call::{Call, Place};

const PRODUCER: &str = "http";

/// Members of `data` that are read beside those that a file's table may have.
const OTHERS: [&str; 2] = ["state", "facts"];

/// Where they come.
pub(crate) const ROUTE: &str = "/api/v1/events";

/// In binary mode, the attributes are headers and the body is `data` alone (`CloudEvents` 1.0, HTTP protocol binding, 3.1).
pub(crate) fn no_binary_mode(headers: &HeaderMap, body: Option<&Body<'_>>) -> Result<(), Refused> {
    let has_attributes = headers.keys().any(|name| name.as_str().starts_with("ce-"));
    let is_whole = body.is_some_and(|body| body.members.contains_key("specversion"));
    if has_attributes && !is_whole {
        return Err(Refused::bad_body(
            "Only CloudEvents in structured mode are taken: specversion, id, type, source and data as members of the body, \
             not as ce- headers.",
        ));
    }
    Ok(())
}

/// Whether anything of it is read: a build that says nothing would only hide a misspelled name.
fn is_known(data: &Map<String, Value>) -> bool {
    let named = FIELDS
        .iter()
        .filter_map(|field| field.key.split('.').next());
    // Without any it says that its source is at work.
    data.is_empty() || named.chain(OTHERS).any(|key| data.contains_key(key))
}

/// `POST /api/v1/events`: how a build stands now. `source`, `subject` and the
/// project of `data` name the build; the latter two where they are given.
pub(crate) fn event(body: &Body<'_>, _: &str) -> Reading {
    let version = body.required("specversion")?;
    if version != "1.0" {
        return Err(Refused::bad_body(format!(
            "The specversion is {version}; 1.0 is taken."
        )));
    }
    for key in ["id", "type"] {
        body.required(key)?;
    }
    let source = body.required("source")?;
    let Some(Value::Object(data)) = body.members.get("data") else {
        return Err(Refused::bad_body(
            "data must be an object: the state of the build, e.g. {\"session_id\":\"nightly\",\"phase\":\"Test\",\"state\":\"running\"}.",
        ));
    };
    if !is_known(data) {
        return Err(Refused::bad_body(
            "data has none of the members that a build has, such as project, session_id, phase, state, progress or cost_usd.",
        ));
    }
    let subject = body.text("subject").unwrap_or_default();
    let mut id = format!("http:{source}\n{subject}");
    let project = text(data, "project");
    if let Some(project) = &project {
        id = format!("{id}\n{project}");
    }
    let project = project
        .or_else(|| text(data, "session_id"))
        .unwrap_or(source);
    let content = Value::Object(data.clone()).to_string();
    let call = Call::new(
        PRODUCER,
        Place::Own(id),
        &project,
        "http/event",
        content.as_bytes(),
        &[],
    )
    .map_err(|error| bad_document(&error))?;
    Ok(Understood {
        call: Some(call),
        answer: json!({ "status": "received", "id": body.members.get("id") }),
    })
}
