//! What Context Foundry sends, with its oddities, and calls beside files.

use protocol::build::Origin;
use protocol::{AgentId, BuildState, Event, PhaseState};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::joining::{self, OfCalls};
use crate::fold::{Effect, TimerKind};

const PHASE: &str = ".context-foundry/current-phase.json";

/// A call of the session `weather`.
fn call(play: &mut Play, file: &str, document: &Value) -> Event {
    let mut event = play.content("current-phase.json", document);
    event.file = file.to_owned();
    event.session = Some("weather".into());
    event.root = "http".into();
    event.path = ".".into();
    event.agent = AgentId(99);
    event
}

fn phase(phase: &str, number: &str, status: &str) -> Value {
    json!({"session_id":"weather","current_phase":phase,"phase_number":number,"status":status})
}

fn broadcast(play: &mut Play, kind: &str, sequence: u64, data: &Value) {
    let body = json!({"type":kind,"session_id":"weather","timestamp":"2025-11-02T10:00:00.123456","sequence":sequence,"data":data});
    let event = call(play, "http/broadcast", &body);
    play.fold(event);
}

#[test]
fn a_posted_phase_that_is_completed_does_not_end_the_build() {
    let mut play = Play::new();
    let event = call(&mut play, PHASE, &phase("Scout", "1/7", "completed"));
    let outcome = play.fold(event);
    let build = play.build();
    assert_eq!(
        (build.state, build.ended_at, outcome.ended.len()),
        (BuildState::Running, None, 0)
    );
    assert_eq!(build.phases[0].state, PhaseState::Completed);
    // The next phase is of the same build, which its last one ends.
    for (name, number, state) in [
        ("Architect", "2/7", BuildState::Running),
        ("Feedback", "7/7", BuildState::Completed),
    ] {
        let event = call(&mut play, PHASE, &phase(name, number, "completed"));
        play.fold(event);
        assert_eq!((play.build().run, play.build().state), (1, state), "{name}");
    }
}

#[test]
fn a_posted_phase_may_lack_keys_hold_null_and_be_of_wrong_types() {
    for body in [
        json!({"current_phase":"Scout"}),
        json!({"session_id":7,"current_phase":"Scout","phase_number":3,"phases_completed":null}),
        json!({"current_phase":{"name":"x"},"status":[1],"test_iteration":"two","started_at":"2025-11-02T10:00:00.1"}),
    ] {
        let mut play = Play::new();
        let event = call(&mut play, PHASE, &body);
        play.fold(event);
        assert_eq!(play.build().state, BuildState::Running, "{body}");
        assert_eq!(play.build().origin, Origin::Http);
        let now = protocol::Timestamp::from_millis(play.now_ms);
        assert_eq!(
            play.build().started_at,
            Some(now),
            "naive times are data, not times"
        );
    }
}

#[test]
fn every_kind_of_broadcast_is_understood() {
    let mut play = Play::new();
    broadcast(
        &mut play,
        "phase_change",
        1,
        &json!({"phase":"builder","context_percent":341.0}),
    );
    assert_eq!(play.build().phase.as_deref(), Some("builder"));
    let context = play.build().context.unwrap();
    assert_eq!(context.used, Some(682_000), "percents above 100 are real");
    broadcast(&mut play, "iteration_start", 2, &json!({"iteration":3}));
    assert_eq!(play.build().fields["iteration"], 3);
    broadcast(
        &mut play,
        "task_complete",
        3,
        &json!({"task":"Write tests"}),
    );
    assert_eq!(play.build().detail.as_deref(), Some("Write tests"));
    broadcast(
        &mut play,
        "context_update",
        4,
        &json!({"percent":41.5,"tokens_used":83_000}),
    );
    assert_eq!(play.build().context.unwrap().used, Some(83_000));
    let before = play.build().detail.clone();
    broadcast(
        &mut play,
        "log_line",
        5,
        &json!({"line":"secret","level":"info"}),
    );
    assert_eq!(play.build().detail, before);
    broadcast(
        &mut play,
        "error",
        6,
        &json!({"message":"out of memory","details":{}}),
    );
    assert_eq!(play.build().error.as_deref(), Some("out of memory"));
    broadcast(
        &mut play,
        "completion",
        7,
        &json!({"success":false,"summary":"gave up"}),
    );
    assert_eq!(play.build().state, BuildState::Failed);
}

#[test]
fn a_sequence_that_restarts_at_1_after_the_end_is_the_next_build() {
    let mut play = Play::new();
    broadcast(&mut play, "completion", 9, &json!({"success":true}));
    broadcast(&mut play, "context_update", 10, &json!({"percent":1}));
    assert_eq!(play.build().run, 1);
    broadcast(&mut play, "phase_change", 1, &json!({"phase":"scout"}));
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn a_call_and_its_file_are_one_build_in_either_order() {
    for call_first in [true, false] {
        let mut play = Play::new();
        let body = phase("Builder", "3/7", "building");
        let post = call(&mut play, PHASE, &body);
        let mut file = play.content("current-phase.json", &body);
        file.seq = post.seq;
        let (first, second) = if call_first {
            (post, file)
        } else {
            (file, post)
        };
        play.fold(first);
        let outcome = play.fold(second);
        let build = play.build();
        assert_eq!(
            (build.run, build.origin, build.path.as_str()),
            (1, Origin::Live, "weather")
        );
        let expected = if call_first {
            Effect::Folded
        } else {
            Effect::Repeated
        };
        assert_eq!(outcome.effect, expected);
    }
}

#[test]
fn calls_neither_overtake_nor_outdate_the_files_of_their_agent() {
    let mut play = Play::new();
    let mut post = call(
        &mut play,
        "http/agent-update",
        &json!({"session_id":"weather","agent_id":"a"}),
    );
    post.agent = AgentId(7);
    post.seq = 900;
    play.fold(post);
    assert_eq!(
        play.phase("Scout", "1/7", "researching").effect,
        Effect::Folded
    );
}

#[test]
fn where_files_tell_a_call_of_another_project_of_that_name_changes_nothing() {
    let mut play = Play::new();
    play.phase("Scout", "1/7", "researching");
    let other = call(&mut play, PHASE, &phase("Deploy", "6/7", "deploying"));
    let at = other.observed_at;
    play.fold(other);
    let build = play.build();
    assert_eq!(
        (build.phase.as_deref(), build.alive_at),
        (Some("Scout"), Some(at))
    );
    // Once nobody watches the files, the call is all there is.
    play.timer(TimerKind::HostGone {
        reason: "gone".into(),
    });
    let later = call(&mut play, PHASE, &phase("Builder", "3/7", "building"));
    play.fold(later);
    assert_eq!(play.build().phase.as_deref(), Some("Builder"));
}

#[test]
fn the_tail_of_a_build_is_its_own_and_a_beginning_is_not() {
    let mut play = Play::new();
    play.phase("Feedback", "7/7", "completed");
    let tail = call(&mut play, PHASE, &phase("Feedback", "7/7", "completed"));
    assert!(play.track.takes_call(&tail));
    let next = call(&mut play, PHASE, &phase("Scout", "1/7", "researching"));
    assert!(!play.track.takes_call(&next));
    let first = json!({"type":"phase_change","sequence":1,"data":{}});
    let first = call(&mut play, "http/broadcast", &first);
    assert!(!play.track.takes_call(&first));
}

#[test]
fn a_build_of_calls_goes_on_as_that_of_its_files() {
    let mut calls = Play::new();
    let body = json!({"session_id":"weather","agent_id":"a","status":"active"});
    let event = call(&mut calls, "http/agent-update", &body);
    calls.fold(event);
    let mut files = Play::new();
    files.now_ms = calls.now_ms + 5_000;
    files.phase("Scout", "1/7", "researching");
    let of_calls = OfCalls::of(calls.build()).unwrap();
    assert!(of_calls.is_one_with(files.build()));
    let (joins, joined) = joining::facts(files.build(), calls.build());
    files.timer(joins.clone());
    assert_eq!(files.build().agents.as_ref().unwrap()[0]["id"], "a");
    assert_eq!(files.build().started_at, calls.build().started_at);
    let outcome = calls.timer(joined);
    assert!(outcome.ended.is_empty(), "nothing has ended");
    let build = calls.build();
    assert_eq!(build.same_as.as_deref(), Some(files.build().id.as_str()));
    assert!(build.has_ended() && OfCalls::of(build).is_none());
    // As it is stored and read again.
    let text = serde_json::to_string(&joins).unwrap();
    assert_eq!(serde_json::from_str::<TimerKind>(&text).unwrap(), joins);
}

#[test]
fn a_file_of_the_build_before_and_one_of_another_name_are_not_the_one_called_of() {
    let mut calls = Play::new();
    calls.now_ms += 3_600_000;
    let event = call(&mut calls, PHASE, &phase("Scout", "1/7", "researching"));
    calls.fold(event);
    let of_calls = OfCalls::of(calls.build()).unwrap();
    let mut files = Play::new();
    files.phase("Scout", "1/7", "researching");
    assert!(!of_calls.is_one_with(files.build()), "an hour older");
    files.now_ms = calls.now_ms - 10_000;
    files.phase("Feedback", "7/7", "completed");
    files.phase("Scout", "1/7", "analyzing");
    let mut over = files.build().clone();
    over.ended_at = over.started_at;
    assert!(
        !of_calls.is_one_with(&over),
        "it was over before the call came"
    );
    assert!(of_calls.is_one_with(files.build()));
    let mut other = files.build().clone();
    other.session_id = Some("else".into());
    assert!(of_calls.is_one_with(&other), "its directory is called so");
    other.project = "else".into();
    assert!(!of_calls.is_one_with(&other));
}
