//! State files of Context Foundry, written by us after the shapes that real
//! ones have: times that a language model made up, phase numbers that are no
//! integers, vocabularies without an end.

use serde_json::{Value, json};

/// A phase file with all nine keys.
#[must_use]
pub fn phase(session: &str, phase: &str, number: &str, status: &str) -> Value {
    json!({
        "session_id": session,
        "current_phase": phase,
        "phase_number": number,
        "status": status,
        "progress_detail": format!("{phase}: {status}"),
        "test_iteration": 0,
        "phases_completed": done_before(phase),
        "started_at": "2025-01-14T00:25:00Z",
        "last_updated": "2025-01-14T00:25:00Z"
    })
}

/// The same with a counter in its detail, so that each write is another state.
#[must_use]
pub fn numbered(session: &str, count: u64) -> Value {
    let mut document = phase(session, "Builder", "3/7", "building");
    document["progress_detail"] = json!(format!("step {count}"));
    document["count"] = json!(count);
    document
}

/// The phases of a build, in order, as `phases_completed` names them.
pub const PHASES: [&str; 7] = [
    "Scout",
    "Architect",
    "Builder",
    "Test",
    "Documentation",
    "Deploy",
    "Feedback",
];

fn done_before(phase: &str) -> Vec<&'static str> {
    PHASES
        .into_iter()
        .take_while(|name| *name != phase)
        .collect()
}

/// The phase files of a whole build, in the order in which they are written:
/// each phase begins and is completed, the tests run three times.
#[must_use]
pub fn whole_build(session: &str) -> Vec<Value> {
    let working = [
        "researching",
        "designing",
        "building",
        "testing",
        "documenting",
        "deploying",
        "analyzing",
    ];
    let mut files = Vec::new();
    for (index, (name, word)) in PHASES.into_iter().zip(working).enumerate() {
        let number = format!("{}/7", index + 1);
        files.push(phase(session, name, &number, word));
        if name == "Test" {
            for iteration in 1..=2 {
                let mut again = phase(session, name, &number, "self-healing");
                again["test_iteration"] = json!(iteration);
                files.push(again);
            }
        }
        let mut done = phase(session, name, &number, "completed");
        if let Some(list) = done["phases_completed"].as_array_mut() {
            list.push(json!(name));
        }
        files.push(done);
    }
    files
}

/// The summary of a build that ended well.
#[must_use]
pub fn summary(session: &str) -> Value {
    json!({
        "session_id": session,
        "task": "Add a search box to the documentation",
        "mode": "enhance",
        "status": "completed",
        "start_time": "2025-01-14T00:00:00Z",
        "end_time": "2025-01-14T00:27:00Z",
        "phases_completed": PHASES,
        "test_iterations": 2,
        "tests_passed": true,
        "files_created": 3,
        "files_modified": ["docs/index.html", "docs/search.js"],
        "pr_url": "https://example.org/acme/docs/pull/5",
        "commit_sha": "d67e417"
    })
}

/// The summary of a build whose tests never passed; as sparse as real ones are.
#[must_use]
pub fn failed_summary() -> Value {
    json!({
        "status": "tests_failed_max_iterations",
        "phases_completed": ["scout", "architect", "builder", "test"],
        "test_iterations": 3,
        "tests_passed": false,
        "github_url": null,
        "files_created": ["src/score.ts", "src/score.test.ts"]
    })
}

/// Irregular phase files that real builds have left, each a state of a build
/// that goes on: with the phase, number and status that must be shown.
#[must_use]
pub fn irregular() -> Vec<(
    Value,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
)> {
    vec![
        (
            json!({"session_id":"shop","current_phase":"Screenshot","phase_number":"4.5/8","status":"capturing","phases_completed":["Scout"]}),
            "Screenshot",
            Some("4.5/8"),
            Some("capturing"),
        ),
        (
            json!({"session_id":"shop","current_phase":"Test","phase_number":"4/7","status":"completed","test_iteration":1,
                   "phases_completed":["Codebase Analysis","Scout","Architect","Builder","Test"]}),
            "Test",
            Some("4/7"),
            Some("completed"),
        ),
        (
            json!({"session_id":"shop","current_phase":"Deploy","phase_number":"6/7","status":"completed",
                   "phases_completed":["Codebase Analysis","Scout","Architect","Builder","Test","Documentation","Deploy"]}),
            "Deploy",
            Some("6/7"),
            Some("completed"),
        ),
        (
            json!({"session_id":"shop","current_phase":"Builder","phase_number":"?/7","status":"Researching","phases_completed":null}),
            "Builder",
            Some("?/7"),
            Some("Researching"),
        ),
        (
            json!({"session_id":"shop","current_phase":"Builder","phase_number":"3/7","status":"building",
                   "parallel_execution":true,"tasks_completed":4,"tasks":[{"id":1,"deep":{"er":[1,2,3]}}],"unheard_of":"kept"}),
            "Builder",
            Some("3/7"),
            Some("building"),
        ),
    ]
}
