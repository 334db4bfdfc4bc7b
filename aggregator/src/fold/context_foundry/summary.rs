//! `session-summary.json`, written once at the end: free-form, over eight known
//! versions. Only three of its keys are always there.

use protocol::mapping::{FOUNDRY_SUMMARY, summary_verdict};
use protocol::{Build, BuildState, Event};
use serde_json::{Map, Value};

use super::{Meaning, progress};
use crate::fold::phases;
use crate::fold::run::{EndedBy, moment};
use crate::fold::track::Track;
use crate::fold::value::{PhaseNumber, name, names, sentence, web_address};

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
    let (state, reason) = summary_verdict(document);
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

/// The keys of `session-summary.json`, over its known versions.
fn take_over_summary(build: &mut Build, document: &Map<String, Value>) {
    let keys = |field: &str| FOUNDRY_SUMMARY.members(field).collect::<Vec<_>>();
    let first = |field: &str| keys(field).iter().find_map(|key| name(document, key));
    build.session_id = build.session_id.take().or_else(|| first("session_id"));
    build.branch = first("branch").or(build.branch.take());
    build.commit = first("commit").or(build.commit.take());
    let pull_request = web_address(document, &keys("pr_url"))
        .or_else(|| web_address(document, &["github_url"]).filter(|url| url.contains("/pull/")));
    build.pr_url = pull_request.or(build.pr_url.take());
    let told = || {
        keys("error")
            .into_iter()
            .find_map(|key| sentence(document, key))
    };
    let failure = || sentence(document, "failure_summary");
    build.error = told()
        .or_else(|| failure().filter(|_| build.state == BuildState::Failed))
        .or(build.error.take());
    build.summary = Some(Value::Object(document.clone()));
}
