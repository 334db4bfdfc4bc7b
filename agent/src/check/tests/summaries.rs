//! What `check` says of Context Foundry's summary, whose versions name things differently.

use serde_json::{Value, json};

use super::{Place, Report};

const FILE: &str = ".context-foundry/session-summary.json";

/// As one version wrote it.
fn good() -> Value {
    json!({
        "session_id": "shop", "task": "Add a cart", "mode": "new_project", "status": "completed",
        "end_time": "2025-01-13T10:55:00Z", "duration_minutes": 55,
        "phases_completed": ["Scout", "Architect", "Builder", "Test"],
        "tests_passed": true, "test_iterations": 2,
        "github_pr_url": "https://example.org/acme/shop/pull/4", "github_branch": "feature/cart",
        "commit_sha": "0c3571f", "files_modified": ["a.rs", "b.rs"], "lines_changed": 265,
        "features_added": ["a cart"]
    })
}

fn shown<'a>(report: &'a Report, name: &str) -> Option<&'a Value> {
    let mut lines = report.fields.iter();
    Some(&lines.find(|line| line.name == name)?.value)
}

#[test]
fn a_summary_is_explained_whichever_version_wrote_it() {
    let place = Place::new();
    let report = place.check(FILE, &good().to_string());
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(
        (report.state.as_deref(), report.ends),
        (Some("completed"), Some(true))
    );
    for (name, value) in [
        ("branch", json!("feature/cart")),
        ("commit", json!("0c3571f")),
        ("pr_url", json!("https://example.org/acme/shop/pull/4")),
        ("tests.passed", json!(true)),
        ("tests.iterations", json!(2)),
        ("Task", json!("Add a cart")),
        ("Files modified", json!(2)),
        ("Duration, by its clock", json!(55)),
        ("Ended, by its clock", json!("2025-01-13T10:55:00Z")),
    ] {
        assert_eq!(shown(&report, name), Some(&value), "{name}");
    }
    assert_eq!(report.kept, ["features_added"]);

    let other = json!({
        "status": "tests_failed_max_iterations", "phases_completed": ["scout"], "tests_passed": false,
        "test_iterations": 1, "test_failures": ["x"], "files_created": 90, "final_commit_sha": null,
        "branch": "main", "pull_request_url": "https://example.org/acme/shop/pull/5",
        "failure_summary": "The server did not start.", "success": null, "completed_at": "2025-01-13T10:55:00.123456"
    });
    let report = place.check(FILE, &other.to_string());
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(
        (report.state.as_deref(), report.ends),
        (Some("failed"), Some(true))
    );
    assert_eq!(shown(&report, "branch"), Some(&json!("main")));
    assert_eq!(shown(&report, "Files created"), Some(&json!(90)));
    assert_eq!(
        shown(&report, "error, if it failed"),
        Some(&json!("The server did not start."))
    );
    assert_eq!(report.kept, [""; 0]);
}

#[test]
fn a_summary_with_little_in_it_ends_its_build_and_says_as_what() {
    let place = Place::new();
    let least = json!({"phases_completed": [], "test_iterations": 0, "tests_passed": true});
    let report = place.check(FILE, &least.to_string());
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(
        (report.state.as_deref(), report.ends),
        (Some("completed"), Some(true))
    );
    let nothing = json!({"session": "shop", "result": "failed", "completed_phases": ["Scout"]});
    let report = place.check(FILE, &nothing.to_string());
    assert_eq!(
        (report.state.as_deref(), report.ends),
        (Some("unknown"), Some(true))
    );
    let said = "unknown: the session summary has no status, and nothing of how the build ended";
    assert!(report.text().contains(said), "{}", report.text());
}

#[test]
fn a_summary_whose_members_were_renamed_or_changed_is_warned_about() {
    let place = Place::new();
    for (from, to, warning) in [
        (
            "phases_completed",
            "phases_done",
            "phases_completed: nothing stands at /phases_completed, where it always did",
        ),
        (
            "test_iterations",
            "iterations_of_tests",
            "tests.iterations: nothing stands at /test_iterations, where it always did",
        ),
        (
            "tests_passed",
            "tests_ok",
            "tests.passed: nothing stands at /tests_passed, where it always did",
        ),
    ] {
        let renamed = good().to_string().replace(from, to);
        let report = place.check(FILE, &renamed);
        assert_eq!(report.warnings, [warning]);
        assert!(report.kept.iter().any(|kept| kept == to), "{to}");
    }
    for (member, value, warning) in [
        (
            "tests_passed",
            json!("yes"),
            "tests.passed: \"yes\" stands there, expected true or false",
        ),
        (
            "files_modified",
            json!({"a.rs": 1}),
            "Files modified: {\"a.rs\":1} stands there, expected a number or a list",
        ),
        (
            "duration_minutes",
            json!("an hour"),
            "Duration, by its clock: \"an hour\" stands there, expected a number of minutes",
        ),
        (
            "github_pr_url",
            json!("#4"),
            "pr_url: \"#4\" stands there, expected an address with http: or https:",
        ),
        (
            "status",
            json!("wrapped up"),
            "status: \"wrapped up\" is none of its known words",
        ),
    ] {
        let mut changed = good();
        changed[member] = value;
        let report = place.check(FILE, &changed.to_string());
        assert_eq!(report.warnings, [warning]);
        assert_eq!(report.ends, Some(true), "it ends the build all the same");
    }
}
