//! What the orchestrator tells by HTTP: a phase starts (`http/adw-phase-update`),
//! how a phase went (`http/task-logs`), the end (`http/workflow-complete`), or
//! anything (`http/event`). It says the same as `completed_phases.json`, so it
//! is brought into that shape, and the newer of the two counts.

use std::borrow::Cow;

use protocol::{BuildState, Event, Timestamp};
use serde_json::{Map, Value, json};

use super::{PHASES, fields, judge, task_logs, words};
use crate::fold::phases;
use crate::fold::run::{EndedBy, Run};
use crate::fold::value::{cut, name, names, sentence};

/// Anything else that is told of a workflow, and where it may tell it beside its own members.
const EVENT: &str = "http/event";
const NESTED: [&str; 3] = ["data", "payload", "metadata"];

/// Tells the end of a workflow.
const COMPLETE: &str = "http/workflow-complete";
/// What the orchestrator calls the phase after the last one.
const END: &str = "Completed";

/// Whether a call says that a phase starts.
pub(super) fn starts(event: &Event, document: &Map<String, Value>) -> bool {
    let document = &*told(event, document);
    phase(document).is_some()
        && status(document).is_some_and(|word| words::state(&word) == BuildState::Running)
}

/// The phase: a name, or an object with one, as in some state files.
fn phase(document: &Map<String, Value>) -> Option<String> {
    let object = || document.get("current_phase").and_then(Value::as_object);
    name(document, "phase_name")
        .or_else(|| name(object()?, "name"))
        .or_else(|| name(document, "current_phase"))
}

pub(super) fn status(document: &Map<String, Value>) -> Option<String> {
    name(document, "phase_status").or_else(|| name(document, "status"))
}

/// What a call tells: an event (`http/event`) may have it all in a member of its own.
fn told<'a>(event: &Event, document: &'a Map<String, Value>) -> Cow<'a, Map<String, Value>> {
    if event.file != EVENT {
        return Cow::Borrowed(document);
    }
    let nested = NESTED.iter().rev();
    let nested = nested.filter_map(|key| document.get(*key)?.as_object());
    let mut all = Map::new();
    for members in nested.chain([document]) {
        let known = members.iter().filter(|(_, value)| !value.is_null());
        all.extend(known.map(|(key, value)| (key.clone(), value.clone())));
    }
    Cow::Owned(all)
}

/// Takes over a call. Any other than these is a sign of life.
pub(super) fn content(run: &mut Run, event: &Event, document: &Map<String, Value>, at: Timestamp) {
    let document = &*told(event, document);
    fields::merge_told(run, document);
    if event.file == "http/task-logs"
        && let Some(phase) = phase(document)
    {
        // What it cost counts however late it is told.
        task_logs::keep(run, &phase, event, document);
    }
    if run.build.has_ended() {
        return;
    }
    let Some(word) = status(document) else {
        if event.file == COMPLETE {
            judge(run, at);
            let reason = "its orchestrator says that it is complete, and not how it ended";
            return run.end(BuildState::Unknown, reason.to_owned(), at, EndedBy::State);
        }
        // It says that something of the workflow works.
        return judge(run, at);
    };
    let state = words::state(&word);
    let (phase, ends) = match event.file.as_str() {
        COMPLETE => (None, true),
        "http/adw-phase-update" | EVENT => {
            let phase = phase(document);
            if phase.is_none() && event.file == EVENT {
                // A word that is said of no phase may be of anything.
                return judge(run, at);
            }
            let ends = phase
                .as_deref()
                .is_some_and(|phase| phases::same(phase, END));
            (phase.filter(|_| !ends), ends)
        }
        "http/task-logs" => (phase(document), false),
        _ => return,
    };
    if let Some(phase) = &phase {
        enter(run, phase, state, &word);
        run.adw.phases_at = Some(at);
        if state == BuildState::Running {
            run.adw.phase_began_at = Some(at);
        }
    }
    if let Some(number) = name(document, "phase_number").filter(|_| phase.is_some()) {
        run.build.phase_number = Some(number);
    }
    let whole = || phase.clone().unwrap_or_else(|| "the workflow".to_owned());
    let is_end = matches!(
        state,
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled
    );
    judge(run, at);
    if (ends && is_end) || state == BuildState::Failed {
        if state == BuildState::Failed {
            run.build.error = sentence(document, "error_message").or(run.build.error.take());
        }
        let reason = format!(
            "its orchestrator says of {}: {}",
            cut(&whole(), 80),
            cut(&word, 80)
        );
        run.end(state, reason, at, EndedBy::State);
    }
}

/// Brings what is said of a phase into the list of completed ones.
pub(super) fn enter(run: &mut Run, phase: &str, state: BuildState, word: &str) {
    let list = run.build.fields.get(PHASES).and_then(Value::as_object);
    let mut completed = list
        .and_then(|list| names(list, "completed"))
        .unwrap_or_default();
    let before = list.and_then(|list| name(list, "current"));
    let mut add = |name: &str| {
        if !completed.iter().any(|known| phases::same(known, name)) {
            completed.push(name.to_owned());
        }
    };
    // It went on to another phase: the one before is done.
    if let Some(before) = before.filter(|before| !phases::same(before, phase)) {
        add(&before);
    }
    let done = state == BuildState::Completed;
    if done {
        add(phase);
    }
    let current = (!done && word != "skipped").then_some(phase);
    let list = json!({
        "completed": completed, "current": current, "of": phase, "status": word, "from": "its orchestrator"
    });
    run.told = Some(completed.len());
    run.build.fields.insert(PHASES.to_owned(), list);
}
