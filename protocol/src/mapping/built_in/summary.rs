//! Context Foundry's `session-summary.json`: free-form, over eight known
//! versions that named the same things differently.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{BuiltIn, FactOf, Kind, Shown, Table, table};
use crate::BuildState;
use crate::text::cut;

/// Members that say how the build ended where its status does not: the first
/// that is true or false counts.
const FLAGS: [&str; 2] = ["success", "tests_passed"];

/// Characters of a status in a reason.
const MAX_STATUS_CHARS: usize = 80;

/// Facts of the summary alone, by their keys: elsewhere such a member means something else.
pub const OF_THE_SUMMARY: [&str; 2] = ["duration_minutes", "end_time"];

/// In the order shown; most are looked for in the build's state and its checkpoint, too.
#[rustfmt::skip]
pub(super) const FACTS: [FactOf; 16] = [
    (&["task", "task_description"], "Task", Shown::Words),
    (&["project_name"], "Name", Shown::Words),
    (&["mode"], "Mode", Shown::Words),
    (&["iterations", "iteration"], "Loops", Shown::Count),
    (&["failed_attempts"], "Failed attempts", Shown::Count),
    (&["parallel_execution"], "Parallel", Shown::Words),
    (&["files_created"], "Files created", Shown::Count),
    (&["files_modified"], "Files modified", Shown::Count),
    (&["lines_changed"], "Lines changed", Shown::Count),
    (&["test_failures"], "Test failures", Shown::Count),
    (&["issues_fixed"], "Issues fixed", Shown::Count),
    (&["screenshots_captured"], "Screenshots", Shown::Count),
    (&["github_url"], "Repository", Shown::Words),
    (&["start_time"], "Started, by its clock", Shown::Words),
    (&["duration_minutes", "build_duration_minutes"], "Duration, by its clock", Shown::Minutes),
    (&["end_time", "completed_at", "build_timestamp", "timestamp"], "Ended, by its clock", Shown::Words),
];

/// Its words; others are known by what is in them, see [`summary_verdict`].
pub static FOUNDRY_SUMMARY: LazyLock<Table> = LazyLock::new(|| {
    table(
        &[
            ("session_id", &["/session_id"]),
            ("status", &["/status"]),
            ("phases_completed", &["/phases_completed"]),
            ("branch", &["/branch", "/github_branch"]),
            ("commit", &["/commit_sha", "/final_commit_sha"]),
            (
                "pr_url",
                &["/pr_url", "/pull_request_url", "/github_pr_url"],
            ),
            ("error", &["/error", "/error_message"]),
        ],
        &FACTS,
        &[
            ("completed", "completed"),
            ("completed (not retrieved)", "completed"),
            ("complete", "completed"),
            ("success", "completed"),
            ("done", "completed"),
            ("failed", "failed"),
            ("tests_failed_max_iterations", "failed"),
            ("error", "failed"),
            ("timeout", "failed"),
            ("cancelled", "cancelled"),
            ("canceled", "cancelled"),
            ("aborted", "cancelled"),
        ],
        None,
    )
});

/// How a summary says that its build ended, and why we say so: by its status, where that is no known
/// word by its flags, and without any of them unknown. The build is over in any case.
#[must_use]
pub fn summary_verdict(document: &Map<String, Value>) -> (BuildState, String) {
    let status = document.get("status").and_then(Value::as_str);
    let status = status.map(str::trim).filter(|word| !word.is_empty());
    let told = match status {
        Some(word) => format!("the session summary says {}", cut(word, MAX_STATUS_CHARS)),
        None => "the session summary has no status".to_owned(),
    };
    if let Some(state) = status.and_then(end_of) {
        return (state, told);
    }
    let flag = |key: &str| document.get(key).and_then(Value::as_bool);
    match FLAGS.iter().find_map(|key| Some((key, flag(key)?))) {
        Some((key, true)) => (BuildState::Completed, format!("{told}, and {key} is true")),
        Some((key, false)) => (BuildState::Failed, format!("{told}, and {key} is false")),
        None => {
            let reason = format!("{told}, and nothing of how the build ended");
            (BuildState::Unknown, reason)
        }
    }
}

/// The end that a status means; none where the word is not known as one.
fn end_of(status: &str) -> Option<BuildState> {
    let meaning = FOUNDRY_SUMMARY.words.of(status);
    let known = meaning.map(|meaning| meaning.state).filter(|state| {
        matches!(
            state,
            BuildState::Completed | BuildState::Failed | BuildState::Cancelled
        )
    });
    let fails = || status.to_lowercase().contains("fail");
    known.or_else(|| fails().then_some(BuildState::Failed))
}

pub(super) const KNOWN: BuiltIn = BuiltIn {
    table: Some(&FOUNDRY_SUMMARY),
    always: &["phases_completed", "tests.iterations", "tests.passed"],
    shown: &[
        ("test_iterations", "tests.iterations", Some(Kind::Count)),
        ("tests_passed", "tests.passed", Some(Kind::Flag)),
        ("success", "success", Some(Kind::Flag)),
        ("failure_summary", "error, if it failed", None),
    ],
    verdict: Some(summary_verdict),
    beyond: "a status with fail in it is failed, another that is not known counts for nothing beside success and tests_passed; \
        a github_url of a pull request is its pr_url",
};
