//! `checkpoints/ralph/<session>/state.json` of Context Foundry's older loop,
//! written each iteration, some five minutes apart. Beside a live state it
//! counts where it is the newer; otherwise it only adds what is not known.

use protocol::build::Origin;
use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value, json};

use super::parts::{Kind, Parts};
use super::{LONGEST_TAIL_MS, tasks};
use crate::fold::phases;
use crate::fold::run::{EndedBy, Run, moment};
use crate::fold::track::Track;
use crate::fold::value::{count, name, names, sentence};

pub(super) const STATE_FILE: &str = "state.json";
/// What the loop calls the phase after its last one.
const COMPLETE: &str = "complete";

/// Takes over a checkpoint. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let at = moment(event);
    let counts = |run: &Run| run.foundry.believes(Origin::Checkpoint, at);
    let superseded = match &track.run {
        Some(run) if !counts(run) || !begins_next_run(run, event, document) => None,
        _ => track.begin(event),
    };
    let run = track.run.as_mut()?;
    let is_newest = run.foundry.believes(Origin::Checkpoint, at);
    take_over(run, document, is_newest);
    if let Some(session) = session(event, document) {
        run.build.session_id.get_or_insert(session);
    }
    if !is_newest {
        run.conditions.unreadable.remove(&event.file);
        return superseded;
    }
    run.believe(event);
    run.build.origin = run.foundry.tells(Origin::Checkpoint, at);
    run.foundry.is_under_way = true;
    run.foundry.loop_started = name(document, "start_time").or(run.foundry.loop_started.take());
    run.foundry.loops = count(document, "iterations").or(run.foundry.loops);
    // Where a live file tells too, the project is called as its directory.
    let project = name(document, "project_name").filter(|_| !run.foundry.was_live());
    if let Some(project) = project {
        run.build.project = project;
    }
    let phase = name(document, "current_phase");
    if let (Some(phase), false) = (&phase, run.build.has_ended()) {
        if phases::same(phase, COMPLETE) {
            let reason = "its checkpoint says that it is complete".to_owned();
            run.end(BuildState::Completed, reason, at, EndedBy::State);
            run.build.progress = Some(1.0);
            track.silences.leave(at);
        } else {
            phases::enter(&mut run.build.phases, phase, at);
            track.silences.seen(phase, at);
            run.say(BuildState::Running, None);
        }
        run.build.phase = Some(phase.clone());
    } else if !run.build.has_ended() {
        run.say(BuildState::Running, None);
    }
    superseded
}

/// The session is the directory's name; the file's own word may be missing.
fn session(event: &Event, document: &Map<String, Value>) -> Option<String> {
    let dir = event.file.rsplit('/').nth(1).map(str::to_owned);
    name(document, "session_id").or(dir)
}

/// Another start, fewer loops, or work after an end.
fn begins_next_run(run: &Run, event: &Event, document: &Map<String, Value>) -> bool {
    let differs = |known: &Option<String>, told: Option<String>| {
        known.is_some() && told.is_some() && *known != told
    };
    let fewer = matches!(
        (run.foundry.loops, count(document, "iterations")),
        (Some(before), Some(now)) if now < before
    );
    if differs(&run.foundry.loop_started, name(document, "start_time")) || fewer {
        return true;
    }
    let Some(ended) = run.build.ended_at else {
        return event.recreated && run.build.origin == Origin::Checkpoint;
    };
    let phase = name(document, "current_phase");
    let works = phase.is_some_and(|phase| !phases::same(&phase, COMPLETE));
    works && (event.recreated || moment(event).millis_since(ended) > LONGEST_TAIL_MS)
}

/// The keys of the checkpoint. Its artifacts are whole documents: only their names are taken.
fn take_over(run: &mut Run, document: &Map<String, Value>, is_newest: bool) {
    let mut told = document.clone();
    if let Some(Value::Object(artifacts)) = told.get("artifacts") {
        let names: Vec<&String> = artifacts.keys().collect();
        let names = json!(names);
        told.insert("artifacts".to_owned(), names);
    }
    if !is_newest {
        told.retain(|key, _| !run.build.fields.contains_key(key));
    }
    run.merge_fields(&told);
    if is_newest {
        let last = names(document, "completed_tasks").and_then(|tasks| tasks.last().cloned());
        let detail = last.or_else(|| sentence(document, "task_description"));
        run.build.detail = detail.or(run.build.detail.take());
    } else if run.build.detail.is_none() {
        run.build.detail = sentence(document, "task_description");
    }
}

/// What the files beside the checkpoint say of the end and of the way to it.
pub(super) fn end(run: &mut Run, parts: &Parts) {
    if run.build.has_ended() {
        return;
    }
    // A phase's number says more.
    if run.number.is_none() && parts.newest(run, Kind::Progress).is_some() {
        run.build.progress = tasks::part_done(&run.build);
    }
    if let Some(flag) = parts.newest(run, Kind::Complete) {
        let at = flag.at;
        let reason = "the flag COMPLETE is beside its checkpoint".to_owned();
        run.end(BuildState::Completed, reason, at, EndedBy::State);
        run.build.progress = Some(1.0);
    }
}
