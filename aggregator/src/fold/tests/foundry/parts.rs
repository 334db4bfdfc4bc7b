//! Tasks, marks, counts, reports: of which build they are, whichever comes first.

use protocol::{BuildState, EventKind, Unreadable, UnreadableReason};
use serde_json::{Value, json};

use super::super::play::Play;
use super::{fact, file, found, plan, remove};
use crate::fold::{Effect, Track};

fn states(play: &Play) -> Vec<(String, Option<String>)> {
    let tasks = play.build().tasks.as_ref().unwrap();
    let list = tasks["list"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list.map(|task| (text(&task["id"]).unwrap(), text(&task["state"])))
        .collect()
}

fn task(id: &str, state: &str) -> (String, Option<String>) {
    (id.to_owned(), Some(state.to_owned()))
}

#[test]
fn tasks_have_their_dependencies_and_levels_and_are_marked_one_by_one() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    file(&mut play, "build-tasks.json", &plan());
    let tasks = play.build().tasks.clone().unwrap();
    assert_eq!(
        (&tasks["parallel"], &tasks["total"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(tasks["completed"], json!(null), "no mark yet");
    assert_eq!(tasks["list"][1]["dependencies"], json!(["task-1"]));
    let levels: Vec<_> = (0..3).map(|n| tasks["list"][n]["level"].as_u64()).collect();
    assert_eq!(levels, [Some(0), Some(1), Some(4)]);
    assert_eq!(
        (&tasks["list"][1]["files"], &tasks["list"][0]["estimate"]),
        (&json!(2), &json!("2 minutes"))
    );
    let pending = ["task-1", "task-2", "task-3"].map(|id| task(id, "pending"));
    assert_eq!(states(&play), pending);
    file(&mut play, "builder-logs/task-1.done", &json!({"bytes": 0}));
    file(
        &mut play,
        "builder-logs/task-2.error",
        &json!({"bytes": 812}),
    );
    assert_eq!(
        states(&play),
        [
            task("task-1", "completed"),
            task("task-2", "failed"),
            task("task-3", "pending")
        ]
    );
    let tasks = play.build().tasks.as_ref().unwrap();
    assert_eq!(
        (&tasks["completed"], &tasks["list"][1]["error_bytes"]),
        (&json!(1), &json!(812))
    );
    // It is tried again, and is done.
    file(&mut play, "builder-logs/task-2.done", &json!({"bytes": 0}));
    assert_eq!(states(&play)[1], task("task-2", "completed"));
    assert_eq!(play.build().run, 1);
    assert_eq!(play.build().state, BuildState::Running);
}

#[test]
fn tasks_of_builders_that_work_one_after_another_have_no_state_that_nobody_told() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    let mut document = plan();
    document["parallel_mode"] = json!(false);
    file(&mut play, "build-tasks.json", &document);
    let planned = document["tasks"].as_array().unwrap().len();
    assert!(planned > 1);
    assert_eq!(states(&play).len(), planned, "each is listed");
    assert!(states(&play).iter().all(|(_, state)| state.is_none()));
    // The count that the terminal UI reads.
    play.state(json!({"parallel_execution": false, "tasks_completed": 2}));
    assert_eq!(play.build().tasks.as_ref().unwrap()["completed"], json!(2));
}

#[test]
fn parts_are_never_a_build_of_their_own_and_wait_for_it() {
    let mut play = Play::new();
    for (name, document) in [
        ("build-tasks.json", plan()),
        ("builder-logs/task-1.done", json!({"bytes": 0})),
        ("test-iteration-count.txt", json!({"bytes": 2, "count": 1})),
        (
            "feedback/build-feedback-1.json",
            json!({"issues_found": [{"issue": "x"}]}),
        ),
        ("build-output-7.txt", json!({"bytes": 40})),
    ] {
        let outcome = file(&mut play, name, &document);
        assert!(
            outcome.changed.is_empty() && play.track.current().is_none(),
            "{name}"
        );
    }
    // Nor does one that cannot be read.
    let mut broken = play.event("build-tasks.json", EventKind::Unreadable);
    broken.unreadable = Some(Unreadable {
        reason: UnreadableReason::Unparsable,
        message: "the text ends at byte 3".into(),
    });
    play.fold(broken);
    assert!(play.track.current().is_none());
    file(&mut play, "build-tasks.json", &plan());
    play.phase("Builder", "3/7", "building");
    assert_eq!(states(&play)[0], task("task-1", "completed"));
    assert_eq!(play.build().test_iteration, Some(1));
    assert!(play.build().decisions.is_some());
    assert_eq!(fact(&play, "build_output"), Some("7: 40 bytes"));
}

#[test]
fn what_waits_survives_storage() {
    let mut play = Play::new();
    file(&mut play, "build-tasks.json", &plan());
    let text = serde_json::to_string(&play.track).unwrap();
    play.track = serde_json::from_str::<Track>(&text).unwrap();
    play.phase("Builder", "3/7", "building");
    assert!(play.build().tasks.is_some());
}

#[test]
fn a_stale_plan_of_the_build_before_is_not_of_this_one() {
    let mut play = Play::new();
    // The agent comes, and all of an earlier build is on disk; then the next one begins.
    found(&mut play, "build-tasks.json", &plan(), 3_600_000);
    found(
        &mut play,
        "test-results-iteration-1.md",
        &json!({"passed": 3}),
        3_600_000,
    );
    play.phase("Scout", "1/7", "researching");
    assert_eq!(
        (play.build().tasks.as_ref(), play.build().tests.as_ref()),
        (None, None)
    );
    // Nor when they are read after it.
    found(
        &mut play,
        "test-iteration-count.txt",
        &json!({"bytes": 1, "count": 3}),
        3_600_000,
    );
    assert_eq!(play.build().test_iteration, Some(0));
}

#[test]
fn parts_that_were_found_with_a_build_under_way_are_of_it_unless_an_older_summary_says_otherwise() {
    let state = json!({"current_phase":"Test","phase_number":"4/7","status":"testing","phases_completed":["Scout"]});
    for (older_summary, expected) in [(false, true), (true, false)] {
        let mut play = Play::new();
        found(&mut play, "current-phase.json", &state, 60_000);
        if older_summary {
            found(
                &mut play,
                "session-summary.json",
                &json!({"status":"completed"}),
                900_000,
            );
        }
        found(&mut play, "build-tasks.json", &plan(), 1_000_000);
        assert_eq!(play.build().tasks.is_some(), expected, "{older_summary}");
    }
}

#[test]
fn the_next_build_begins_without_the_parts_of_the_one_before() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    file(&mut play, "build-tasks.json", &plan());
    file(&mut play, "builder-logs/task-1.done", &json!({"bytes": 0}));
    play.summary(json!({"status":"completed"}));
    // Feedback follows the summary.
    file(
        &mut play,
        "feedback/build-feedback-1.json",
        &json!({"issues_found": [{"issue": "x"}]}),
    );
    assert!(play.build().decisions.is_some());
    play.phase("Scout", "1/7", "researching");
    let build = play.build();
    assert_eq!(
        (build.run, build.tasks.as_ref(), build.decisions.as_ref()),
        (2, None, None)
    );
    // Equal bytes, written again: they are of the second build as well.
    file(&mut play, "build-tasks.json", &plan());
    file(&mut play, "builder-logs/task-1.done", &json!({"bytes": 0}));
    assert_eq!(states(&play)[0], task("task-1", "completed"));
}

#[test]
fn a_mark_that_is_removed_is_taken_back_while_the_build_goes_on_and_kept_after_it() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    file(&mut play, "build-tasks.json", &plan());
    file(&mut play, "builder-logs/task-1.done", &json!({"bytes": 0}));
    remove(&mut play, "builder-logs/task-1.done");
    assert_eq!(states(&play)[0], task("task-1", "pending"));
    assert_eq!(
        play.build().state,
        BuildState::Running,
        "only the state's file matters"
    );
    file(&mut play, "builder-logs/task-1.done", &json!({"bytes": 0}));
    play.summary(json!({"status":"completed"}));
    remove(&mut play, "builder-logs/task-1.done");
    assert_eq!(states(&play)[0], task("task-1", "completed"));
}

#[test]
fn a_part_that_is_read_again_unchanged_is_repeated() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    let event = play.content("build-tasks.json", &plan());
    play.fold(event.clone());
    let mut again = event;
    again.seq = 99;
    assert_eq!(play.fold(again).effect, Effect::Repeated);
}

#[test]
fn tasks_of_wrong_types_that_depend_on_each_other_or_never_end_do_no_harm() {
    let mut play = Play::new();
    play.phase("Builder", "3/7", "building");
    for odd in [
        json!({}),
        json!({"tasks": "none", "parallel_mode": "yes", "total_tasks": "3"}),
        json!({"tasks": [7, null, {}, {"id": 7, "dependencies": "task-1", "level": -1, "files": 3, "description": ["x"]}]}),
        json!({"tasks": [{"id":"a","dependencies":["b"]}, {"id":"b","dependencies":["a"]}, {"id":"c","dependencies":["nobody"]}]}),
        json!({"tasks": (0..5_000).map(|n| json!({"id": format!("t{n}"), "description": "x".repeat(2_000)})).collect::<Vec<_>>()}),
    ] {
        file(&mut play, "build-tasks.json", &odd);
        let tasks = play.build().tasks.as_ref().unwrap();
        let list = tasks["list"].as_array().unwrap();
        assert!(list.len() <= 200 && tasks.to_string().len() < 200_000);
        assert_eq!(play.build().phase.as_deref(), Some("Builder"));
    }
    let tasks = play.build().tasks.as_ref().unwrap();
    assert_eq!(tasks["left_out"], json!(4_800), "what is left out is said");
    file(&mut play, "build-tasks.json", &plan());
    // More marks than any build has.
    for n in 0..500 {
        file(
            &mut play,
            &format!("builder-logs/task-x{n}.done"),
            &json!({"bytes": 0}),
        );
    }
    let text = fact(&play, "left_out").unwrap();
    assert!(
        text.ends_with("files beyond what is kept of a build"),
        "{text}"
    );
}

#[test]
fn what_feedback_says_is_bounded_in_all() {
    let mut play = Play::new();
    play.phase("Feedback", "7/7", "capturing");
    let issues: Vec<_> = (0..200)
        .map(|_| json!({"issue": "x".repeat(5_000)}))
        .collect();
    for n in 0..40 {
        let name = format!("feedback/build-feedback-{n}.json");
        file(&mut play, &name, &json!({"issues_found": issues}));
    }
    let memory = serde_json::to_string(&play.track).unwrap().len();
    assert!(memory < 2 * 1024 * 1024, "{memory}");
    assert!(fact(&play, "left_out").is_some());
    assert_eq!(
        play.build().decisions.as_ref().unwrap()["list"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
}
