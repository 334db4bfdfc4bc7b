//! ADW: its orchestrator tells phases and task logs, best effort, and prints a
//! warning when the answer is not the one it knows.

use serde_json::{Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::call::{Call, Place};

const PRODUCER: &str = "adw";

/// `POST /api/v1/adw-phase-update`: a phase starts, or the workflow ends.
pub(crate) fn phase_update(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(&id, "http/adw-phase-update", body)?),
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
    Ok(Understood {
        call: Some(call(&id, "http/task-logs", body)?),
        answer: Value::Object(body.members.clone()),
    })
}

/// `POST /api/v1/workflow-complete`.
pub(crate) fn workflow_complete(body: &Body<'_>, _: &str) -> Reading {
    let id = body.required("adw_id")?;
    Ok(Understood {
        call: Some(call(&id, "http/workflow-complete", body)?),
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

fn call(id: &str, file: &str, body: &Body<'_>) -> Result<Call, crate::answer::Refused> {
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
        body.bytes,
        &[],
    )
    .map_err(|error| bad_document(&error))
}
