//! `session-summary.json`, written once at the end: free-form, over eight known
//! versions. Only three of its keys are always there.

use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value};

use super::{Meaning, bare, progress};
use crate::fold::phases;
use crate::fold::run::{EndedBy, moment};
use crate::fold::track::Track;
use crate::fold::value::{PhaseNumber, cut, name, names, sentence, web_address};

/// Written before the run began: it is of the build before.
pub(super) fn is_stale(track: &Track, event: &Event) -> bool {
    let Some(run) = &track.run else { return false };
    !run.summary_only
        && run
            .build
            .started_at
            .is_some_and(|started| moment(event) < started)
}

pub(super) fn content(track: &mut Track, event: &Event, document: &Map<String, Value>) {
    let at = moment(event);
    if is_stale(track, event) {
        if let Some(run) = &mut track.run {
            run.foundry.older_summary_at = run.foundry.older_summary_at.max(Some(at));
        }
        return;
    }
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
    super::meet_file(run, event);
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
    let failure = || sentence(document, "failure_summary");
    build.error = sentence(document, "error")
        .or_else(|| sentence(document, "error_message"))
        .or_else(|| failure().filter(|_| build.state == BuildState::Failed))
        .or(build.error.take());
    build.summary = Some(Value::Object(document.clone()));
}
