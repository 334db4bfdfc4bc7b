//! Claude Code hooks, as the ADW observability scripts send them. They hold
//! prompts, tool inputs and outputs, which stay where they are: only which
//! event it was, of which tool, is kept.

use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::call::{Call, Place};

const PRODUCER: &str = "claude-code";
/// What is kept of a hook event.
const KEPT: [&str; 7] = [
    "event_id",
    "event_type",
    "source_app",
    "session_id",
    "workflow_id",
    "timestamp",
    "tool_name",
];

/// `POST /api/events`: one hook event.
pub(crate) fn hook(body: &Body<'_>, _: &str) -> Reading {
    let kept: Map<String, Value> = KEPT
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), body.members.get(*key)?.clone())))
        .collect();
    let app = body
        .text("source_app")
        .unwrap_or_else(|| "claude-code".to_owned());
    // `wf-<adw id>`: the hooks of a workflow belong to its build.
    let workflow = body.text("workflow_id");
    let adw = workflow
        .as_deref()
        .and_then(|text| text.strip_prefix("wf-"))
        .filter(|id| !id.trim().is_empty());
    let (producer, place) = match (adw, body.text("session_id")) {
        (Some(adw), _) => ("adw", Place::Own(format!("adw:{adw}"))),
        (None, Some(session)) => (PRODUCER, Place::Session(session)),
        (None, None) => return Err(crate::answer::Refused::missing("session_id or workflow_id")),
    };
    let text = Value::Object(kept).to_string();
    let call = Call::new(producer, place, &app, "http/hook", text.as_bytes(), &[])
        .map_err(|error| bad_document(&error))?;
    Ok(Understood {
        call: Some(call),
        answer: json!({ "status": "received", "event_id": body.members.get("event_id") }),
    })
}
