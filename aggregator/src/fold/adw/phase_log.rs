//! ADW's log of phases (`logs/structured/workflow_<id>.jsonl`), as its digest
//! tells it. It says the same as the orchestrator's task logs, and the newer of
//! both counts.

use protocol::{BuildState, Timestamp};
use serde_json::{Map, Value};

use super::{calls, fields, is_newest, judge, words};
use crate::fold::run::{EndedBy, Run};
use crate::fold::value::{count, cut, name, sentence};

/// Where `fields` keeps it: each phase's members by the phase's name.
pub(super) const LOG: &str = "phase_log";
/// Where `fields` says that the log is longer than is read.
const CUT: &str = "phase_log_is_cut";
/// Version of the digest that is understood.
const VERSION: u64 = 1;
/// Characters of a producer's word in a reason.
const WORD_CHARS: usize = 80;

/// Whether a document is the digest of such a log.
pub(super) fn is_digest(document: &Map<String, Value>) -> bool {
    document.get("digest").and_then(Value::as_str) == Some("phase-log")
        && count(document, "v") == Some(VERSION)
}

fn phases(document: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let list = document.get("phases").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

fn status(phase: &Map<String, Value>) -> String {
    name(phase, "phase_status").unwrap_or_default()
}

/// Whether the newest line says that a phase starts.
pub(super) fn starts(document: &Map<String, Value>) -> bool {
    phases(document).last().is_some_and(|phase| {
        let word = status(phase);
        !word.is_empty() && word != "skipped" && words::state(&word) == BuildState::Running
    })
}

/// Takes over the log.
pub(super) fn content(run: &mut Run, document: &Map<String, Value>, at: Timestamp) {
    let workflow = document.get("workflow").and_then(Value::as_object);
    for told in phases(document).chain(workflow) {
        fields::merge_told(run, told);
    }
    let kept: Map<String, Value> = phases(document)
        .filter_map(|phase| Some((name(phase, "phase_name")?, Value::Object(phase.clone()))))
        .collect();
    run.build.fields.insert(LOG.to_owned(), Value::Object(kept));
    if let Some(true) = document.get("is_cut").and_then(Value::as_bool) {
        // Its beginning was not read: sums over it are of its end only.
        run.build.fields.insert(CUT.to_owned(), true.into());
    }
    if run.build.has_ended() || !is_newest(run.adw.phases_at, at) {
        return;
    }
    let mut last = None;
    for phase in phases(document) {
        let Some(called) = name(phase, "phase_name") else {
            continue;
        };
        let word = status(phase);
        let state = words::state(&word);
        calls::enter(run, &called, state, &word);
        if let Some(number) = name(phase, "phase_number") {
            run.build.phase_number = Some(number);
        }
        last = Some((called, word, state, sentence(phase, "error_message")));
    }
    run.adw.phases_at = Some(at);
    if starts(document) {
        run.adw.phase_began_at = Some(at);
    }
    judge(run, at);
    match (last, workflow.map(ended)) {
        (Some((phase, word, BuildState::Failed, error)), _) => {
            let phase = cut(&phase, WORD_CHARS);
            let reason = format!("its log says of {phase}: {}", cut(&word, WORD_CHARS));
            run.build.error = error.or(run.build.error.take());
            run.end(BuildState::Failed, reason, at, EndedBy::State);
        }
        (_, Some(Some((state, word)))) => {
            let reason = format!("its log says of the workflow: {}", cut(&word, WORD_CHARS));
            let error = workflow.and_then(|told| sentence(told, "error_message"));
            run.build.error = error.or(run.build.error.take());
            run.end(state, reason, at, EndedBy::State);
        }
        _ => {}
    }
}

/// The end that a line about the whole workflow tells.
fn ended(workflow: &Map<String, Value>) -> Option<(BuildState, String)> {
    let keys = ["workflow_status", "status", "phase_status"];
    let word = keys.iter().find_map(|key| name(workflow, key))?;
    let state = words::state(&word);
    let ends = matches!(
        state,
        BuildState::Completed | BuildState::Failed | BuildState::Cancelled
    );
    ends.then_some((state, word))
}

/// What logs and task logs tell of a phase's figures: those of the files, else of the calls.
pub(super) fn figures(
    fields: &Map<String, Value>,
) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
    [LOG, calls::LOGS].into_iter().flat_map(|key| {
        let phases = fields.get(key).and_then(Value::as_object);
        let phases = phases.into_iter().flatten();
        phases.filter_map(|(phase, told)| Some((phase.as_str(), told.as_object()?)))
    })
}
