//! Any program that says itself how its builds stand, in the words of the
//! API's Build: by `CloudEvents`, or in a file that the agent's configuration
//! has a table for (`protocol::mapping`). Both are one thing; a file says more
//! exactly which of its words mean what, and which of them end a build.

use std::sync::LazyLock;

use protocol::mapping::{self, Words};
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

/// What programs commonly say instead of our own words, as no table explains them.
const COMMON: [(&str, &str); 20] = [
    ("success", "completed"),
    ("succeeded", "completed"),
    ("passed", "completed"),
    ("done", "completed"),
    ("complete", "completed"),
    ("finished", "completed"),
    ("failure", "failed"),
    ("error", "failed"),
    ("errored", "failed"),
    ("canceled", "cancelled"),
    ("aborted", "cancelled"),
    ("pending", "queued"),
    ("ready", "queued"),
    ("paused", "waiting"),
    ("blocked", "waiting"),
    ("in_progress", "running"),
    ("started", "running"),
    ("starting", "running"),
    ("active", "running"),
    ("working", "running"),
];

static WORDS: LazyLock<Words> = LazyLock::new(|| Words::new(COMMON, None).unwrap_or_default());

/// What is said of the state.
struct Said {
    /// None: nothing.
    state: Option<BuildState>,
    /// The key of the word.
    key: &'static str,
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

/// Another session, or anything that works after the end.
fn begins_next_run(run: &Run, event: &Event, told: &Map<String, Value>, said: &Said) -> bool {
    let session = name(told, "session_id");
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
        BuildState::Unknown if word.eq_ignore_ascii_case(state.word()) => {
            (state, Some(format!("its program says {word}")))
        }
        BuildState::Unknown => (
            state,
            Some(format!("nobody said what its {} {word:?} means", said.key)),
        ),
        state => (state, None),
    };
    run.say(state, reason);
}

/// As it says; else by the number of the phase; else all of it when it is completed.
fn progress(build: &Build, told: &Map<String, Value>) -> Option<f64> {
    let share = told.get("progress").and_then(share);
    if share.is_none() && build.has_ended() && build.state == BuildState::Completed {
        return Some(1.0);
    }
    let numbered = build
        .phase_number
        .as_deref()
        .and_then(PhaseNumber::parse)
        .and_then(|number| Some((number.at.ceil() - 1.0).max(0.0) / number.of?));
    share.or_else(|| numbered.map(|part| part.min(1.0)))
}

/// A number from 0 to 1, or a text of one. What is beyond may be percent, and is not guessed at.
fn share(value: &Value) -> Option<f64> {
    let share = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    share.filter(|share| (0.0..=1.0).contains(share))
}

impl Said {
    fn of(told: &Map<String, Value>) -> Self {
        // A table has looked at the word already.
        if let Some(ends) = told.get("ends").and_then(Value::as_bool) {
            let state = name(told, "state");
            return Self {
                state: state.as_deref().and_then(BuildState::from_word),
                key: "status",
                word: name(told, "status"),
                ends,
            };
        }
        let key = if name(told, "state").is_some() {
            "state"
        } else {
            "status"
        };
        let word = name(told, key);
        let meaning = word.as_deref().and_then(|word| WORDS.of(word));
        let unknown = word.as_ref().map(|_| BuildState::Unknown);
        Self {
            state: meaning.map(|meaning| meaning.state).or(unknown),
            key,
            word,
            ends: meaning.is_some_and(|meaning| meaning.ends),
        }
    }
}
