//! Claude Code's hooks of a session that is of no workflow (`http/hook`). Where
//! its transcript tells of the session, they are signs of life and nothing
//! more; alone they are all that is known of it, and make its build.

use protocol::build::Origin;
use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value};

use super::run::{EndedBy, Run, moment};
use super::track::Track;
use super::value::{cut, name};

/// As the calls are kept, and the transcripts.
pub(super) const PRODUCER: &str = "claude-code";
/// Characters of a producer's word in a reason.
const WORD_CHARS: usize = 80;
/// A transcript's last lines may be written this long after the session's end was told, milliseconds.
const LONGEST_TAIL_MS: i64 = 60_000;

/// Hooks that say more than that something works, and what.
const STATES: [(&str, BuildState, &str); 4] = [
    (
        "Notification",
        BuildState::Waiting,
        "it wants somebody's attention",
    ),
    (
        "PermissionRequest",
        BuildState::Waiting,
        "it asks for a permission",
    ),
    ("Stop", BuildState::Waiting, "its turn has ended"),
    (END, BuildState::Completed, "its session has ended"),
];
/// The last hook of a session.
const END: &str = "SessionEnd";
/// Hooks with which work begins: after an end that of the next run. Others may have been under way.
const BEGINNINGS: [&str; 3] = ["SessionStart", "UserPromptSubmit", "PreToolUse"];

/// Takes over a hook. Returns the run before, where it begins one.
pub(super) fn hook(
    track: &mut Track,
    event: &Event,
    document: &Map<String, Value>,
) -> Option<Build> {
    let kind = name(document, "event_type").unwrap_or_default();
    let superseded = match &track.run {
        Some(run) if !(run.build.has_ended() && BEGINNINGS.contains(&kind.as_str())) => None,
        _ => track.begin(event),
    };
    let run = track.run.as_mut()?;
    if run.build.has_ended() {
        run.glimpsed(event);
        return superseded;
    }
    run.conditions.silent = None;
    run.glimpsed(event);
    if run.build.origin == Origin::Http {
        take_over(run, &kind, event, document);
    }
    superseded
}

fn take_over(run: &mut Run, kind: &str, event: &Event, document: &Map<String, Value>) {
    run.merge_fields(document);
    let build = &mut run.build;
    build.session_id.clone_from(&event.session);
    build.coding_agent = Some(PRODUCER.to_owned());
    build.status = name(document, "event_type");
    build.detail = name(document, "tool_name");
    let word = cut(kind, WORD_CHARS);
    let Some((_, state, why)) = STATES.iter().find(|(known, ..)| *known == kind) else {
        let reason = match kind {
            "" => "a hook of it came that does not say which".to_owned(),
            _ => format!("its hook {word} came"),
        };
        return run.say(BuildState::Running, Some(reason));
    };
    let more = name(document, "reason").map(|more| format!(", {}", cut(&more, WORD_CHARS)));
    let reason = format!("{why} (hook {word}{})", more.unwrap_or_default());
    if *state == BuildState::Completed {
        return run.end(*state, reason, moment(event), EndedBy::State);
    }
    run.say(*state, Some(reason));
}

/// Lines of a transcript from before its session's end, which a hook told: they are of the build that has ended.
pub(super) fn is_tail(build: &Build, event: &Event) -> bool {
    let by_hook = build.status.as_deref() == Some(END);
    let ended = build.ended_at.filter(|_| by_hook);
    ended.is_some_and(|ended| moment(event).millis_since(ended) <= LONGEST_TAIL_MS)
}

/// A transcript tells of a session from now on of which hooks alone told before: where it lies counts.
pub(super) fn found(run: &mut Run, event: &Event) {
    if run.build.origin != Origin::Http || event.is_call() {
        return;
    }
    let build = &mut run.build;
    build.project.clone_from(&event.project);
    build.root.clone_from(&event.root);
    build.path.clone_from(&event.path);
    build.origin = Origin::Live;
    build.detail = None;
    // What ended it stays said.
    build.status = build.status.take().filter(|_| build.ended_at.is_some());
}
