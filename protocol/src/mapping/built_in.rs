//! The tables of producers that are known without being told, for the files
//! whose members go straight to a build. What their files mean beyond that
//! (runs, last phases, what several files say together) is the fold's.

mod summary;

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::table::{FactRow, Kind, Shown, Table, Whole, field};
use super::{Pointer, Words};
use crate::BuildState;

pub use summary::{FOUNDRY_SUMMARY, OF_THE_SUMMARY, summary_verdict};

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

/// A fact: the members it may stand in, the first of which names it, as people name it, how it is shown.
type FactOf = (&'static [&'static str], &'static str, Shown);

/// In the order shown.
#[rustfmt::skip]
const ADW_FACTS: [FactOf; 23] = [
    (&["parent_issue"], "Parent issue", Shown::Words),
    (&["queue_id"], "Queue entry", Shown::Words),
    (&["queue_position"], "Place in the queue", Shown::Words),
    (&["queue_status"], "Queue", Shown::Words),
    (&["issue_class", "classification"], "Class", Shown::Words),
    (&["nl_input"], "Request", Shown::Words),
    (&["github_url"], "Issue page", Shown::Words),
    (&["workflow_template", "workflow"], "Workflow", Shown::Words),
    (&["all_adws"], "Scripts run", Shown::Words),
    (&["plan_file"], "Plan", Shown::Words),
    (&["worktree_path"], "Worktree", Shown::Words),
    (&["backend_port"], "Backend port", Shown::Words),
    (&["frontend_port"], "Frontend port", Shown::Words),
    (&["model_set"], "Model set", Shown::Words),
    (&["estimated_cost_total", "estimated_cost"], "Estimated cost", Shown::Money),
    (&["estimated_cost_breakdown"], "Estimated cost by phase", Shown::Money),
    (&["baseline_errors"], "Errors before the work", Shown::Words),
    (&["external_build_results"], "Build result", Shown::Words),
    (&["external_lint_results"], "Lint result", Shown::Words),
    (&["review_results"], "Review", Shown::Words),
    (&["integration_checklist_markdown"], "Integration checklist", Shown::Words),
    (&["start_time"], "Began, by its clock", Shown::Words),
    (&["end_time"], "Ended, by its clock", Shown::Words),
];

/// Says of a document how its build ended, and why.
pub type Verdict = fn(&Map<String, Value>) -> (BuildState, String);

/// A file of a producer that is known without being told.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// Its table; none where all of it is the fold's.
    pub table: Option<&'static LazyLock<Table>>,
    /// Names that every version of the file has had.
    pub always: &'static [&'static str],
    /// Members that the fold shows beside the table's, as what, and what is expected there.
    pub shown: &'static [(&'static str, &'static str, Option<Kind>)],
    /// It ends the build: as what, and why we say so. None where it alone does not tell.
    pub verdict: Option<Verdict>,
    /// What of its meaning no table holds, for people.
    pub beyond: &'static str,
}

/// What is known of a producer's file by its name.
#[must_use]
pub fn built_in(producer: &str, file_name: &str) -> BuiltIn {
    let beyond = |beyond: &'static str| BuiltIn {
        table: None,
        always: &[],
        shown: &[],
        verdict: None,
        beyond,
    };
    match (producer, file_name) {
        ("context-foundry", "current-phase.json") => BuiltIn {
            table: Some(&FOUNDRY_PHASE),
            always: &["status", "phase", "phase_number"],
            ..beyond(
                "a build ends with its summary, a failure, or the completion of its last phase",
            )
        },
        ("context-foundry", "session-summary.json") => summary::KNOWN,
        ("adw", "adw_state.json") => BuiltIn {
            table: Some(&ADW_STATE),
            always: &["session_id"],
            shown: &[("external_test_results", "tests", None)],
            ..beyond(
                "where it has no status, the state is inferred from the workflow's other files",
            )
        },
        ("adw", "completed_phases.json") => beyond("it tells the phases of the workflow"),
        ("adw", "error.log") => beyond("it fails the workflow; its text stays on the host"),
        ("adw", "raw_output.jsonl") => beyond("it adds to the workflow's cost and tokens"),
        _ => beyond("it adds to the build that its producer's other files tell of"),
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
    let fields = fields.iter().filter_map(|(key, places)| {
        let places = places.iter().filter_map(|text| place(text));
        Some((field(key)?, places.collect()))
    });
    let facts = facts.iter().filter_map(|(members, label, shown)| {
        let places = members.iter().map(|member| format!("/{member}"));
        Some(FactRow {
            key: (*members.first()?).to_owned(),
            label: (*label).to_owned(),
            places: places.filter_map(|text| place(&text)).collect(),
            shown: *shown,
        })
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
        assert_eq!(FOUNDRY_SUMMARY.fields.len(), 7);
        assert_eq!(FOUNDRY_SUMMARY.facts.len(), summary::FACTS.len());
        for table in [&*FOUNDRY_PHASE, &*FOUNDRY_SUMMARY, &*ADW_STATE] {
            assert!(table.fields.iter().all(|(_, places)| !places.is_empty()));
            assert!(table.facts.iter().all(|fact| !fact.places.is_empty()));
            assert_ne!(table.words, Words::default());
        }
    }
}
