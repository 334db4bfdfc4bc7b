//! What Context Foundry's v1 broadcasts (`http/broadcast`) and its agents
//! report (`http/agent-update`). Its `phase-update` is the phase file itself.

use protocol::build::Context;
use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value, json};

use super::limits::{MAX_NAME, MAX_SENTENCE};
use super::phases;
use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{count, cut, name, sentence};

/// Agents that a build lists; a parallel build has some ten.
const MAX_AGENTS: usize = 100;
/// What Context Foundry counts its percentages of, tokens (its own constant).
const CONTEXT_LIMIT: u64 = 200_000;

/// Whether the content came by one of these calls.
pub(super) fn is_call(event: &Event) -> bool {
    event.file.starts_with("http/")
}

/// Takes over one call. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let superseded = match &track.run {
        Some(run) if !begins_next_run(run, document) => None,
        _ => track.begin(event),
    };
    let run = track.run.as_mut()?;
    run.believe(event);
    if let Some(session) = name(document, "session_id") {
        run.build.session_id.get_or_insert(session);
    }
    if event.file.ends_with("agent-update") {
        agent(&mut run.build, document);
    } else {
        broadcast(run, event, document);
    }
    if !run.build.has_ended() {
        run.say(BuildState::Running, None);
    }
    superseded
}

/// It works again after its end.
pub(super) fn begins_next_run(run: &Run, document: &Map<String, Value>) -> bool {
    run.build.has_ended() && starts(document)
}

/// A process that begins counts from one again.
fn starts(document: &Map<String, Value>) -> bool {
    count(document, "sequence") == Some(1)
}

fn broadcast(run: &mut Run, event: &Event, document: &Map<String, Value>) {
    let at = moment(event);
    let empty = Map::new();
    let data = match document.get("data") {
        Some(Value::Object(data)) => data,
        _ => &empty,
    };
    context(&mut run.build, data);
    match name(document, "type").unwrap_or_default().as_str() {
        "phase_change" => {
            if let Some(phase) = name(data, "phase") {
                phases::enter(&mut run.build.phases, &phase, at);
                run.build.phase = Some(phase);
            }
        }
        "iteration_start" | "iteration_complete" => {
            if let Some(iteration) = count(data, "iteration") {
                run.build
                    .fields
                    .insert("iteration".to_owned(), json!(iteration));
            }
        }
        "task_complete" => run.build.detail = sentence(data, "task"),
        "error" => run.build.error = sentence(data, "message"),
        "completion" => complete(run, data, event),
        // Lines of a log are no state; others are not known.
        _ => {}
    }
}

fn complete(run: &mut Run, data: &Map<String, Value>, event: &Event) {
    let (state, reason) = match data.get("success").and_then(Value::as_bool) {
        Some(false) => (BuildState::Failed, "it broadcast that it did not succeed"),
        _ => (BuildState::Completed, "it broadcast its completion"),
    };
    if let Some(summary) = data.get("summary").filter(|summary| !summary.is_null()) {
        run.build.summary = Some(summary.clone());
    }
    run.end(state, reason.to_owned(), moment(event), EndedBy::State);
}

/// Tokens where they are told, else the percentage of its limit, which may exceed 100.
fn context(build: &mut Build, data: &Map<String, Value>) {
    let percent = ["percent", "context_percent"]
        .iter()
        .find_map(|key| data.get(*key)?.as_f64())
        .filter(|percent| (0.0..=10_000.0).contains(percent));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 20 million tokens"
    )]
    let of_percent = percent.map(|percent| (percent / 100.0 * CONTEXT_LIMIT as f64).round() as u64);
    if let Some(used) = count(data, "tokens_used").or(of_percent) {
        build.context = Some(Context {
            used: Some(used),
            limit: Some(CONTEXT_LIMIT),
        });
    }
}

/// One agent's newest report takes the place of its last.
fn agent(build: &mut Build, document: &Map<String, Value>) {
    let Some(id) = name(document, "agent_id") else {
        return;
    };
    let told = json!({
        "id": cut(&id, MAX_NAME),
        "type": name(document, "agent_type"),
        "name": name(document, "agent_name"),
        "state": name(document, "status"),
        "phase": name(document, "phase"),
        "progress": document.get("progress_percent").and_then(Value::as_f64).map(|percent| percent / 100.0),
        "tokens_used": count(document, "tokens_used"),
        "tokens_limit": count(document, "tokens_limit"),
        "error": sentence(document, "error_message").map(|text| cut(&text, MAX_SENTENCE)),
    });
    let agents = build.agents.get_or_insert_with(|| json!([]));
    let Value::Array(list) = agents else { return };
    match list.iter().position(|agent| agent["id"] == told["id"]) {
        Some(place) => list[place] = told,
        None if list.len() < MAX_AGENTS => list.push(told),
        None => {}
    }
}
