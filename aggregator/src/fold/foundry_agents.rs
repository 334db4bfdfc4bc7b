//! What agents of a Context Foundry build report of themselves
//! (`http/agent-update`): one entry for each, its newest report in the place
//! of its last. What a report leaves out stays as it was known.

use protocol::build::Context;
use protocol::{Build, Timestamp};
use serde_json::{Map, Value, json};

use super::context_foundry;
use super::limits::MAX_SENTENCE;
use super::value::{count, cut, name, sentence};

/// Agents that a build lists; a parallel build has some ten.
const MAX_AGENTS: usize = 100;
/// Decisions of one report that are read: more than any agent takes at once.
const MAX_DECISIONS: usize = 50;

/// Takes over one report.
pub(super) fn report(build: &mut Build, document: &Map<String, Value>, at: Timestamp) {
    let Some(id) = name(document, "agent_id") else {
        return;
    };
    let empty = Map::new();
    let metadata = match document.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => &empty,
    };
    let figure = |key: &str| count(document, key).or_else(|| count(metadata, key));
    let progress = document.get("progress_percent").and_then(Value::as_f64);
    let progress = progress.filter(|percent| (0.0..=100.0).contains(percent));
    let state = name(document, "status");
    let flag = |object: &Map<String, Value>| object.get("success").and_then(Value::as_bool);
    let success = flag(document).or_else(|| flag(metadata));
    let told = json!({
        "id": id,
        "type": name(document, "agent_type"),
        "name": name(document, "agent_name"),
        "state": state,
        "phase": name(document, "phase"),
        "progress": progress.map(|percent| percent / 100.0),
        "tokens_used": count(document, "tokens_used"),
        "tokens_limit": count(document, "tokens_limit"),
        "error": sentence(document, "error_message").map(|text| cut(&text, MAX_SENTENCE)),
        "parent": name(document, "parent_agent_id"),
        "success": success.or_else(|| outcome(state.as_deref())),
        "issues_found": figure("issues_found"),
        "issues_fixed": figure("issues_fixed"),
        "duration_ms": duration_ms(document).or_else(|| duration_ms(metadata)),
    });
    window(build, document);
    let agents = build.agents.get_or_insert_with(|| json!([]));
    let Value::Array(list) = agents else { return };
    match list.iter().position(|agent| agent["id"] == told["id"]) {
        Some(place) => update(&mut list[place], told, at),
        None if list.len() < MAX_AGENTS => {
            let mut agent = json!({"started_at": at, "ended_at": null});
            update(&mut agent, told, at);
            list.push(agent);
        }
        None => {}
    }
}

/// Brings a report into an agent's entry. How long it took is what it says
/// itself, else from its first report to the one that ends it.
fn update(agent: &mut Value, told: Value, at: Timestamp) {
    let (Value::Object(known), Value::Object(told)) = (agent, told) else {
        return;
    };
    let ended = outcome(told.get("state").and_then(Value::as_str)).is_some();
    for (key, value) in told {
        if !value.is_null() || !known.contains_key(&key) {
            known.insert(key, value);
        }
    }
    if !ended {
        known.insert("ended_at".to_owned(), Value::Null);
        return;
    }
    if known.get("ended_at").is_none_or(Value::is_null) {
        known.insert("ended_at".to_owned(), json!(at));
    }
    let started = known.get("started_at").and_then(Value::as_str);
    let started: Option<Timestamp> = started.and_then(|text| text.parse().ok());
    if let (Some(started), Some(Value::Null)) = (started, known.get("duration_ms")) {
        let took = at.millis_since(started);
        if took > 0 {
            known.insert("duration_ms".to_owned(), json!(took));
        }
    }
}

/// Whether a status word is an end, and which.
fn outcome(state: Option<&str>) -> Option<bool> {
    match state?.to_ascii_lowercase().as_str() {
        "completed" => Some(true),
        "failed" => Some(false),
        _ => None,
    }
}

fn duration_ms(told: &Map<String, Value>) -> Option<u64> {
    let seconds = told.get("duration_seconds")?.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to a year"
    )]
    (0.0..=3.2e7)
        .contains(&seconds)
        .then(|| (seconds * 1000.0).round() as u64)
}

/// The context window of the agent that reported last is the build's.
fn window(build: &mut Build, document: &Map<String, Value>) {
    let (used, limit) = (
        count(document, "tokens_used"),
        count(document, "tokens_limit"),
    );
    if used.is_some() && limit.is_some() {
        build.context = Some(Context { used, limit });
    }
}

/// The decisions that a report tells.
pub(super) fn decisions(document: &Map<String, Value>) -> Vec<Value> {
    let metadata = document.get("metadata").and_then(Value::as_object);
    let told = metadata.and_then(|metadata| metadata.get("decisions")?.as_array());
    let told = told.into_iter().flatten().filter_map(Value::as_object);
    told.take(MAX_DECISIONS)
        .map(context_foundry::decision)
        .collect()
}
