//! Context Foundry's `session-summary.json`: free-form, over eight known
//! versions that named the same things differently.

use std::sync::LazyLock;

use super::{BuiltIn, FactOf, Kind, Shown, Table, table};

/// Members that say how the build ended where there is no status: the first
/// that is true or false counts, and without any it is completed.
pub const SUMMARY_FLAGS: [&str; 2] = ["success", "tests_passed"];

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

/// Its words; the fold knows others by what is in them.
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

pub(super) const KNOWN: BuiltIn = BuiltIn {
    table: Some(&FOUNDRY_SUMMARY),
    always: &["phases_completed", "tests.iterations", "tests.passed"],
    shown: &[
        ("test_iterations", "tests.iterations", Some(Kind::Count)),
        ("tests_passed", "tests.passed", Some(Kind::Flag)),
        ("success", "success", Some(Kind::Flag)),
        ("failure_summary", "error, if it failed", None),
    ],
    ends: true,
    beyond: "the summary ends the build: as failed for any word with fail in it, as completed for any other; \
        without a status by success, else by tests_passed; a github_url of a pull request is its pr_url",
};
