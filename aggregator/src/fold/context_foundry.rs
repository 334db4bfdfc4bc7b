//! Context Foundry: `.context-foundry/current-phase.json`, rewritten some
//! twice per phase by a language model, and `session-summary.json`, once at
//! the end. Vocabulary and oddities were counted in its committed files and in
//! all versions of its prompts; the words are open, so unknown ones mean "running".

use protocol::build::Origin;
use protocol::{Build, BuildState, Event, PhaseState};
use serde_json::{Map, Value, json};

use super::phases;
use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{PhaseNumber, count, cut, name, names, sentence, web_address};

/// As agents name it.
pub(super) const PRODUCER: &str = "context-foundry";
const STATE_FILE: &str = "current-phase.json";
const SUMMARY_FILE: &str = "session-summary.json";

/// Phases after which nothing comes, whatever the number says.
const LAST_PHASES: [&str; 3] = ["Feedback", "GitHub Integration", "Complete"];

/// What a build still writes after its summary is its tail for this long,
/// milliseconds: two of its last phases take less. Later it is another build.
const LONGEST_TAIL_MS: i64 = 10 * 60_000;

/// The file that says where the build stands.
pub(super) fn is_state_file(event: &Event) -> bool {
    file_name(event) == STATE_FILE
}

fn file_name(event: &Event) -> &str {
    event.file.rsplit('/').next().unwrap_or_default()
}

/// A summary equal to the last one still is news when the run is another.
pub(super) fn is_news_again(track: &Track, event: &Event) -> bool {
    let without_summary = track
        .run
        .as_ref()
        .is_some_and(|run| run.build.summary.is_none());
    file_name(event) == SUMMARY_FILE && without_summary && !is_stale_summary(track, event)
}

/// Takes over one file. Returns a run that was superseded.
pub(super) fn content(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    match file_name(event) {
        SUMMARY_FILE => {
            summary(track, event, document);
            None
        }
        _ => state(track, event, document),
    }
}

/// What a status word means for the build.
enum Meaning {
    Ends(BuildState),
    PhaseCompleted,
    Goes(BuildState),
}

/// Status words are compared without case, spaces, `-` and `_`: prompts write
/// `self-healing`, the BAML path `SelfHealing`.
fn bare(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn meaning(status: &str) -> Meaning {
    match bare(status).as_str() {
        "failed" | "testsfailedmaxiterations" => Meaning::Ends(BuildState::Failed),
        "cancelled" | "canceled" | "aborted" => Meaning::Ends(BuildState::Cancelled),
        "completed" | "complete" | "success" | "done" => Meaning::PhaseCompleted,
        "queued" | "pending" => Meaning::Goes(BuildState::Queued),
        "waiting" | "waitingforinput" | "blocked" | "paused" => Meaning::Goes(BuildState::Waiting),
        _ => Meaning::Goes(BuildState::Running),
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
    let superseded = match &track.run {
        Some(run) if !begins_next_run(run, event, document) => None,
        _ => track.begin(event),
    };
    let at = moment(event);
    let run = track.run.as_mut()?;
    meet_file(run, event);
    run.believe(event);
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
    if event.recreated || shrank || (fell && at_start) {
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
    let build = &mut run.build;
    let keep = |known: &mut Option<String>, new: Option<String>| {
        if new.is_some() {
            *known = new;
        }
    };
    keep(&mut build.session_id, name(document, "session_id"));
    keep(&mut build.phase, name(document, "current_phase"));
    keep(&mut build.phase_number, name(document, "phase_number"));
    keep(&mut build.status, name(document, "status"));
    keep(&mut build.detail, sentence(document, "progress_detail"));
    keep(
        &mut build.error,
        sentence(document, "error").or_else(|| sentence(document, "error_message")),
    );
    if let Some(iteration) = count(document, "test_iteration") {
        build.test_iteration = Some(iteration);
    }
    if let Some(number) = name(document, "phase_number").and_then(|text| PhaseNumber::parse(&text))
    {
        run.number = Some(number.at);
    }
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
        Meaning::Goes(state) => run.say(*state, None),
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

/// Written before the run began: it is of the build before.
fn is_stale_summary(track: &Track, event: &Event) -> bool {
    let Some(run) = &track.run else { return false };
    !run.summary_only
        && run
            .build
            .started_at
            .is_some_and(|started| moment(event) < started)
}

fn summary(track: &mut Track, event: &Event, document: &Map<String, Value>) {
    if is_stale_summary(track, event) {
        return;
    }
    let at = moment(event);
    if track.run.is_none() {
        track.begin(event);
        if let Some(run) = &mut track.run {
            run.summary_only = true;
            run.build.started_at = None; // only its end is known
        }
    }
    let Some(run) = track.run.as_mut() else {
        return;
    };
    meet_file(run, event);
    run.believe(event);
    let (state, reason) = verdict(document);
    if let Some(told) = names(document, "phases_completed") {
        phases::told_completed(&mut run.build.phases, &told, None, at);
    }
    run.end(state, reason, at, EndedBy::Summary);
    take_over_summary(&mut run.build, document);
    let number = run.build.phase_number.as_deref();
    let number = number.and_then(PhaseNumber::parse);
    run.build.progress = progress(run, &Meaning::Ends(state), number);
    track.silences.leave(at);
}

/// Its status word; without one, whether the tests passed.
fn verdict(document: &Map<String, Value>) -> (BuildState, String) {
    let passed = document.get("tests_passed").and_then(Value::as_bool);
    let success = document.get("success").and_then(Value::as_bool);
    if let Some(status) = name(document, "status") {
        let state = match bare(&status).as_str() {
            word if word.contains("fail") || word == "error" || word == "timeout" => {
                BuildState::Failed
            }
            "cancelled" | "canceled" | "aborted" => BuildState::Cancelled,
            _ => BuildState::Completed,
        };
        return (
            state,
            format!("the session summary says {}", cut(&status, 80)),
        );
    }
    if success == Some(false) || (success.is_none() && passed == Some(false)) {
        return (
            BuildState::Failed,
            "the session summary says that it did not succeed".to_owned(),
        );
    }
    (
        BuildState::Completed,
        "the session summary was written, without a status".to_owned(),
    )
}

/// The keys of `session-summary.json`, over its known versions.
fn take_over_summary(build: &mut Build, document: &Map<String, Value>) {
    let first = |keys: &[&str]| keys.iter().find_map(|key| name(document, key));
    build.session_id = build
        .session_id
        .take()
        .or_else(|| name(document, "session_id"));
    if let Some(branch) = first(&["branch", "github_branch"]) {
        build.branch = Some(branch);
    }
    if let Some(commit) = first(&["commit_sha", "final_commit_sha"]) {
        build.commit = Some(commit);
    }
    let pull_request = web_address(document, &["pr_url", "pull_request_url", "github_pr_url"])
        .or_else(|| web_address(document, &["github_url"]).filter(|url| url.contains("/pull/")));
    build.pr_url = pull_request.or(build.pr_url.take());
    build.error = sentence(document, "error")
        .or_else(|| sentence(document, "error_message"))
        .or(build.error.take());
    let tests = json!({
        "passed": document.get("tests_passed").and_then(Value::as_bool),
        "iterations": count(document, "test_iterations"),
    });
    let told = ["tests_passed", "test_iterations"]
        .iter()
        .any(|key| document.contains_key(*key));
    build.tests = told.then_some(tests);
    build.summary = Some(Value::Object(document.clone()));
}
