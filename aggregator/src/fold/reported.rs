//! Any program that says itself how its builds stand, in the words of the
//! API's Build: by `CloudEvents`, or in a file that the agent's configuration
//! has a table for (`protocol::mapping`). Both are one thing; a file says more
//! exactly which of its words mean what, and which of them end a build.

use protocol::mapping;
use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value};

use super::phases;
use super::run::{EndedBy, Run, moment};
use super::told;
use super::track::Track;
use super::value::{PhaseNumber, cut, name, names};

/// As the calls are kept.
const PRODUCER: &str = "http";

/// Characters of a producer's word in a reason.
const WORD_CHARS: usize = 80;

/// What is said of the state.
struct Said {
    /// None: nothing.
    state: Option<BuildState>,
    /// The producer's own word.
    word: Option<String>,
    /// Nothing more is expected.
    ends: bool,
}

/// Whether this producer says itself how its builds stand: a table mapped its file, whatever it is called.
pub(super) fn tells(producer: &str, document: &Map<String, Value>) -> bool {
    producer == PRODUCER || mapping::parts(document).is_some()
}

/// Takes over how a build stands now. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let Some(parts) = mapping::parts(document) else {
        return take(track, event, document, document);
    };
    match parts.document {
        Value::Object(fields) => take(track, event, parts.told, fields),
        other => {
            let mut fields = Map::new();
            fields.insert("document".to_owned(), other.clone());
            take(track, event, parts.told, &fields)
        }
    }
}

/// `told` is in the words of a build, `fields` as the producer wrote it.
fn take(
    track: &mut Track,
    event: &Event,
    told: &Map<String, Value>,
    fields: &Map<String, Value>,
) -> Option<Build> {
    let said = Said::of(told);
    if track.run.as_ref().is_some_and(|run| is_older(run, event)) {
        return None;
    }
    let superseded = match &track.run {
        Some(run) if !begins_next_run(run, event, told, &said) => None,
        _ => track.begin(event),
    };
    let at = moment(event);
    let run = track.run.as_mut()?;
    run.believe(event);
    if !event.is_call() {
        run.told_by = Some((at, event.file.clone()));
    }
    run.merge_fields(fields);
    told::take_over(&mut run.build, told);
    enter_phases(run, told, &said, event);
    judge(run, &said, event);
    run.build.progress = progress(&run.build, told);
    if run.build.has_ended() {
        track.silences.leave(at);
    } else if let Some(phase) = &run.build.phase {
        track.silences.seen(phase, at);
    }
    superseded
}

/// Of several files of one project the newest tells: another one that is older
/// (found at the start, or a copy) changes nothing.
fn is_older(run: &Run, event: &Event) -> bool {
    run.told_by
        .as_ref()
        .is_some_and(|(at, file)| *file != event.file && moment(event) < *at)
}

/// A file that names another session, or anything that works after its end.
/// Calls of one source may be about several sessions in turn.
fn begins_next_run(run: &Run, event: &Event, told: &Map<String, Value>, said: &Said) -> bool {
    let session = name(told, "session_id").filter(|_| !event.is_call());
    if session.is_some() && run.build.session_id.is_some() && session != run.build.session_id {
        return true;
    }
    let works = match said.state {
        Some(state) => matches!(
            state,
            BuildState::Queued | BuildState::Running | BuildState::Waiting | BuildState::Stalled
        ),
        None => event.is_call(),
    };
    run.build.has_ended() && works
}

fn enter_phases(run: &mut Run, told: &Map<String, Value>, said: &Said, event: &Event) {
    let at = moment(event);
    let build = &mut run.build;
    if let Some(phase) = name(told, "phase") {
        build.phase = Some(phase);
    }
    if let Some(done) = names(told, "phases_completed") {
        phases::told_completed(&mut build.phases, &done, build.phase.as_deref(), at);
    }
    // Said again without its name, the phase is the one that is known.
    let Some(phase) = build.phase.clone().filter(|_| !build.has_ended()) else {
        return;
    };
    match said.state {
        Some(BuildState::Completed) => phases::finish(&mut build.phases, &phase, at),
        _ => phases::enter(&mut build.phases, &phase, at),
    }
    phases::count_iterations(&mut build.phases, &phase, build.test_iteration);
}

fn judge(run: &mut Run, said: &Said, event: &Event) {
    let word = cut(said.word.as_deref().unwrap_or_default(), WORD_CHARS);
    let Some(state) = said.state else {
        if !run.build.has_ended() {
            run.say(BuildState::Running, None);
        }
        return;
    };
    if said.ends {
        let reason = format!("its program says {word}");
        return run.end(state, reason, moment(event), EndedBy::State);
    }
    let phase = run.build.phase.clone();
    let phase = cut(phase.as_deref().unwrap_or("a phase"), WORD_CHARS);
    let (state, reason) = match state {
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled => (
            BuildState::Running,
            Some(format!("it says {word} of {phase}, which ends no build")),
        ),
        BuildState::Unknown => (
            BuildState::Unknown,
            Some(format!("nobody said what its status {word:?} means")),
        ),
        state => (state, None),
    };
    run.say(state, reason);
}

/// As it says; else by the number of the phase; else all of it when it is completed.
fn progress(build: &Build, told: &Map<String, Value>) -> Option<f64> {
    let share = told.get("progress").and_then(Value::as_f64);
    if share.is_none() && build.has_ended() && build.state == BuildState::Completed {
        return Some(1.0);
    }
    let numbered = build
        .phase_number
        .as_deref()
        .and_then(PhaseNumber::parse)
        .and_then(|number| Some((number.at.ceil() - 1.0).max(0.0) / number.of?));
    share.or(numbered).map(|part| part.clamp(0.0, 1.0))
}

impl Said {
    fn of(told: &Map<String, Value>) -> Self {
        // A table has looked at the word already.
        if let Some(ends) = told.get("ends").and_then(Value::as_bool) {
            let state = name(told, "state");
            return Self {
                state: state.as_deref().and_then(BuildState::from_word),
                word: name(told, "status"),
                ends,
            };
        }
        let word = name(told, "state").or_else(|| name(told, "status"));
        let state = word.as_deref().map(state);
        let ends = matches!(
            state,
            Some(BuildState::Completed | BuildState::Failed | BuildState::Cancelled)
        );
        Self { state, word, ends }
    }
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
