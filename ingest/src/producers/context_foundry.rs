//! Context Foundry: older prompts post the phase file itself with curl; its v1
//! broadcasts events; agents may report their own progress. Upstream takes
//! whatever comes, and its callers discard the answer.

use serde_json::{Value, json};

use super::{Body, Reading, Understood, bad_document};
use crate::call::{Call, Place};

const PRODUCER: &str = "context-foundry";
/// What upstream's server calls a body without a session.
const NO_SESSION: &str = "autonomous-build";
/// What stays out of a broadcast's data: a line of a log, what surrounded an error. As of the log of broadcasts.
const TEXTS: [&str; 2] = ["line", "details"];

/// `POST /api/phase-update`: the content of `current-phase.json`.
pub(crate) fn phase_update(body: &Body<'_>, _: &str) -> Reading {
    let session = body
        .text("session_id")
        .unwrap_or_else(|| NO_SESSION.to_owned());
    let call = call(
        &session,
        ".context-foundry/current-phase.json",
        body.bytes,
        &["last_updated"],
    )?;
    let phase = body.members.get("current_phase").cloned();
    Ok(Understood {
        call: Some(call),
        answer: json!({
            "status": "received",
            "session_id": session,
            "phase": phase.unwrap_or(Value::Null),
            // Who watches is not the caller's business, and not known here.
            "broadcasted_to": null,
        }),
    })
}

/// `POST /api/broadcast/{session_id}`: one event of its v1.
pub(crate) fn broadcast(body: &Body<'_>, session: &str) -> Reading {
    let mut kept = body.members.clone();
    match kept.get_mut("data") {
        Some(Value::Object(data)) => data.retain(|key, _| !TEXTS.contains(&key.as_str())),
        Some(other) => *other = Value::Null,
        None => {}
    }
    let kept = Value::Object(kept).to_string();
    Ok(Understood {
        call: Some(call(session, "http/broadcast", kept.as_bytes(), &[])?),
        answer: json!({ "broadcasted": null }),
    })
}

/// `POST /api/agent-update`: how one agent of a build stands.
pub(crate) fn agent_update(body: &Body<'_>, _: &str) -> Reading {
    let session = body.required("session_id")?;
    let agent = body.required("agent_id")?;
    Ok(Understood {
        call: Some(call(&session, "http/agent-update", body.bytes, &[])?),
        answer: json!({ "status": "updated", "agent_id": agent, "broadcasted_to": null }),
    })
}

fn call(
    session: &str,
    file: &str,
    kept: &[u8],
    volatile: &[&str],
) -> Result<Call, crate::answer::Refused> {
    Call::new(
        PRODUCER,
        Place::Session(session.to_owned()),
        session,
        file,
        kept,
        volatile,
    )
    .map_err(|error| bad_document(&error))
}
