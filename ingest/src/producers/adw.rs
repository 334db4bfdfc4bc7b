//! ADW: its orchestrator tells phases and task logs, best effort, and prints a
//! warning when the answer is not the one it knows.

use serde_json::{Map, Value, json};

use super::{Body, Reading, Understood, bad_document};
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

/// `POST /api/v1/adw-phase-update`: a phase starts, or the workflow ends.
pub(crate) fn phase_update(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(&id, "http/adw-phase-update", body, body.bytes)?),
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
        call: Some(call(&id, "http/task-logs", body, kept.as_bytes())?),
        answer: Value::Object(body.members.clone()),
    })
}

/// `POST /api/v1/workflow-complete`.
pub(crate) fn workflow_complete(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(&id, "http/workflow-complete", body, body.bytes)?),
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
        answer: json!({ "success": true, "message": "nothing to do here" }),
    })
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

/// What is `kept` of a body.
fn call(
    id: &str,
    file: &str,
    body: &Body<'_>,
    kept: &[u8],
) -> Result<Call, crate::answer::Refused> {
    // `issue_number` tells one workflow from another where the id is not telling.
    let project = match body.text("issue_number") {
        Some(issue) => format!("issue {issue}"),
        None => id.to_owned(),
    };
    Call::new(
        PRODUCER,
        Place::Own(format!("adw:{id}")),
        &project,
        file,
        kept,
        &[],
    )
    .map_err(|error| bad_document(&error))
}
