//! Any program that reports its own builds (`CloudEvents`): the body has the
//! keys of the API's Build, each of which may be missing.

use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value};

use super::phases;
use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{PhaseNumber, name, sentence, web_address};

/// As the calls are kept.
pub(super) const PRODUCER: &str = "http";

/// Takes over how a build stands now. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let word = name(document, "state").or_else(|| name(document, "status"));
    let said = word.as_deref().map_or(BuildState::Running, state);
    let superseded = match &track.run {
        // What works after its end is the next run.
        Some(run) if !run.build.has_ended() || ends(said) => None,
        _ => track.begin(event),
    };
    let at = moment(event);
    let run = track.run.as_mut()?;
    run.believe(event);
    take_over(run, document);
    if let Some(phase) = name(document, "phase") {
        phases::enter(&mut run.build.phases, &phase, at);
        track.silences.seen(&phase, at);
        run.build.phase = Some(phase);
    }
    if ends(said) {
        let reason = format!("its program says {}", word.unwrap_or_default());
        run.end(said, reason, at, EndedBy::State);
        track.silences.leave(at);
    } else {
        run.say(said, None);
    }
    superseded
}

fn ends(state: BuildState) -> bool {
    matches!(
        state,
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled
    )
}

/// Our words, and what programs commonly say instead; any other word means that it works.
fn state(word: &str) -> BuildState {
    let word = word.trim().to_ascii_lowercase();
    BuildState::from_word(&word).unwrap_or(match word.as_str() {
        "success" | "succeeded" | "passed" | "done" | "complete" | "finished" => {
            BuildState::Completed
        }
        "failure" | "error" | "errored" => BuildState::Failed,
        "canceled" | "aborted" => BuildState::Cancelled,
        "pending" | "ready" => BuildState::Queued,
        "paused" | "blocked" => BuildState::Waiting,
        _ => BuildState::Running,
    })
}

fn take_over(run: &mut Run, document: &Map<String, Value>) {
    run.merge_fields(document);
    let build = &mut run.build;
    let keep = |known: &mut Option<String>, new: Option<String>| {
        if new.is_some() {
            *known = new;
        }
    };
    keep(&mut build.session_id, name(document, "session_id"));
    keep(&mut build.status, name(document, "status"));
    keep(&mut build.phase_number, name(document, "phase_number"));
    keep(&mut build.detail, sentence(document, "detail"));
    keep(&mut build.branch, name(document, "branch"));
    keep(&mut build.issue, name(document, "issue"));
    keep(&mut build.commit, name(document, "commit"));
    keep(&mut build.coding_agent, name(document, "coding_agent"));
    keep(&mut build.model, name(document, "model"));
    keep(&mut build.error, sentence(document, "error"));
    keep(&mut build.pr_url, web_address(document, &["pr_url"]));
    if let Some(project) = name(document, "project") {
        build.project = project;
    }
    let told = document.get("progress").and_then(Value::as_f64);
    let numbered = build
        .phase_number
        .as_deref()
        .and_then(PhaseNumber::parse)
        .and_then(|number| Some((number.at.ceil() - 1.0).max(0.0) / number.of?));
    build.progress = told.or(numbered).map(|part| part.clamp(0.0, 1.0));
}
