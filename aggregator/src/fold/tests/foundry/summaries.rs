//! `session-summary.json` in every variant that real builds have written.

use protocol::BuildState;
use serde_json::{Map, Value, json};

use super::super::play::Play;
use super::fact;

/// A build in its last phases, and this summary of it. Only three keys are always there.
fn ended(more: Value) -> Play {
    let mut play = Play::new();
    play.phase("Deploy", "6/7", "deploying");
    let mut document: Map<String, Value> = serde_json::from_value(
        json!({"phases_completed":["Scout"],"test_iterations":1,"tests_passed":true}),
    )
    .unwrap();
    if let Value::Object(more) = more {
        document.extend(more);
    }
    play.summary(Value::Object(document));
    play
}

#[test]
fn the_three_keys_that_are_always_there_suffice() {
    let play = ended(json!({}));
    assert_eq!(play.build().state, BuildState::Completed);
    assert_eq!(
        play.build().tests,
        Some(json!({"passed": true, "iterations": 1}))
    );
    assert_eq!(fact(&play, "files_created"), None);
    assert_eq!(
        play.build().session_id.as_deref(),
        Some("weather"),
        "session_id is in 3 of 8 versions"
    );
}

#[test]
fn every_status_of_a_summary_is_an_end() {
    for (status, state) in [
        ("completed", BuildState::Completed),
        ("success", BuildState::Completed),
        ("completed (not retrieved)", BuildState::Completed),
        ("tests_failed_max_iterations", BuildState::Failed),
        ("failed", BuildState::Failed),
        ("timeout", BuildState::Failed),
    ] {
        assert_eq!(
            ended(json!({"status": status})).build().state,
            state,
            "{status}"
        );
    }
}

#[test]
fn a_summary_that_does_not_say_how_its_build_ended_is_not_taken_for_a_success() {
    let flags = json!({"tests_passed": null});
    for (more, state, progress, reason) in [
        // In one of eight versions there is no status.
        (
            json!({"tests_passed": false}),
            BuildState::Failed,
            5.0 / 7.0,
            "the session summary has no status, and tests_passed is false",
        ),
        (
            json!({}),
            BuildState::Completed,
            1.0,
            "the session summary has no status, and tests_passed is true",
        ),
        (
            json!({"success": false}),
            BuildState::Failed,
            5.0 / 7.0,
            "the session summary has no status, and success is false",
        ),
        (
            json!({"status": "incomplete", "tests_passed": false}),
            BuildState::Failed,
            5.0 / 7.0,
            "the session summary says incomplete, and tests_passed is false",
        ),
        (
            json!({"status": "wrapped up"}),
            BuildState::Completed,
            1.0,
            "the session summary says wrapped up, and tests_passed is true",
        ),
        (
            json!({"status": "in_progress", "tests_passed": null}),
            BuildState::Unknown,
            5.0 / 7.0,
            "the session summary says in_progress, and nothing of how the build ended",
        ),
        (
            flags,
            BuildState::Unknown,
            5.0 / 7.0,
            "the session summary has no status, and nothing of how the build ended",
        ),
    ] {
        let play = ended(more);
        let build = play.build();
        assert_eq!(
            (build.state, build.state_reason.as_deref(), build.progress),
            (state, Some(reason), Some(progress))
        );
        assert!(build.has_ended(), "{reason}");
    }
}

#[test]
fn files_are_a_list_or_a_number() {
    let play =
        ended(json!({"files_created": ["a", "b", "c"], "files_modified": 7, "lines_changed": 265}));
    assert_eq!(fact(&play, "files_created"), Some("3"));
    assert_eq!(fact(&play, "files_modified"), Some("7"));
    assert_eq!(fact(&play, "lines_changed"), Some("265"));
    let play = ended(json!({"files_created": [], "files_modified": {"a": 1}}));
    assert_eq!(
        (fact(&play, "files_created"), fact(&play, "files_modified")),
        (Some("0"), None)
    );
}

#[test]
fn the_pull_request_is_under_any_of_four_keys() {
    let url = "https://example.org/acme/docs/pull/5";
    for key in ["pr_url", "pull_request_url", "github_pr_url", "github_url"] {
        assert_eq!(
            ended(json!({key: url})).build().pr_url.as_deref(),
            Some(url),
            "{key}"
        );
    }
    let play = ended(json!({"github_url": "https://example.org/acme/docs"}));
    assert_eq!(play.build().pr_url, None, "a repository is no pull request");
    assert_eq!(
        fact(&play, "github_url"),
        Some("https://example.org/acme/docs")
    );
}

#[test]
fn the_end_time_is_under_any_of_four_keys_and_is_only_its_word() {
    for key in ["timestamp", "completed_at", "end_time", "build_timestamp"] {
        let play = ended(json!({key: "2025-01-13T10:55:00Z", "duration_minutes": 55}));
        assert_eq!(fact(&play, key), Some("2025-01-13T10:55:00Z"), "{key}");
        assert_eq!(fact(&play, "duration_minutes"), Some("55 min"));
        assert_eq!(
            play.build().ended_at,
            play.build().changed_at,
            "times are invented: the file's counts"
        );
    }
}

#[test]
fn times_that_a_language_model_invented_move_nothing() {
    let mut play = Play::new();
    let invented = "2025-01-14T00:25:00Z";
    for state in [
        json!({"current_phase":"Scout","phase_number":"1/7","status":"researching","started_at":invented,"last_updated":invented}),
        json!({"current_phase":"Test","phase_number":"4/7","status":"testing","started_at":"soon","timestamp":7,"last_updated":"2019-01-01T00:00:00.123456"}),
        json!({"current_phase":"Deploy","phase_number":"6/7","status":"deploying","timestamp":invented}),
    ] {
        let before = play.now_ms;
        play.state(state);
        let build = play.build();
        assert!(build.changed_at.unwrap().as_millis() > before);
        assert!(build.started_at.unwrap().as_millis() >= 1_000_000);
        assert!(
            !build
                .facts
                .iter()
                .any(|fact| fact.label.starts_with("Ended")),
            "it goes on"
        );
    }
    assert_eq!(
        play.build().fields["started_at"],
        json!("soon"),
        "kept as data"
    );
}

#[test]
fn null_addresses_and_commits_are_absent() {
    let play = ended(
        json!({"github_url": null, "final_commit_sha": null, "pr_url": null, "session_id": null}),
    );
    let build = play.build();
    assert_eq!(
        (build.pr_url.as_deref(), build.commit.as_deref()),
        (None, None)
    );
    for key in ["commit_sha", "final_commit_sha"] {
        assert_eq!(
            ended(json!({key: "0c3571f"})).build().commit.as_deref(),
            Some("0c3571f"),
            "{key}"
        );
    }
    for key in ["branch", "github_branch"] {
        assert_eq!(
            ended(json!({key: "fix/x"})).build().branch.as_deref(),
            Some("fix/x"),
            "{key}"
        );
    }
}

#[test]
fn a_failure_says_what_went_wrong_in_its_own_words() {
    let play = ended(
        json!({"status":"failed","failure_summary":"The server did not start.","test_failures":["a","b"]}),
    );
    assert_eq!(
        play.build().error.as_deref(),
        Some("The server did not start.")
    );
    assert_eq!(fact(&play, "test_failures"), Some("2"));
    let play = ended(json!({"status":"completed","failure_summary":"none"}));
    assert_eq!(play.build().error, None);
}

#[test]
fn phases_in_lower_case_and_under_other_names_are_the_same_phases() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    play.phase("Deploy", "6/7", "deploying");
    play.summary(json!({"status":"completed","phases_completed":["scout","Deployer","GitHub"]}));
    let names: Vec<&str> = play
        .build()
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(names, ["Scout", "Deploy", "GitHub"]);
}

#[test]
fn wrong_types_in_a_summary_do_no_harm() {
    for odd in [
        json!({"phases_completed": null, "tests_passed": "yes", "test_iterations": [1], "status": 7}),
        json!({"duration_minutes": "an hour", "mode": {"a": 1}, "task": ["x"], "pr_url": 5, "github_url": "javascript:alert(1)"}),
    ] {
        let play = ended(odd.clone());
        let state = match odd.get("status") {
            Some(_) => BuildState::Unknown,
            None => BuildState::Completed,
        };
        assert_eq!(play.build().state, state, "{odd}");
        assert_eq!(
            play.build().summary.as_ref().unwrap()["tests_passed"],
            odd.get("tests_passed").cloned().unwrap_or(json!(true))
        );
        assert_eq!(play.build().pr_url, None, "{odd}");
        assert_eq!(fact(&play, "duration_minutes"), None, "{odd}");
        let told = odd.get("tests_passed").is_none();
        let tests = play.build().tests.clone().unwrap();
        assert_eq!(
            tests,
            json!({"passed": told.then_some(true), "iterations": told.then_some(1)}),
            "{odd}"
        );
    }
}

#[test]
fn a_phase_that_is_read_behind_its_end_was_not_visited_once_more() {
    let mut play = Play::new();
    play.phase("Test", "4/7", "testing");
    play.summary(json!({"status":"tests_failed_max_iterations","tests_passed":false}));
    play.phase("Test", "4/7", "failed");
    let phases = &play.build().phases;
    assert_eq!((phases.len(), phases[0].iterations), (1, Some(1)));
    assert_eq!(phases[0].state, protocol::PhaseState::Failed);
}
