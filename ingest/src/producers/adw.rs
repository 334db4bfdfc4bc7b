//! ADW: its orchestrator tells phases and task logs, best effort, and prints a
//! warning when the answer is not the one it knows.

use protocol::text::cut;
use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document, claude_code, text};
use crate::answer::Refused;
use crate::call::{Call, Place};

const PRODUCER: &str = "adw";
/// What is kept of a tool's call; what it was given, gave or failed with is text.
const OF_A_TOOL: [&str; 5] = [
    "tool_name",
    "started_at",
    "completed_at",
    "duration_ms",
    "success",
];
/// Characters of an event's type, which stands in the path: real ones have some 20.
const MAX_KIND: usize = 120;
/// Where an event may name what it is about, beside its own members.
const NESTED: [&str; 3] = ["data", "payload", "metadata"];
/// What was asked, and what tools were given and gave: it stays out of an event, however deep.
const IO: [&str; 15] = [
    "chat_history",
    "content",
    "input",
    "last_assistant_message",
    "messages",
    "output",
    "parameters",
    "prompt",
    "response",
    "result_summary",
    "tool_calls",
    "tool_input",
    "tool_output",
    "tool_response",
    "tool_result",
];

/// `POST /api/v1/adw-phase-update`: a phase starts, or the workflow ends.
pub(crate) fn phase_update(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(
            &id,
            "http/adw-phase-update",
            &project(&id, body),
            body.bytes,
        )?),
        answer: json!({
            "success": true,
            "message": "received",
            "broadcasted": true,
            // Upstream may start the next phase here; nothing is ever started by us.
            "next_phase_triggered": false,
        }),
    })
}

/// `POST /api/v1/observability/task-logs`: how a phase went. The answer is the row, as stored.
pub(crate) fn task_log(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    let kept = Value::Object(without_texts(&body.members)).to_string();
    Ok(Understood {
        call: Some(call(
            &id,
            "http/task-logs",
            &project(&id, body),
            kept.as_bytes(),
        )?),
        answer: Value::Object(body.members.clone()),
    })
}

/// `POST /api/v1/workflow-complete`.
pub(crate) fn workflow_complete(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(
            &id,
            "http/workflow-complete",
            &project(&id, body),
            body.bytes,
        )?),
        answer: json!({
            "success": true,
            "message": "received",
            "phase_updated": false,
            "next_phase_triggered": false,
        }),
    })
}

/// Calls about upstream's own tables, which have no part in a build: they are
/// answered so that their callers' logs stay clean.
pub(crate) fn nothing_to_keep(_: &Body<'_>, _: &str) -> Reading {
    Ok(Understood {
        call: None,
        answer: nothing_to_do(),
    })
}

/// What they are answered.
pub(crate) fn nothing_to_do() -> Value {
    json!({ "success": true, "message": "nothing to do here" })
}

/// `POST /api/v1/event/{event_type}`: anything else that is to be told of a workflow, or of a session.
pub(crate) fn event(body: &Body<'_>, kind: &str) -> Reading {
    let Some(named) = Named::of(&body.members) else {
        return Err(Refused::missing("adw_id, workflow_id or session_id"));
    };
    let mut kept = without_io(&body.members);
    kept.insert("event_type".to_owned(), cut(kind, MAX_KIND).into());
    if let Named::Workflow(id) = &named {
        kept.insert("adw_id".to_owned(), id.clone().into());
    }
    let kept = Value::Object(kept).to_string();
    let call = match named {
        Named::Workflow(id) => call(&id, "http/event", &project(&id, body), kept.as_bytes())?,
        Named::Session(id) => claude_code::call(&id, body, kept.as_bytes())?,
    };
    Ok(Understood {
        call: Some(call),
        answer: json!({ "success": true, "message": "received" }),
    })
}

/// What an event is about.
enum Named {
    Workflow(String),
    /// A session of Claude Code, of which no workflow is told.
    Session(String),
}

impl Named {
    /// A workflow tells more than a session, wherever each is named.
    fn of(event: &Map<String, Value>) -> Option<Self> {
        let nested = NESTED.iter().filter_map(|key| event.get(*key)?.as_object());
        let places: Vec<_> = std::iter::once(event).chain(nested).collect();
        let first = |key: &str| places.iter().find_map(|members| text(members, key));
        let session = first("session_id");
        let workflow = first("adw_id")
            .or_else(|| of_workflow(&first("workflow_id")?).map(str::to_owned))
            .or_else(|| session.clone().filter(|id| is_id(id)));
        workflow
            .map(Self::Workflow)
            .or_else(|| session.map(Self::Session))
    }
}

/// Of `wf-<adw id>` the id.
pub(super) fn of_workflow(workflow: &str) -> Option<&str> {
    workflow
        .strip_prefix("wf-")
        .filter(|id| !id.trim().is_empty())
}

/// Whether a session is called as a workflow: 8 hex digits, with or without `adw-`.
fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("adw-").unwrap_or(text);
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Its members, in all that is in it, but those that hold what was asked and what tools were given and gave.
fn without_io(members: &Map<String, Value>) -> Map<String, Value> {
    fn inner(value: &Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(without_io(members)),
            Value::Array(list) => list.iter().map(inner).collect(),
            other => other.clone(),
        }
    }
    let kept = members
        .iter()
        .filter(|(key, _)| !IO.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), inner(value)))
        .collect()
}

/// A task log whose tools' calls are told without their texts.
fn without_texts(log: &Map<String, Value>) -> Map<String, Value> {
    let mut log = log.clone();
    let Some(calls) = log.get_mut("tool_calls") else {
        return log;
    };
    match calls {
        Value::Array(calls) => {
            calls.retain(Value::is_object);
            for call in calls.iter_mut().filter_map(Value::as_object_mut) {
                call.retain(|key, _| OF_A_TOOL.contains(&key.as_str()));
            }
        }
        other => *other = Value::Null,
    }
    log
}

/// `issue_number` tells one workflow from another where the id is not telling.
fn project(id: &str, body: &Body<'_>) -> String {
    match body.text("issue_number") {
        Some(issue) => format!("issue {issue}"),
        None => id.to_owned(),
    }
}

/// What is `kept` of a body.
pub(super) fn call(id: &str, file: &str, project: &str, kept: &[u8]) -> Result<Call, Refused> {
    let place = Place::Own(format!("{PRODUCER}:{id}"));
    Call::new(PRODUCER, place, project, file, kept, &[]).map_err(|error| bad_document(&error))
}
