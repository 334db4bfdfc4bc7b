//! OpenBuilder's runner: tool calls and lifecycle events of its builds. Inputs
//! and outputs of tools may hold secrets (database addresses have been seen)
//! and stay out, but for the to-do list.

use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::answer::Refused;
use crate::call::{Call, Place};

const PRODUCER: &str = "openbuilder";

/// Events of a build that say how it stands; others are texts of the model.
const KINDS: [&str; 4] = [
    "start",
    "tool-input-available",
    "tool-output-available",
    "tool-error",
];
/// What is kept of such an event. What a tool was given, gave, or failed with is text.
const KEPT: [&str; 7] = [
    "type",
    "messageId",
    "toolCallId",
    "toolName",
    "todoIndex",
    "todo_index",
    "phase",
];

/// `POST /api/build-events`: one event of a build.
pub(crate) fn build_event(body: &Body<'_>, _: &str) -> Reading {
    let Some(Value::Object(event)) = body.members.get("event") else {
        return Err(Refused::missing("event"));
    };
    let kind = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Ok(nothing());
    }
    let mut kept = Map::new();
    for key in [
        "commandId",
        "sessionId",
        "projectId",
        "buildId",
        "agentId",
        "claudeModelId",
    ] {
        if let Some(value) = body.members.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    kept.insert("event".to_owned(), Value::Object(without_texts(event)));
    understood(body, "http/build-events", kept)
}

/// What is kept of a lifecycle event's payload; the rest may be anything, also the environment.
const OF_A_PAYLOAD: [&str; 2] = ["todos", "summary"];

/// `POST /api/runner/events`: a lifecycle event; most of the 25 kinds say nothing of a build.
pub(crate) fn runner_event(body: &Body<'_>, _: &str) -> Reading {
    // Runners behind a broker of their own, as older ones were, send all they have to say here.
    if body.text("type").is_none() && body.members.contains_key("event") {
        return build_event(body, "");
    }
    let kind = body.required("type")?;
    let tells = matches!(
        kind.as_str(),
        "build-completed" | "build-failed" | "build-summary" | "autofix-started" | "error"
    );
    if !tells || body.text("projectId").is_none() {
        return Ok(nothing());
    }
    let mut kept = Map::new();
    for key in [
        "type",
        "projectId",
        "sessionId",
        "commandId",
        "timestamp",
        "error",
        "payload",
    ] {
        if let Some(value) = body.members.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    match kept.get_mut("payload") {
        Some(Value::Object(payload)) => {
            payload.retain(|key, _| OF_A_PAYLOAD.contains(&key.as_str()));
        }
        Some(other) => *other = Value::Null,
        None => {}
    }
    understood(body, "http/runner-events", kept)
}

/// `GET /api/runner/process/list` and what is asked about its entries: there are none.
pub(crate) fn no_processes() -> Value {
    json!({ "processes": [] })
}

fn nothing() -> Understood {
    Understood {
        call: None,
        answer: json!({ "ok": true }),
    }
}

fn understood(body: &Body<'_>, file: &str, kept: Map<String, Value>) -> Reading {
    let project = body.required("projectId")?;
    let text = Value::Object(kept).to_string();
    let call = Call::new(
        PRODUCER,
        Place::Own(format!("openbuilder:{project}")),
        &project,
        file,
        text.as_bytes(),
        &["commandId", "timestamp"],
    )
    .map_err(|error| bad_document(&error))?;
    Ok(Understood {
        call: Some(call),
        answer: json!({ "ok": true }),
    })
}

/// A to-do list is kept whole; of any other tool only that it was called, and how that went.
fn without_texts(event: &Map<String, Value>) -> Map<String, Value> {
    let todos = event.get("toolName").and_then(Value::as_str) == Some("TodoWrite");
    event
        .iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()) || (todos && *key == "input"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
