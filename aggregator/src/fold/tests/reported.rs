//! What `CloudEvents` make of a build: its runs by session, words that nobody
//! knows, and progress.

use protocol::{Build, BuildState};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::Outcome;

fn send(play: &mut Play, data: &Value) -> Outcome {
    let event = play.content("event", data);
    play.fold(event)
}

/// The build after these, one after another.
fn after(events: &[Value]) -> Build {
    let mut play = Play::of("http", "http/");
    for data in events {
        send(&mut play, data);
    }
    play.build().clone()
}

#[test]
fn another_session_of_a_cloud_events_build_is_its_next_run() {
    let mut play = Play::of("http", "http/");
    let mut superseded = Vec::new();
    for (data, run, state) in [
        (json!({"phase":"Plan"}), 1, BuildState::Running),
        (json!({"session_id":"1"}), 1, BuildState::Running),
        (json!({"phase":"Test"}), 1, BuildState::Running),
        (
            json!({"session_id":2,"phase":"Plan"}),
            2,
            BuildState::Running,
        ),
        (
            json!({"session_id":"2","state":"failed"}),
            2,
            BuildState::Failed,
        ),
        (
            json!({"session_id":"3","state":"completed"}),
            3,
            BuildState::Completed,
        ),
        (
            json!({"session_id":"3","state":"completed","detail":"x"}),
            3,
            BuildState::Completed,
        ),
        (
            json!({"session_id":null,"state":"running"}),
            4,
            BuildState::Running,
        ),
    ] {
        let outcome = send(&mut play, &data);
        let build = play.build();
        assert_eq!((build.run, build.state), (run, state), "{data}");
        if outcome.changed.len() == 2 {
            superseded.push(outcome.changed[0].clone());
        }
    }
    let [first] = superseded.as_slice() else {
        panic!("one of the four was open: {superseded:?}");
    };
    let reason = first.state_reason.as_deref();
    assert_eq!((first.run, first.state), (1, BuildState::Unknown));
    assert_eq!(reason, Some("run 2 began before this one reported its end"));
}

#[test]
fn a_word_of_a_cloud_event_that_nobody_knows_makes_its_build_unknown_and_is_named() {
    for (data, state, reason) in [
        (
            json!({"state":"flying"}),
            BuildState::Unknown,
            Some("nobody said what its state \"flying\" means"),
        ),
        (
            json!({"status":"compiling"}),
            BuildState::Unknown,
            Some("nobody said what its status \"compiling\" means"),
        ),
        // Its own word beside one that is known.
        (
            json!({"state":"running","status":"compiling"}),
            BuildState::Running,
            None,
        ),
        (
            json!({"state":" ","status":"Self-Healing"}),
            BuildState::Unknown,
            Some("nobody said what its status \"Self-Healing\" means"),
        ),
        (json!({"state":"IN-PROGRESS"}), BuildState::Running, None),
        (
            json!({"state":"unknown"}),
            BuildState::Unknown,
            Some("its program says unknown"),
        ),
        (json!({"state":null}), BuildState::Running, None),
    ] {
        let build = after(&[json!({"phase":"Test"}), data.clone()]);
        assert_eq!(
            (build.state, build.state_reason.as_deref()),
            (state, reason),
            "{data}"
        );
        assert_eq!((build.ended_at, build.run), (None, 1), "{data}");
    }
    // It begins nothing, and takes no end back.
    let ended = after(&[json!({"state":"failed"}), json!({"state":"flying"})]);
    assert_eq!((ended.run, ended.state), (1, BuildState::Failed));
    let known = after(&[json!({"state":"flying"}), json!({"state":"running"})]);
    assert_eq!(
        (known.state, known.state_reason),
        (BuildState::Running, None)
    );
}

#[test]
fn every_common_word_means_something() {
    for word in [
        "success", "Errored", "canceled", "pending", "paused", "started", "working",
    ] {
        let build = after(&[json!({"state":word})]);
        assert_ne!(build.state, BuildState::Unknown, "{word}");
    }
}

#[test]
fn progress_is_from_0_to_1_and_anything_else_was_not_said() {
    for (told, progress) in [
        (json!(0), Some(0.0)),
        (json!(0.4), Some(0.4)),
        (json!(1), Some(1.0)),
        (json!("0.4"), Some(0.4)),
        (json!(40), None),
        (json!(1.01), None),
        (json!(-1), None),
        (json!("40"), None),
        (json!("40 %"), None),
        (json!("nan"), None),
        (json!("half"), None),
        (json!([0.4]), None),
        (json!(true), None),
        (Value::Null, None),
    ] {
        let build = after(&[json!({"state":"running","progress":told})]);
        assert_eq!(build.progress, progress, "{told}");
        // As if it was not said: the number of the phase tells, and the end.
        let numbered = json!({"state":"running","phase_number":"2/4","progress":told});
        assert_eq!(
            after(&[numbered]).progress,
            progress.or(Some(0.25)),
            "{told}"
        );
        let ended = json!({"state":"completed","progress":told});
        assert_eq!(after(&[ended]).progress, progress.or(Some(1.0)), "{told}");
    }
}
