//! What Context Foundry's v1 broadcasts, by call (`http/broadcast`) or into a
//! log of its own (`events.jsonl`), and what its agents report
//! (`http/agent-update`). Its `phase-update` is the phase file itself.

use protocol::build::{Context, Origin};
use protocol::{Build, BuildState, Event, Timestamp};
use serde_json::{Map, Value, json};

use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{count, name, sentence};
use super::{context_foundry, foundry_agents, phases};

/// What Context Foundry counts its percentages of, tokens (its own constant).
const CONTEXT_LIMIT: u64 = 200_000;

/// The log of its broadcasts.
pub(super) const LOG_FILE: &str = "events.jsonl";
/// Version of the log's digest that is understood.
const VERSION: u64 = 1;

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
        foundry_agents::report(&mut run.build, document, moment(event));
        for decision in foundry_agents::decisions(document) {
            run.foundry.decided(decision);
        }
        run.foundry.context_at = run.build.context.map(|_| moment(event));
    } else {
        broadcast(run, document, Origin::Http, moment(event));
    }
    if !run.build.has_ended() {
        run.say(BuildState::Running, None);
    }
    superseded
}

/// Takes over the newest events of the log, each once. Returns the last run
/// that was superseded.
pub(super) fn log(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let at = moment(event);
    let is_log = count(document, "v") == Some(VERSION);
    let next = count(document, "next").filter(|_| is_log)?;
    // Fewer than were taken over: it is another log.
    let taken = Some(track.parts.events).filter(|taken| *taken <= next);
    let taken = taken.unwrap_or(0);
    track.parts.events = next;
    let told = document.get("events").and_then(Value::as_array);
    let told = told.into_iter().flatten().filter_map(Value::as_object);
    let first = told.clone().next().and_then(|told| count(told, "number"));
    let is_gap = !event.found && first.is_some_and(|first| first > taken);
    let mut superseded = None;
    for told in told.filter(|told| count(told, "number").is_some_and(|number| number >= taken)) {
        let goes_on = |run: &Run| !(run.build.has_ended() && starts(told));
        if !track.run.as_ref().is_some_and(goes_on) {
            superseded = track.begin(event).or(superseded);
        }
        let Some(run) = track.run.as_mut() else {
            continue;
        };
        if !run.foundry.believes(Origin::Live, at) {
            continue; // the checkpoint is newer
        }
        run.believe(event);
        broadcast(run, told, Origin::Live, at);
        if !run.build.has_ended() {
            run.say(BuildState::Running, None);
        }
    }
    if let Some(run) = &mut track.run {
        if is_gap && !run.build.has_ended() {
            run.build.gap_at = Some(event.observed_at); // more came at once than is told
        }
        let session = event.file.rsplit('/').nth(1);
        let known = &mut run.build.session_id;
        *known = known.take().or_else(|| session.map(str::to_owned));
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

fn broadcast(run: &mut Run, document: &Map<String, Value>, origin: Origin, at: Timestamp) {
    let empty = Map::new();
    let data = match document.get("data") {
        Some(Value::Object(data)) => data,
        _ => &empty,
    };
    run.build.origin = run.foundry.tells(origin, at);
    if let Some(context) = context(data) {
        run.build.context = Some(context);
        run.foundry.context_at = Some(at);
    }
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
        "task_complete" => {
            run.build.detail = sentence(data, "task");
            if let Some(task) = name(data, "task") {
                run.foundry.task_done(task);
            }
        }
        "decision" => run.foundry.decided(context_foundry::decision(data)),
        "error" => run.build.error = sentence(data, "message"),
        "completion" => complete(run, data, at),
        // Lines of a log are no state; others are not known.
        _ => {}
    }
}

fn complete(run: &mut Run, data: &Map<String, Value>, at: Timestamp) {
    let (state, reason) = match data.get("success").and_then(Value::as_bool) {
        Some(false) => (BuildState::Failed, "it broadcast that it did not succeed"),
        _ => (BuildState::Completed, "it broadcast its completion"),
    };
    if let Some(summary) = data.get("summary").filter(|summary| !summary.is_null()) {
        run.build.summary = Some(summary.clone());
    }
    run.end(state, reason.to_owned(), at, EndedBy::State);
}

/// Tokens where they are told, else the percentage of its limit.
fn context(data: &Map<String, Value>) -> Option<Context> {
    let mut percents = ["percent", "context_percent"].iter();
    let percent = percents.find_map(|key| data.get(*key)?.as_f64());
    let told = count(data, "tokens_used").map(|used| Context {
        used: Some(used),
        limit: Some(CONTEXT_LIMIT),
    });
    told.or_else(|| context_of(percent?))
}

/// A percentage of the context, which may exceed 100.
pub(super) fn context_of(percent: f64) -> Option<Context> {
    if !(0.0..=10_000.0).contains(&percent) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 20 million tokens"
    )]
    let used = (percent / 100.0 * CONTEXT_LIMIT as f64).round() as u64;
    Some(Context {
        used: Some(used),
        limit: Some(CONTEXT_LIMIT),
    })
}
