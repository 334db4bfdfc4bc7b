//! Claude Code hooks, as the ADW observability scripts send them. They hold
//! prompts, tool inputs and outputs, which stay where they are: only which
//! event it was, of which tool, is kept, the to-do list, and why a session ended.

use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, adw, bad_document, text};
use crate::answer::Refused;
use crate::call::{Call, Place};

/// As transcripts are told, too.
pub(crate) const PRODUCER: &str = "claude-code";
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

/// Its input is no secret of the host: a list of what is to be done.
const TODO_TOOL: &str = "TodoWrite";
/// Points of a list that are kept: as many as a build shows.
const MAX_TODOS: usize = 100;
/// Bytes of the word why a session ended: the longest real one, `bypass_permissions_disabled`, has 27.
const MAX_REASON: usize = 40;

/// `POST /api/events`: one hook event.
pub(crate) fn hook(body: &Body<'_>, _: &str) -> Reading {
    let mut kept: Map<String, Value> = KEPT
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), body.members.get(*key)?.clone())))
        .collect();
    if let Some(reason) = reason(body) {
        kept.insert("reason".to_owned(), reason.into());
    }
    if let Some(todos) = todos(body) {
        kept.insert("todos".to_owned(), todos);
    }
    let kept = Value::Object(kept).to_string();
    // `wf-<adw id>`: the hooks of a workflow belong to its build.
    let workflow = body.text("workflow_id");
    let workflow = workflow.as_deref().and_then(adw::of_workflow);
    let session = body.text("session_id");
    let call = match (workflow, session) {
        (Some(id), _) => adw::call(id, "http/hook", &app(body), kept.as_bytes())?,
        (None, Some(session)) => call(&session, body, kept.as_bytes())?,
        // All of its members are optional: it is counted, and of no build.
        (None, None) => {
            return Ok(Understood {
                call: None,
                answer: json!({ "status": "ignored", "message": "it names neither a session nor a workflow" }),
            });
        }
    };
    Ok(Understood {
        call: Some(call),
        answer: json!({ "status": "received", "event_id": body.members.get("event_id") }),
    })
}

/// An event of a session, of which `kept` is kept.
pub(super) fn call(session: &str, body: &Body<'_>, kept: &[u8]) -> Result<Call, Refused> {
    let place = Place::Session(session.to_owned());
    Call::new(PRODUCER, place, &app(body), "http/hook", kept, &[])
        .map_err(|error| bad_document(&error))
}

fn app(body: &Body<'_>) -> String {
    body.text("source_app")
        .unwrap_or_else(|| PRODUCER.to_owned())
}

/// The list that the to-do tool was given, as the log of the hooks is told.
fn todos(body: &Body<'_>) -> Option<Value> {
    let payload = body.members.get("payload")?.as_object()?;
    let tool = body
        .text("tool_name")
        .or_else(|| text(payload, "tool_name"));
    let input = payload
        .get("tool_input")
        .filter(|_| tool.as_deref() == Some(TODO_TOOL))?;
    let list = input.get("todos")?.as_array()?.iter();
    let points = list.take(MAX_TODOS).filter_map(Value::as_object);
    let points = points.filter_map(|todo| {
        // Either text may be missing; without both there is nothing to show.
        let said = text(todo, "content").or_else(|| text(todo, "activeForm"))?;
        Some(json!({ "text": said, "state": text(todo, "status"), "tools": null }))
    });
    Some(points.collect())
}

/// Why a session ended: a word such as `logout`. What other events have by that name is text.
fn reason(body: &Body<'_>) -> Option<String> {
    let payload = body.members.get("payload")?.as_object()?;
    let is_end = body.text("event_type").as_deref() == Some("SessionEnd");
    let is_word = |text: &String| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        text.len() <= MAX_REASON && text.bytes().all(is_letter)
    };
    text(payload, "reason").filter(|reason| is_end && is_word(reason))
}
