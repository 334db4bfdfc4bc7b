//! `CloudEvents` 1.0 in structured mode (the JSON format of the specification)
//! for every other program: `data` is the state of the build, with the keys
//! that the API's Build has.

use serde_json::{Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::answer::Refused;
use crate::call::{Call, Place};

const PRODUCER: &str = "http";

/// `POST /api/v1/events`: how a build stands now. `subject` names the build, else `source` does.
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
    let project = ["project", "session_id"]
        .iter()
        .find_map(|key| data.get(*key).and_then(Value::as_str))
        .unwrap_or(&source)
        .to_owned();
    let subject = body.text("subject").unwrap_or_default();
    let text = Value::Object(data.clone()).to_string();
    let call = Call::new(
        PRODUCER,
        Place::Own(format!("http:{source}\n{subject}")),
        &project,
        "http/event",
        text.as_bytes(),
        &[],
    )
    .map_err(|error| bad_document(&error))?;
    Ok(Understood {
        call: Some(call),
        answer: json!({ "status": "received", "id": body.members.get("id") }),
    })
}
