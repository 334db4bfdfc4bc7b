//! Where a workflow stands, inferred from what its files say. Each answer
//! comes with its reason, because most files do not say it themselves.

use protocol::{Build, BuildState, PhaseState, Timestamp};
use serde_json::{Map, Value};

use super::{PHASES, PHASES_FILE, words};
use crate::fold::phases;
use crate::fold::value::{cut, name, names, sentence};

/// Characters of a producer's word in a reason.
const WORD_CHARS: usize = 80;

/// Where it stands, and from what we know.
pub(super) enum Standing {
    /// Nothing more is expected.
    Ended(BuildState, String),
    /// More is to come.
    Open(BuildState, String),
}

/// The phase that `completed_phases.json` calls the current one.
pub(super) fn current(document: &Map<String, Value>) -> Option<String> {
    name(document, "current")
}

/// The same, of the document as `fields` keeps it.
pub(super) fn current_of(document: &Value) -> Option<String> {
    document.as_object().and_then(current)
}

/// The state file's own phase, in older files: a name, or an object with one.
fn own_phase(fields: &Map<String, Value>) -> Option<(String, Option<String>)> {
    match fields.get("current_phase")? {
        Value::Object(phase) => Some((name(phase, "name")?, name(phase, "status"))),
        _ => Some((name(fields, "current_phase")?, None)),
    }
}

/// Whether a state file says that it works now, and said something else before.
pub(super) fn is_set_to_work(known: &Map<String, Value>, document: &Map<String, Value>) -> bool {
    let Some(word) = name(document, "status") else {
        return false;
    };
    let works = matches!(
        words::state(&word),
        BuildState::Running | BuildState::Queued
    );
    works && name(known, "status") != Some(word)
}

/// What a phase that still ran when the build ended is called.
pub(super) fn last_word(state: BuildState) -> PhaseState {
    match state {
        BuildState::Failed => PhaseState::Failed,
        BuildState::Completed => PhaseState::Completed,
        _ => PhaseState::Unknown,
    }
}

/// Enters the phases that are known: from the list of completed ones, else
/// from the state file, else from the scripts that were run and the agent that
/// wrote last.
pub(super) fn phases(build: &mut Build, agent: Option<&str>, at: Timestamp) {
    let fields = &build.fields;
    if let Some(Value::Object(list)) = fields.get(PHASES) {
        let (told, current) = (names(list, "completed").unwrap_or_default(), current(list));
        phases::told_completed(&mut build.phases, &told, current.as_deref(), at);
        if let Some(current) = &current {
            phases::enter(&mut build.phases, current, at);
        }
        build.phase = current
            .or_else(|| told.last().cloned())
            .or(build.phase.take());
        return;
    }
    if let Some((current, status)) = own_phase(fields) {
        match status.as_deref().map(words::state) {
            Some(BuildState::Completed) => phases::finish(&mut build.phases, &current, at),
            _ => phases::enter(&mut build.phases, &current, at),
        }
        build.phase = Some(current);
        return;
    }
    let scripts = names(fields, "all_adws").unwrap_or_default();
    let known = scripts
        .iter()
        .filter_map(|script| words::phase_of_script(script));
    let agents = agent.and_then(words::phase_of_agent);
    let run: Vec<&str> = known.collect();
    // Of the script that was started last and the agent that wrote last, the later phase is the current one.
    let place = |phase: &&str| words::PHASES.iter().position(|name| name == phase);
    let last = [run.last().copied(), agents];
    let Some(current) = last.into_iter().flatten().max_by_key(place) else {
        return;
    };
    let before: Vec<String> = run
        .into_iter()
        .filter(|phase| *phase != current)
        .map(str::to_owned)
        .collect();
    phases::told_completed(&mut build.phases, &before, Some(current), at);
    phases::enter(&mut build.phases, current, at);
    build.phase = Some(current.to_owned());
}

/// Where it stands. Ends come first: an old `running` in the file outlives them.
pub(super) fn standing(build: &Build, agent: Option<&str>) -> Standing {
    let fields = &build.fields;
    ended(build).unwrap_or_else(|| {
        let (state, mut reason) = open(fields, agent);
        if name(fields, "end_time").is_some() {
            reason.push_str("; its end_time does not say whether more of its programs follow");
        }
        Standing::Open(state, reason)
    })
}

/// What its files say of the whole. An `end_time` is no end: several programs of one workflow
/// write the same file in turn, none of which knows of the next, and a completion that was told
/// is final. Where nothing else comes the workflow is stalled, which is true and can be undone.
fn ended(build: &Build) -> Option<Standing> {
    let fields = &build.fields;
    let status = name(fields, "status");
    if let Some(word) = &status {
        let state = words::state(word);
        let ends = matches!(
            state,
            BuildState::Completed | BuildState::Failed | BuildState::Cancelled
        );
        if ends {
            let reason = format!("adw_state.json says {}", cut(word, WORD_CHARS));
            return Some(Standing::Ended(state, reason));
        }
    }
    if let Some((phase, Some(status))) = own_phase(fields)
        && words::state(&status) == BuildState::Failed
    {
        let phase = cut(&phase, WORD_CHARS);
        let reason = format!("adw_state.json says that {phase} failed");
        return Some(Standing::Ended(BuildState::Failed, reason));
    }
    if let Some(last) = last_phase(fields) {
        let reason = format!("{last}, the last phase, is completed");
        return Some(Standing::Ended(BuildState::Completed, reason));
    }
    None
}

/// The last phase of all, when it is completed and nothing runs.
fn last_phase(fields: &Map<String, Value>) -> Option<String> {
    let list = fields.get(PHASES)?.as_object()?;
    let told = names(list, "completed")?;
    let is_last = |name: &&String| {
        let last = words::PHASES[words::PHASES.len() - 1];
        phases::same(name, last) || phases::same(name, "Completed")
    };
    let last = told.iter().find(is_last)?;
    current(list).is_none().then(|| last.clone())
}

fn open(fields: &Map<String, Value>, agent: Option<&str>) -> (BuildState, String) {
    if let Some(word) = name(fields, "status") {
        let reason = format!("adw_state.json says {}", cut(&word, WORD_CHARS));
        return (words::state(&word), reason);
    }
    if let Some(Value::Object(list)) = fields.get(PHASES) {
        let told = names(list, "completed").unwrap_or_default();
        let from = name(list, "from").unwrap_or_else(|| PHASES_FILE.to_owned());
        if let Some(word) = name(list, "status") {
            let state = match words::state(&word) {
                // That of a phase, which is not the whole.
                BuildState::Completed => BuildState::Running,
                state => state,
            };
            // Of a phase that was skipped too, which is in neither list.
            let of = name(list, "of").or_else(|| current(list));
            let last = of.or_else(|| told.last().cloned());
            let phase = last.unwrap_or_else(|| "a phase".to_owned());
            let (phase, word) = (cut(&phase, WORD_CHARS), cut(&word, WORD_CHARS));
            return (state, format!("{from} says of {phase}: {word}"));
        }
        let reason = match (current(list), told.last()) {
            (Some(current), _) => format!(
                "inferred: {from} names {} as the current phase",
                cut(&current, WORD_CHARS)
            ),
            (None, Some(last)) => format!(
                "inferred: {} is completed and no later phase has begun; Verify ends a workflow",
                cut(last, WORD_CHARS)
            ),
            (None, None) => format!("inferred: {from} was written, without a phase yet"),
        };
        return (BuildState::Running, reason);
    }
    if let Some((phase, _)) = own_phase(fields) {
        let phase = cut(&phase, WORD_CHARS);
        let reason = format!("inferred: adw_state.json names {phase} as its phase");
        return (BuildState::Running, reason);
    }
    if let Some(word) = name(fields, "queue_status") {
        let reason = format!("its queue says {}", cut(&word, WORD_CHARS));
        return (words::state(&word), reason);
    }
    let scripts = names(fields, "all_adws").unwrap_or_default();
    let reason = match (agent, scripts.last()) {
        (Some(agent), _) => format!(
            "inferred: no file has a status; the agent {} wrote last",
            cut(agent, WORD_CHARS)
        ),
        (None, Some(script)) => format!(
            "inferred: adw_state.json has no status; {} was started last",
            cut(script, WORD_CHARS)
        ),
        (None, None) => {
            "inferred: something of it was written, and says nothing of its state".to_owned()
        }
    };
    (BuildState::Running, reason)
}

/// What went wrong, in the file's words.
pub(super) fn error(fields: &Map<String, Value>) -> Option<String> {
    let phase = fields.get("current_phase").and_then(Value::as_object);
    phase
        .and_then(|phase| sentence(phase, "error"))
        .or_else(|| sentence(fields, "error_message"))
        .or_else(|| sentence(fields, "error"))
}

/// How far: completed phases of ten, for a workflow that runs them all.
pub(super) fn progress(build: &mut Build) {
    if build.state == BuildState::Completed {
        build.progress = Some(1.0);
        return;
    }
    let template =
        name(&build.fields, "workflow_template").or_else(|| name(&build.fields, "workflow"));
    let whole = template.is_some_and(|template| words::runs_every_phase(&template));
    let list = build.fields.get(PHASES).and_then(Value::as_object);
    let told = list.and_then(|list| names(list, "completed"));
    build.progress = match (whole, told) {
        (true, Some(told)) => {
            let is_done = |phase: &&&str| told.iter().any(|name| phases::same(name, phase));
            let done = words::PHASES.iter().filter(is_done).count();
            #[expect(clippy::cast_precision_loss, reason = "at most ten")]
            let share = done as f64 / words::PHASES.len() as f64;
            Some(share)
        }
        _ => None,
    };
}
