//! OpenBuilder's runner: tool calls and lifecycle events of its builds. Inputs
//! and outputs of tools may hold secrets (database addresses have been seen)
//! and stay out, but for the to-do list.

use protocol::ContentHash;
use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::answer::Refused;
use crate::call::{Call, Place};
use crate::lines::{Chunk, Output};

pub(crate) const PRODUCER: &str = "openbuilder";

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

/// Where the lines of a project's programs are shown; they are in no file.
const STDOUT: &str = "http/stdout";
const STDERR: &str = "http/stderr";
pub(crate) const LOGS: [&str; 2] = [STDOUT, STDERR];

/// By what a project's builds are told.
pub(crate) fn own_id(project: &str) -> String {
    format!("{PRODUCER}:{project}")
}

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
        "attempt",
        "maxAttempts",
        "errorType",
        // Sentences of programs and of the model.
        "error",
        "errorMessage",
    ] {
        if let Some(value) = body.members.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(payload) = body.members.get("payload") {
        let told = payload.as_object().map(|payload| {
            let told = OF_A_PAYLOAD
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), payload.get(*key)?.clone())));
            Value::Object(told.collect())
        });
        kept.insert("payload".to_owned(), told.unwrap_or(Value::Null));
    }
    understood(body, "http/runner-events", kept)
}

/// Output of a program of the project, or its end; none for any other event.
pub(crate) fn output(body: &Body<'_>) -> Option<Output> {
    let project = body.text("projectId")?;
    match body.text("type")?.as_str() {
        "log-chunk" => {
            let Some(Value::String(text)) = body.members.get("data") else {
                return None;
            };
            let stream = body.text("stream").unwrap_or_default();
            // A cursor names a chunk. One that counts may begin anew with the next command.
            let identity = body.text("cursor").map(|cursor| {
                let command = body.text("commandId").unwrap_or_default();
                let named = json!([command, stream, cursor, text]).to_string();
                ContentHash::of(named.as_bytes())
            });
            Some(Output::Chunk(Chunk {
                project,
                file: if stream == "stderr" { STDERR } else { STDOUT },
                identity,
                text: text.clone(),
            }))
        }
        "process-exited" => Some(Output::Ended { project }),
        _ => None,
    }
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
        Place::Own(own_id(&project)),
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
