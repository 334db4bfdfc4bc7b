//! Builds of producers that a table of the configuration tells of.

use protocol::mapping::{FactRow, Mapping, Shown, Table, Whole, Words, field};
use protocol::{BuildState, ContentHash, EventKind, PhaseState, Timestamp};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::Outcome;

const FILE: &str = "status/build.json";

fn mapping() -> Mapping {
    let rows = [
        ("session_id", "/run"),
        ("status", "/state"),
        ("phase", "/step"),
        ("phase_number", "/number"),
        ("progress", "/percent"),
        ("cost_usd", "/usd"),
        ("cost_estimated", "/guess"),
        ("branch", "/branch"),
        ("tokens.input", "/in"),
        ("phases_completed", "/done"),
    ];
    let fields = rows.map(|(key, place)| (field(key).unwrap(), vec![place.parse().unwrap()]));
    let states = [
        ("working", "running"),
        ("asking", "waiting"),
        ("ok", "completed"),
        ("step ok", "completed"),
        ("broken", "failed"),
    ];
    Mapping {
        table: Table {
            fields: fields.to_vec(),
            facts: vec![FactRow {
                key: "Title".into(),
                label: "Title".into(),
                places: vec!["/title".parse().unwrap()],
                shown: Shown::Words,
            }],
            words: Words::new(states, Some(&["ok", "broken"])).unwrap(),
            progress_of: Whole::Number(100),
        },
        volatile: Vec::new(),
        print: ContentHash::of(b"1"),
    }
}

fn play() -> Play {
    Play::of("nightly", "")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "rows of writes read better without &"
)]
fn write(play: &mut Play, document: Value) -> Outcome {
    write_file(play, FILE, &document)
}

fn write_file(play: &mut Play, file: &str, document: &Value) -> Outcome {
    let read = mapping().document(document.to_string().as_bytes()).unwrap();
    let mut event = play.event(file, EventKind::Content);
    event.hash = Some(read.hash);
    event.document = Some(serde_json::value::RawValue::from_string(read.text).unwrap());
    play.fold(event)
}

#[test]
fn what_the_table_names_is_the_builds_and_all_of_it_is_kept() {
    let mut play = play();
    write(
        &mut play,
        json!({"run":7,"state":"working","step":"Test","percent":40,"usd":"0.1000000000000000001","in":12,
            "branch":"topic","title":"Nightly","done":["Plan"],"unknown":{"a":1}}),
    );
    let build = play.build();
    assert_eq!(
        (build.state, build.state_reason.as_deref()),
        (BuildState::Running, None)
    );
    assert_eq!(
        (build.session_id.as_deref(), build.phase.as_deref()),
        (Some("7"), Some("Test"))
    );
    assert_eq!(build.progress, Some(0.4));
    assert_eq!(build.cost_usd.unwrap().to_string(), "0.1000000000000000001");
    assert_eq!(build.cost_estimated, Some(false));
    assert_eq!(build.tokens.unwrap().input, Some(12));
    assert_eq!(
        (build.facts[0].label.as_str(), build.facts[0].text.as_str()),
        ("Title", "Nightly")
    );
    assert_eq!(build.fields["unknown"], json!({"a":1}));
    let names: Vec<&str> = build
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(names, ["Plan", "Test"]);
    assert_eq!(build.status.as_deref(), Some("working"));
}

#[test]
fn runs_begin_with_another_session_or_work_after_an_end() {
    // Each row: a write, then the number of the run and its state.
    for rows in [
        vec![
            (json!({"run":1,"state":"working"}), 1, BuildState::Running),
            (json!({"run":1,"state":"ok"}), 1, BuildState::Completed),
            (
                json!({"run":1,"state":"ok","usd":2}),
                1,
                BuildState::Completed,
            ),
            (json!({"run":2,"state":"working"}), 2, BuildState::Running),
            (json!({"run":3,"state":"working"}), 3, BuildState::Running),
        ],
        vec![
            (json!({"state":"broken"}), 1, BuildState::Failed),
            (json!({"state":"never heard of"}), 1, BuildState::Failed),
            (json!({"step":"Test"}), 1, BuildState::Failed),
            (json!({"state":"asking"}), 2, BuildState::Waiting),
            (
                json!({"state":"step ok","step":"Test"}),
                2,
                BuildState::Running,
            ),
            (json!({"state":"ok"}), 2, BuildState::Completed),
        ],
        vec![
            (json!({"run":1,"step":"Test"}), 1, BuildState::Running),
            (json!({"run":null,"step":"Ship"}), 1, BuildState::Running),
            (json!({"run":2,"state":"ok"}), 2, BuildState::Completed),
        ],
    ] {
        let mut play = play();
        for (document, run, state) in rows {
            let shown = document.to_string();
            write(&mut play, document);
            assert_eq!(
                (play.build().run, play.build().state),
                (run, state),
                "{shown}"
            );
        }
    }
}

#[test]
fn a_word_that_ends_no_build_is_said_of_the_phase() {
    let mut play = play();
    write(&mut play, json!({"state":"step ok","step":"Test"}));
    assert_eq!(play.build().phases[0].state, PhaseState::Completed);
    assert_eq!(play.build().ended_at, None);
    let reason = play.build().state_reason.as_deref();
    assert_eq!(reason, Some("it says step ok of Test, which ends no build"));
}

#[test]
fn a_word_that_nobody_explained_is_unknown_and_says_so() {
    let mut play = play();
    write(&mut play, json!({"state":"linting"}));
    assert_eq!(play.build().state, BuildState::Unknown);
    let reason = play.build().state_reason.as_deref();
    assert_eq!(
        reason,
        Some("nobody said what its status \"linting\" means")
    );
}

#[test]
fn a_missing_or_odd_value_erases_nothing() {
    let mut play = play();
    write(
        &mut play,
        json!({"state":"working","step":"Test","usd":1,"in":5,"title":"x","branch":"b"}),
    );
    write(
        &mut play,
        json!({"state":["?"],"step":null,"usd":"cheap","in":-1,"title":"","percent":{}}),
    );
    let build = play.build();
    assert_eq!(
        (build.phase.as_deref(), build.branch.as_deref()),
        (Some("Test"), Some("b"))
    );
    assert_eq!(build.cost_usd.unwrap().to_string(), "1");
    assert_eq!(
        (build.tokens.unwrap().input, build.progress),
        (Some(5), None)
    );
    assert_eq!(build.facts[0].text, "x");
    write(&mut play, json!({"state":"working","percent":140}));
    assert_eq!(play.build().progress, None, "not all of it");
    write(&mut play, json!({"state":"ok"}));
    assert_eq!(play.build().progress, Some(1.0));
}

#[test]
fn of_several_files_the_newest_tells() {
    let mut play = play();
    write_file(
        &mut play,
        "logs/b.jsonl",
        &json!({"run":2,"state":"working"}),
    );
    let read = mapping().document(br#"{"run":1,"state":"ok"}"#).unwrap();
    let mut old = play.event("logs/a.jsonl", EventKind::Content);
    old.changed_at = Timestamp::from_millis(1);
    old.hash = Some(read.hash);
    old.document = Some(serde_json::value::RawValue::from_string(read.text).unwrap());
    play.fold(old);
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Running)
    );
    // That one may go; the one that tells may not.
    let removed = play.event("logs/a.jsonl", EventKind::Removed);
    play.fold(removed);
    assert_eq!(play.build().state, BuildState::Running);
    let removed = play.event("logs/b.jsonl", EventKind::Removed);
    play.fold(removed);
    assert_eq!(play.build().state, BuildState::Unknown);
}

#[test]
fn a_document_that_is_a_list_is_kept_too() {
    let mut play = play();
    write(&mut play, json!([1, 2]));
    assert_eq!(play.build().fields["document"], json!([1, 2]));
    assert_eq!(play.build().state, BuildState::Running);
}

#[test]
fn what_is_stored_of_a_track_folds_on() {
    let mut play = play();
    write(&mut play, json!({"run":1,"state":"working","step":"Test"}));
    let stored = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str(&stored).unwrap();
    write(&mut play, json!({"run":1,"state":"ok"}));
    assert_eq!(
        (play.build().run, play.build().state),
        (1, BuildState::Completed)
    );
}
