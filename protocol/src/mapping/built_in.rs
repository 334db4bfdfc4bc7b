//! The tables of producers that are known without being told, for the files
//! whose members go straight to a build. What their files mean beyond that
//! (runs, last phases, what several files say together) is the fold's.

use std::sync::LazyLock;

use super::table::{FactRow, Table, Whole, field};
use super::{Pointer, Words};

/// A row: a field and its places.
type FieldRow = (&'static str, &'static [&'static str]);

/// Context Foundry's `current-phase.json`. Its words are open: any other means
/// that it works. `completed` is said of a phase.
pub static FOUNDRY_PHASE: LazyLock<Table> = LazyLock::new(|| {
    table(
        &[
            ("session_id", &["/session_id"]),
            ("status", &["/status"]),
            ("phase", &["/current_phase"]),
            ("phase_number", &["/phase_number"]),
            ("phases_completed", &["/phases_completed"]),
            ("detail", &["/progress_detail"]),
            ("error", &["/error", "/error_message"]),
            ("test_iteration", &["/test_iteration"]),
        ],
        &[],
        &[
            ("failed", "failed"),
            ("tests_failed_max_iterations", "failed"),
            ("cancelled", "cancelled"),
            ("canceled", "cancelled"),
            ("aborted", "cancelled"),
            ("completed", "completed"),
            ("complete", "completed"),
            ("success", "completed"),
            ("done", "completed"),
            ("queued", "queued"),
            ("pending", "queued"),
            ("waiting", "waiting"),
            ("waiting_for_input", "waiting"),
            ("blocked", "waiting"),
            ("paused", "waiting"),
            ("*", "running"),
        ],
        Some(&[
            "failed",
            "tests_failed_max_iterations",
            "cancelled",
            "canceled",
            "aborted",
        ]),
    )
});

/// ADW's `adw_state.json`, with the names that older versions gave. Its
/// programs use one table's words in another's place.
pub static ADW_STATE: LazyLock<Table> = LazyLock::new(|| {
    table(
        &[
            ("session_id", &["/adw_id"]),
            ("status", &["/status"]),
            ("phase", &["/current_phase/name", "/current_phase"]),
            ("branch", &["/branch_name"]),
            ("issue", &["/issue_number"]),
            ("pr_url", &["/pr_url", "/pull_request_url"]),
            ("model", &["/model_used", "/model"]),
        ],
        &ADW_FACTS,
        &[
            ("completed", "completed"),
            ("complete", "completed"),
            ("success", "completed"),
            ("succeeded", "completed"),
            ("done", "completed"),
            ("failed", "failed"),
            ("error", "failed"),
            ("errored", "failed"),
            ("cancelled", "cancelled"),
            ("canceled", "cancelled"),
            ("aborted", "cancelled"),
            ("queued", "queued"),
            ("ready", "queued"),
            ("pending", "queued"),
            ("planned", "queued"),
            ("paused", "waiting"),
            ("blocked", "waiting"),
            ("waiting", "waiting"),
            ("unknown", "unknown"),
            ("*", "running"),
        ],
        None,
    )
});

/// A fact: as the producer names it, as it named it earlier, as people name it, whether it is US dollars.
type FactOf = (&'static str, Option<&'static str>, &'static str, bool);

/// In the order shown.
const ADW_FACTS: [FactOf; 23] = [
    ("parent_issue", None, "Parent issue", false),
    ("queue_id", None, "Queue entry", false),
    ("queue_position", None, "Place in the queue", false),
    ("queue_status", None, "Queue", false),
    ("issue_class", Some("classification"), "Class", false),
    ("nl_input", None, "Request", false),
    ("github_url", None, "Issue page", false),
    ("workflow_template", Some("workflow"), "Workflow", false),
    ("all_adws", None, "Scripts run", false),
    ("plan_file", None, "Plan", false),
    ("worktree_path", None, "Worktree", false),
    ("backend_port", None, "Backend port", false),
    ("frontend_port", None, "Frontend port", false),
    ("model_set", None, "Model set", false),
    (
        "estimated_cost_total",
        Some("estimated_cost"),
        "Estimated cost",
        true,
    ),
    (
        "estimated_cost_breakdown",
        None,
        "Estimated cost by phase",
        true,
    ),
    ("baseline_errors", None, "Errors before the work", false),
    ("external_build_results", None, "Build result", false),
    ("external_lint_results", None, "Lint result", false),
    ("review_results", None, "Review", false),
    (
        "integration_checklist_markdown",
        None,
        "Integration checklist",
        false,
    ),
    ("start_time", None, "Began, by its clock", false),
    ("end_time", None, "Ended, by its clock", false),
];

/// A file of a producer that is known without being told.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// Its table; none where all of it is the fold's.
    pub table: Option<&'static LazyLock<Table>>,
    /// Fields that every version of the file has had.
    pub always: &'static [&'static str],
    /// Members that the fold shows beside the table's, and as what.
    pub shown: &'static [(&'static str, &'static str)],
    /// What of its meaning no table holds, for people.
    pub beyond: &'static str,
}

/// What is known of a producer's file by its name.
#[must_use]
pub fn built_in(producer: &str, file_name: &str) -> BuiltIn {
    let (table, beyond): (Option<&'static LazyLock<Table>>, _) = match (producer, file_name) {
        ("context-foundry", "current-phase.json") => (
            Some(&FOUNDRY_PHASE),
            "a build ends with its summary, a failure, or the completion of its last phase",
        ),
        ("context-foundry", "session-summary.json") => (None, "it ends the build"),
        ("adw", "adw_state.json") => (
            Some(&ADW_STATE),
            "where it has no status, the state is inferred from the workflow's other files",
        ),
        ("adw", "completed_phases.json") => (None, "it tells the phases of the workflow"),
        ("adw", "error.log") => (None, "it fails the workflow; its text stays on the host"),
        ("adw", "raw_output.jsonl") => (None, "it adds to the workflow's cost and tokens"),
        _ => (
            None,
            "it adds to the build that its producer's other files tell of",
        ),
    };
    let always: &[&str] = match (producer, table) {
        (_, None) => &[],
        ("adw", _) => &["session_id"],
        _ => &["status", "phase", "phase_number"],
    };
    let shown: &[(&str, &str)] = match (producer, file_name) {
        ("adw", "adw_state.json") => &[("external_test_results", "tests")],
        _ => &[],
    };
    BuiltIn {
        table,
        always,
        shown,
        beyond,
    }
}

/// A table of rows that are right: the tests look at each.
fn table(
    fields: &[FieldRow],
    facts: &[FactOf],
    states: &[(&str, &str)],
    ends: Option<&[&str]>,
) -> Table {
    let place = |text: &str| text.parse::<Pointer>().ok();
    let member = |key: &str| place(&format!("/{key}"));
    let fields = fields.iter().filter_map(|(key, places)| {
        let places = places.iter().filter_map(|text| place(text));
        Some((field(key)?, places.collect()))
    });
    let facts = facts.iter().map(|(key, older, label, is_money)| FactRow {
        key: (*key).to_owned(),
        label: (*label).to_owned(),
        places: [Some(*key), *older]
            .into_iter()
            .flatten()
            .filter_map(member)
            .collect(),
        is_money: *is_money,
    });
    Table {
        fields: fields.collect(),
        facts: facts.collect(),
        words: Words::new(states.iter().copied(), ends).unwrap_or_default(),
        progress_of: Whole::Number(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_built_in_tables_is_right() {
        assert_eq!(FOUNDRY_PHASE.fields.len(), 8);
        assert_eq!(ADW_STATE.fields.len(), 7);
        assert_eq!(ADW_STATE.facts.len(), ADW_FACTS.len());
        for table in [&*FOUNDRY_PHASE, &*ADW_STATE] {
            assert!(table.fields.iter().all(|(_, places)| !places.is_empty()));
            assert!(table.facts.iter().all(|fact| !fact.places.is_empty()));
            assert_ne!(table.words, Words::default());
        }
    }
}
