//! Context Foundry: `.context-foundry/current-phase.json`, rewritten some
//! twice per phase by a language model, and `session-summary.json`, once at
//! the end; parts that belong to either (`parts`), and the checkpoints of its
//! older loop. Vocabulary and oddities were counted in its committed files and in
//! all versions of its prompts; the words are open, so unknown ones mean "running".

mod checkpoint;
mod facts;
mod feedback;
mod memory;
pub(super) mod parts;
mod session;
mod summary;
mod tasks;
mod tests;

use protocol::build::Origin;
use protocol::mapping::FOUNDRY_PHASE;
use protocol::{Build, BuildState, Event, PhaseState};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::run::{EndedBy, Run, moment};
use super::told;
use super::track::Track;
use super::value::{PhaseNumber, cut, name, names};
use super::{broadcast, phases};
pub(super) use feedback::decision;
pub(super) use memory::Memory;

/// As agents name it.
pub(super) const PRODUCER: &str = "context-foundry";
const STATE_FILE: &str = "current-phase.json";
const SUMMARY_FILE: &str = "session-summary.json";

/// Phases after which nothing comes, whatever the number says.
const LAST_PHASES: [&str; 3] = ["Feedback", "GitHub Integration", "Complete"];

/// What a build still writes after its summary is its tail for this long,
/// milliseconds: two of its last phases take less. Later it is another build.
const LONGEST_TAIL_MS: i64 = 10 * 60_000;

/// Whether this is the file that says where a project's build stands.
pub(super) fn is_live_file(file: &str) -> bool {
    file.rsplit('/').nth(1) == Some(".context-foundry") && file_name(file) == STATE_FILE
}

/// The session that such a file names, where it is called otherwise than its directory: what is
/// called alike has one track from the beginning.
pub(crate) fn live_session(event: &Event) -> Option<String> {
    let is_live = event.producer == PRODUCER && !event.is_call() && is_live_file(&event.file);
    let text = event.document.as_ref().filter(|_| is_live)?.get();
    let named: Named = serde_json::from_str(text).ok()?;
    named
        .session_id
        .filter(|session| !session.is_empty() && *session != event.project)
}

#[derive(Deserialize)]
struct Named {
    session_id: Option<String>,
}

/// The session whose directory a file of the older loop lies in.
pub(crate) fn session_of(file: &str) -> Option<&str> {
    let session = match file.split('/').collect::<Vec<_>>()[..] {
        ["checkpoints", "ralph", session, _] | ["logs", "events", session, _] => session,
        ["logs", dir, "session.jsonl"] => dir.strip_prefix("ralph_")?,
        _ => return None,
    };
    (!session.is_empty()).then_some(session)
}

fn file_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or_default()
}

/// Whether an equal content is news all the same: a summary where the run is
/// another, a part that was written again.
pub(super) fn is_news_again(track: &Track, event: &Event) -> bool {
    if parts::kind(&event.file).is_some() {
        return track.parts.is_news(event);
    }
    let without_summary = track
        .run
        .as_ref()
        .is_some_and(|run| run.build.summary.is_none());
    file_name(&event.file) == SUMMARY_FILE && without_summary && !summary::is_stale(track, event)
}

/// Takes over one file or call. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let superseded = if let Some(kind) = parts::kind(&event.file) {
        part(track, kind, event, document);
        None
    } else if broadcast::is_call(event) {
        broadcast::content(track, event, document)
    } else {
        match file_name(&event.file) {
            SUMMARY_FILE => {
                summary::content(track, event, document);
                None
            }
            checkpoint::STATE_FILE => checkpoint::content(track, event, document),
            broadcast::LOG_FILE => broadcast::log(track, event, document),
            _ => state(track, event, document),
        }
    };
    apply(track);
    superseded
}

/// A part never begins a build: it waits for one.
fn part(track: &mut Track, kind: parts::Kind, event: &Event, document: &Map<String, Value>) {
    let run = track.run.as_ref();
    let is_taken = track.parts.take(kind, run, event, document);
    let Some(run) = track.run.as_mut().filter(|_| is_taken) else {
        return;
    };
    run.conditions.unreadable.remove(&event.file);
    run.conditions.silent = None;
    run.glimpsed(event);
}

/// Brings what the parts say to the build, whichever of them came first.
pub(super) fn apply(track: &mut Track) {
    let (Some(run), parts) = (&mut track.run, &track.parts) else {
        return;
    };
    session::apply(run, parts);
    run.build.test_iteration = tests::iteration(run, parts);
    run.build.tests = tests::told(run, parts);
    run.build.tasks = tasks::told(run, parts);
    run.build.decisions = feedback::told(run, parts);
    run.build.facts = facts::told(run, parts);
    checkpoint::end(run, parts);
}

/// A part that cannot be read is said on its build, and begins none.
pub(super) fn unreadable_begins(event: &Event) -> bool {
    parts::kind(&event.file).is_none()
}

/// A file is gone. True: it is the one that said where the build stands.
pub(super) fn removed(track: &mut Track, event: &Event) -> bool {
    if parts::kind(&event.file).is_some() {
        track.parts.remove(&event.file, track.run.as_ref());
        apply(track);
        return false;
    }
    let origin = track.run.as_ref().map(|run| run.build.origin);
    match file_name(&event.file) {
        STATE_FILE => origin != Some(Origin::Checkpoint),
        checkpoint::STATE_FILE => origin == Some(Origin::Checkpoint),
        _ => false,
    }
}

/// What a status word means for the build.
enum Meaning {
    Ends(BuildState),
    PhaseCompleted,
    Goes(BuildState),
}

fn meaning(status: &str) -> Meaning {
    match FOUNDRY_PHASE.words.of(status) {
        Some(word) if word.ends => Meaning::Ends(word.state),
        Some(word) if word.state == BuildState::Completed => Meaning::PhaseCompleted,
        word => Meaning::Goes(word.map_or(BuildState::Running, |word| word.state)),
    }
}

/// Whether the files of a build tell where it stands: they are watched, and
/// could be read. A call that carries their content then shows only that the
/// build lives: it may be of another project of that name, and what it says of this one the file says too.
fn is_told_by_files(run: &Run) -> bool {
    let conditions = &run.conditions;
    run.build.origin == Origin::Live
        && !run.build.has_ended()
        && conditions.host_gone.is_none()
        && conditions.root_missing.is_none()
        && conditions.unreadable.is_empty()
        && conditions.removed.is_none()
}

/// The first file of a build that only calls had told of.
fn meet_file(run: &mut Run, event: &Event) {
    let build = &mut run.build;
    if build.origin == Origin::Http && !event.is_call() {
        build.origin = Origin::Live;
        build.project.clone_from(&event.project);
        build.root.clone_from(&event.root);
        build.path.clone_from(&event.path);
    }
}

fn state(track: &mut Track, event: &Event, document: &Map<String, Value>) -> Option<Build> {
    if let Some(run) = track
        .run
        .as_mut()
        .filter(|run| event.is_call() && is_told_by_files(run))
    {
        run.conditions.silent = None;
        run.seen_at(event);
        return None;
    }
    let origin = if event.is_call() {
        Origin::Http
    } else {
        Origin::Live
    };
    let believes = |run: &Run| run.foundry.believes(origin, moment(event));
    if track.run.as_ref().is_some_and(|run| !believes(run)) {
        return None; // the checkpoint is newer
    }
    let superseded = match &track.run {
        Some(run) if !begins_next_run(run, event, document) => None,
        _ => track.begin(event),
    };
    let at = moment(event);
    let run = track.run.as_mut()?;
    meet_file(run, event);
    run.believe(event);
    run.build.origin = run.foundry.tells(origin, at);
    if origin == Origin::Live {
        run.foundry.met_live_file = true;
        run.build.project.clone_from(&event.project);
    }
    take_over(run, document);
    let build = &mut run.build;

    let told = names(document, "phases_completed");
    let current = build.phase.clone();
    if let Some(told) = &told {
        run.told = Some(told.len());
        phases::told_completed(&mut build.phases, told, current.as_deref(), at);
    }
    let status = build.status.clone().unwrap_or_default();
    let meaning = meaning(&status);
    if let Some(current) = &current {
        match meaning {
            Meaning::PhaseCompleted => phases::finish(&mut build.phases, current, at),
            // Written before the end and read behind it: no other visit.
            _ if build.has_ended() && phases::knows(&build.phases, current) => {}
            _ => phases::enter(&mut build.phases, current, at),
        }
        phases::count_iterations(&mut build.phases, current, build.test_iteration);
        track.silences.seen(current, at);
    }
    judge(run, &meaning, &status, event);
    if run.build.has_ended() {
        track.silences.leave(at);
    }
    superseded
}

/// Where the new content stands against the run: the file was re-created, the
/// completed phases became fewer, the number returned to the start, or the run
/// is over and this cannot be its tail.
pub(super) fn begins_next_run(run: &Run, event: &Event, document: &Map<String, Value>) -> bool {
    if run.summary_only {
        return run
            .build
            .ended_at
            .is_some_and(|ended| moment(event) > ended);
    }
    let told = names(document, "phases_completed").map(|names| names.len());
    let number = name(document, "phase_number").and_then(|text| PhaseNumber::parse(&text));
    let fell = matches!((run.number, number), (Some(before), Some(now)) if now.at < before);
    let shrank = matches!((run.told, told), (Some(before), Some(now)) if now < before);
    let at_start = number.is_some_and(|now| now.at <= 1.0);
    // Where a checkpoint began the run, the first live file is no second one.
    let is_first = run.foundry.is_of_checkpoint() && !run.build.has_ended();
    let recreated = event.recreated && !is_first;
    if recreated || shrank || (fell && at_start) {
        return true;
    }
    let (Some(by), Some(ended)) = (run.ended_by, run.build.ended_at) else {
        return false;
    };
    let status = name(document, "status");
    let active = status.is_some_and(|word| matches!(meaning(&word), Meaning::Goes(_)));
    if fell || !active {
        return fell;
    }
    // It works, after its end. A last phase may follow a summary; anything else is another build.
    let gave_up = by == EndedBy::State && run.build.state != BuildState::Completed;
    let too_late = moment(event).millis_since(ended) > LONGEST_TAIL_MS;
    let phase = name(document, "current_phase").unwrap_or_default();
    let unnumbered = number.is_none() && !is_last_phase(&phase);
    gave_up || too_late || at_start || unnumbered
}

fn is_last_phase(phase: &str) -> bool {
    LAST_PHASES.iter().any(|last| phases::same(last, phase))
}

/// The keys of `current-phase.json`; each may be missing, null or of another type.
fn take_over(run: &mut Run, document: &Map<String, Value>) {
    run.merge_fields(document);
    run.summary_only = false;
    let told = FOUNDRY_PHASE.apply_to(document).told;
    told::take_over(&mut run.build, &told);
    if let Some(phase) = name(&told, "phase") {
        run.build.phase = Some(phase);
    }
    if let Some(number) = name(document, "phase_number").and_then(|text| PhaseNumber::parse(&text))
    {
        run.number = Some(number.at);
    }
    run.foundry.is_under_way |= run.number.is_none_or(|number| number > 1.0)
        || names(document, "phases_completed").is_some_and(|told| !told.is_empty());
}

fn judge(run: &mut Run, meaning: &Meaning, status: &str, event: &Event) {
    let at = moment(event);
    let number = run
        .build
        .phase_number
        .as_deref()
        .and_then(PhaseNumber::parse);
    let phase = run
        .build
        .phase
        .clone()
        .unwrap_or_else(|| "its phase".to_owned());
    let is_last = is_last_phase(&phase) || number.is_some_and(PhaseNumber::is_last);
    if run.build.has_ended() {
        // A tail: written after the summary or after the last phase was completed.
        let last = match run.build.state {
            BuildState::Failed => PhaseState::Failed,
            BuildState::Completed => PhaseState::Completed,
            _ => PhaseState::Unknown,
        };
        phases::close(&mut run.build.phases, last, at);
        return;
    }
    match meaning {
        Meaning::Ends(state) => {
            let reason = format!("the status of {phase} is {}", cut(status, 80));
            run.end(*state, reason, at, EndedBy::State);
        }
        Meaning::PhaseCompleted if is_last => {
            let reason = format!("{phase}, the last phase, is completed");
            run.end(BuildState::Completed, reason, at, EndedBy::State);
        }
        Meaning::PhaseCompleted => {
            let reason =
                format!("{phase} is completed; the build ends with its summary or its last phase");
            run.say(BuildState::Running, Some(reason));
        }
        Meaning::Goes(state) => {
            let build = &run.build;
            let is_silent = build.phase.is_none() && build.status.is_none() && number.is_none();
            let reason = is_silent.then(|| "it tells neither its phase nor a status".to_owned());
            run.say(*state, reason);
        }
    }
    run.build.progress = progress(run, meaning, number);
}

/// How far: whole phases done, of as many as the number tells.
fn progress(run: &Run, meaning: &Meaning, number: Option<PhaseNumber>) -> Option<f64> {
    if run.build.state == BuildState::Completed {
        return Some(1.0);
    }
    let number = number?;
    let of = number.of?;
    let done = match meaning {
        Meaning::PhaseCompleted => number.at,
        // 4.5 stands between 4 and 5: 4 are done.
        _ => (number.at.ceil() - 1.0).max(0.0),
    };
    Some((done / of).clamp(0.0, 1.0))
}
