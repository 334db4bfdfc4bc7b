//! What the panels show, and that what is absent is left out.

use super::*;
use crate::view::samples;
use protocol::build::Context;
use serde_json::json;

fn lines(steps: &[Step]) -> Vec<(&str, &str, &str)> {
    steps
        .iter()
        .map(|step| (step.state, step.text.as_str(), step.note.as_str()))
        .collect()
}

#[test]
fn a_context_has_its_level_and_may_be_over_full() {
    let mut build = samples::build(1, "x");
    for (used, level, note, value) in [
        (0, "safe", "0 % · safe", "0.000"),
        (99_999, "safe", "49 % · safe", "0.500"),
        (100_000, "warning", "50 % · warning", "0.500"),
        (150_000, "critical", "75 % · critical", "0.750"),
        (682_000, "critical", "341 % · critical", "1.000"),
    ] {
        build.context = Some(Context {
            used: Some(used),
            limit: Some(200_000),
        });
        let window = window(&build);
        assert_eq!(
            (window.level, window.note.as_str(), window.value.as_str()),
            (level, note, value)
        );
    }
    build.context = Some(Context {
        used: Some(5),
        limit: None,
    });
    assert_eq!(
        (window(&build).text, window(&build).level),
        ("5 tokens".to_owned(), "")
    );
    build.context = None;
    assert_eq!(window(&build).text, "");
}

#[test]
fn a_build_without_any_says_so_and_one_with_any_does_not() {
    let mut build = samples::build(1, "x");
    build.tokens = None;
    build.tests = None;
    assert!(Metrics::new(&build).none);
    for (key, value) in [
        ("tests", json!({"passed": true})),
        ("agents", json!([{"name": "a"}])),
        ("decisions", json!({"list": [{"text": "a"}]})),
        ("tasks", json!({"list": [{"id": "a"}]})),
        ("tokens", json!({"input": 1})),
        ("context", json!({"used": 1, "limit": null})),
    ] {
        let mut members = serde_json::to_value(&build).unwrap();
        members[key] = value;
        let build: Build = serde_json::from_value(members).unwrap();
        assert!(!Metrics::new(&build).none, "{key}");
    }
}

#[test]
fn figures_that_are_absent_are_left_out_and_wrong_types_do_no_harm() {
    let mut build = samples::build(1, "x");
    build.tests = Some(json!({"passed": null, "iterations": 2, "runs": [
        {"number": 1, "passed": 9, "failed": 3, "success": false, "total": null}, {"file": "final.md"}, {"number": "x"}, 7]}));
    build.decisions = Some(
        json!({"total": 3, "average_quality": 4.5, "lessons_used": null, "list": [
        {"text": "Use SQLite", "kind": "architecture", "phase": "Architect", "quality": 4.0, "lessons_used": true},
        {"text": "Look", "worked": true, "severity": "HIGH"}, {"text": 7}, null]}),
    );
    build.tasks = Some(
        json!({"parallel": true, "total": 3, "completed": null, "left_out": 2, "list": [
        {"id": "t1", "text": "Engine", "state": "completed", "level": 0, "dependencies": [], "files": 1},
        {"id": "t2", "text": null, "state": "failed", "dependencies": ["t1", 7], "error_bytes": 812}, {"state": "pending"}]}),
    );
    let told = Metrics::new(&build);
    assert_eq!(
        lines(&told.runs),
        [
            ("failed", "Iteration 1", "9 passed · 3 failed"),
            ("unknown", "final.md", "no figures told")
        ]
    );
    let names: Vec<&str> = told.tests.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["iterations"]);
    assert_eq!(
        lines(&told.decisions),
        [
            (
                "",
                "Use SQLite",
                "architecture · Architect · quality 4 of 5 · lessons used"
            ),
            ("", "Look", "high · worked well")
        ]
    );
    assert_eq!(told.decisions_note, "3 · quality 4.5 of 5");
    assert_eq!(
        lines(&told.tasks),
        [
            ("completed", "Engine", "t1 · level 0 · 1 file"),
            ("failed", "t2", "after t1 · error log of 812 B")
        ]
    );
    assert_eq!(told.tasks_note, "3 · in parallel · 2 more");
    for odd in [
        json!(7),
        json!([]),
        json!({"list": {}}),
        json!({"runs": "x"}),
    ] {
        build.tests = Some(odd.clone());
        build.decisions = Some(odd.clone());
        build.tasks = Some(odd.clone());
        let told = Metrics::new(&build);
        assert!(told.runs.is_empty() && told.decisions.is_empty() && told.tasks.is_empty());
    }
}

#[test]
fn a_word_in_a_note_cannot_turn_the_others_around() {
    let mut build = samples::build(1, "x");
    build.tasks = Some(json!({"list": [{"text": "a", "id": "\u{202e}b", "dependencies": ["c"]}]}));
    assert_eq!(Metrics::new(&build).tasks[0].note, "\u{fffd}b · after c");
}
